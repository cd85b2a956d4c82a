"""A head in place of a fine-tune: the output over {No, Yes} fitted on hidden states, in milliseconds.

Problem      min over w of  mean_i log(1 + exp(-y_i margin_i)) + (penalty / 2) |w|^2,  y = +1 for Yes, -1 for
             No; margin_i = offset_i + w' (x_i, 1): it begins at the margins of the start adapter (w = 0).
             The constant is penalised too, so the optimum is unique whatever the labels are.
Method       Newton in the span of the rows, min(n, d + 1) unknowns, float64; steps are halved until the loss
             falls.
Exactness    the loss is penalty-strongly convex, so |w - optimum| <= |gradient| / penalty, which ends it.
Symbols      n = examples, d = width of a hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.types import FloatArray, GoracsError, IndexArray, InvalidInput

EXACT = 1e-10  # largest |w - optimum|
CONSTANT = 1e-9  # of its size: a smaller deviation is rounding
MOST_STEPS = 100  # Newton needs about ten
DECREASE = 1e-4  # of what the slope promises: a step has to bring it (Armijo)


def fit(hidden: FloatArray, labels: IndexArray, offsets: FloatArray, penalty: float) -> FloatArray:
    """The weights of the best head.

    Args:
        hidden: [n, d] float; finite.
        labels: [n] of 0 and 1.
        offsets: [n] float; margins (logit Yes - logit No) to begin at.
        penalty: > 0.

    Returns: [d + 1] float64, the constant's last; within 1e-10 of the optimum (Euclidean).

    Raises:
        InvalidInput: no examples, lengths that differ, labels other than 0 and 1, a penalty that is not > 0,
            a number that is not finite.
        GoracsError: rounding keeps the search from that precision: the hidden states are too large.
    """
    states, signs, start = _checked(hidden, labels, offsets, penalty)
    basis = _basis(states)
    rows: FloatArray = signs[:, None] * (states @ basis)
    found: FloatArray = np.zeros(rows.shape[1])
    for _ in range(MOST_STEPS):
        margins = start + rows @ found
        wrong = _sigmoid(-margins)
        slope = penalty * found - rows.T @ wrong / len(rows)
        if np.linalg.norm(slope) <= EXACT * penalty:
            return np.asarray(basis @ found)
        curve = (rows.T * (wrong * (1 - wrong) / len(rows))) @ rows
        curve[np.diag_indices(len(curve))] += penalty
        found = _stepped(rows, start, penalty, found, slope, np.linalg.solve(curve, slope))
    raise GoracsError(
        f"the head does not reach {EXACT} in {MOST_STEPS} steps: scale the hidden states (the largest is "
        f"{np.abs(hidden).max():.1e}), or raise the penalty ({penalty})."
    )


@dataclass(frozen=True, eq=False)
class Units:
    """Hidden states in the pool's units: its mean 0, its deviation 1, all divided by sqrt(d).

    A number that is the same in the whole pool becomes 0 everywhere: its `factor` is 0.

    Args:
        mean: [d] float64.
        factor: [d] float64; 1 / (deviation sqrt(d)).
    """

    mean: FloatArray
    factor: FloatArray

    @property
    def vary(self) -> bool:
        """Whether the pool's hidden states differ at all."""
        return bool(self.factor.any())

    def of(self, hidden: FloatArray) -> FloatArray:
        """[., d] float64 of hidden states [., d] as they are."""
        found: FloatArray = (np.asarray(hidden, np.float64) - self.mean) * self.factor
        return found

    def folded(self, weights: FloatArray) -> FloatArray:
        """[d + 1] float64: the head for hidden states as they are that `weights` is in these units."""
        raw = weights[:-1] * self.factor
        return np.append(raw, weights[-1] - self.mean @ raw)


def units(pool: FloatArray) -> Units:
    """The units of a pool's hidden states [N, d]."""
    states = np.asarray(pool, np.float64)
    mean, deviation = states.mean(axis=0), states.std(axis=0)
    varies = deviation > CONSTANT * np.abs(states).max(axis=0)
    factor = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0) / np.sqrt(states.shape[1])
    return Units(mean, factor)


def standardised(pool: FloatArray, *others: FloatArray) -> list[FloatArray]:
    """Hidden states [., d] in the pool's units (`Units`), float64."""
    unit = units(pool)
    return [unit.of(side) for side in (pool, *others)]


def margins(weights: FloatArray, hidden: FloatArray, offsets: FloatArray) -> FloatArray:
    """[t] float64 margins that a head [d + 1] gives to hidden states [t, d] with offsets [t]."""
    found: FloatArray = np.asarray(hidden, np.float64) @ weights[:-1] + weights[-1] + offsets
    return found


def _basis(rows: FloatArray) -> FloatArray:
    """[d + 1, k] an orthonormal basis of what the optimum can be made of: the span of the rows."""
    found: FloatArray = np.linalg.qr(rows.T)[0] if len(rows) < rows.shape[1] else np.eye(rows.shape[1])
    return found


def _stepped(
    rows: FloatArray, start: FloatArray, penalty: float, at: FloatArray, slope: FloatArray, step: FloatArray
) -> FloatArray:
    """The point after a Newton step, halved until it lowers the loss by a part of what the slope promises."""
    before, promised, size = _loss(rows, start, penalty, at), DECREASE * float(slope @ step), 1.0
    slack = 4 * np.finfo(float).eps * max(1.0, abs(before))  # near the optimum all that is left is rounding
    while _loss(rows, start, penalty, at - size * step) > before - size * promised + slack:
        size /= 2
    return at - size * step


def _loss(rows: FloatArray, start: FloatArray, penalty: float, at: FloatArray) -> float:
    return float(np.logaddexp(0.0, -(start + rows @ at)).mean() + penalty / 2 * (at @ at))


def _sigmoid(values: FloatArray) -> FloatArray:
    found: FloatArray = np.exp(-np.logaddexp(0.0, -values))
    return found


def _checked(
    hidden: FloatArray, labels: IndexArray, offsets: FloatArray, penalty: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Hidden states with a column of ones [n, d + 1], signs [n], and signed offsets [n]."""
    rows, start, labels = np.asarray(hidden, np.float64), np.asarray(offsets, np.float64), np.asarray(labels)
    if rows.ndim != 2 or not len(rows) or labels.shape != (len(rows),) or start.shape != (len(rows),):
        raise InvalidInput(
            f"a head needs one label and one offset for each of at least one hidden state, got hidden states "
            f"{rows.shape}, labels {labels.shape}, offsets {start.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise InvalidInput(f"labels of a head must be 0 or 1, got {np.unique(labels)[:10].tolist()}.")
    if not (np.isfinite(rows).all() and np.isfinite(start).all()):
        raise InvalidInput("the hidden states and offsets of a head must be finite.")
    if isinstance(penalty, bool) or not 0 < penalty < np.inf:
        raise InvalidInput(f"the penalty of a head must be a number > 0, got {penalty!r}.")
    signs = 2.0 * labels - 1
    return np.column_stack([rows, np.ones(len(rows))]), signs, signs * start
