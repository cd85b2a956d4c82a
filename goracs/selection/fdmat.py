"""FDMat, feature distribution matching: keep the rows that cost least when all go to the classes.

Points     z_i = (x_i^p - mean x^p) / ||x_i^p||, the power entry by entry after a small number is added to x.
Plan       entropic transport P (Sinkhorn) of all N rows, mass 1 each, to the means of the K classes' points,
           which take as many rows as their class has; costs M_ik = ||z_i - mean_k||^2.
Score      sum_k (P_ik M_ik)^2; the smallest are kept.
Target     not read.
Cost       O(N (d + K)) memory, at most 1,000 steps of O(N K).
Golden     fdmat.npz.
Source     Xiao et al., Feature distribution matching by optimal transport for effective and robust coreset
           selection (AAAI 2024), with their code; where we differ: docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

SMALL = 1e-6  # added before the power, as in the authors' code
STOP = 1e-10  # error of what the classes take, a share of all rows
STEPS = 1000  # as theirs


@dataclass(frozen=True)
class FdMat:
    """The rows of smallest score; ties go by the canonical order. Deterministic.

    Args:
        power: p > 0 of the features; negative ones keep their sign.
        regularisation: of the entropic plan, > 0, in squared distances; the authors' lambda is 1 / it.
        by_class: the smallest of each class by itself; then
            there is one mean, and the distance to it decides.
    """

    power: float
    regularisation: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has `largest_kept` and `marginal_error`.

        The one is a score, the other what `transported` tells of its plan.

        Raises:
            InvalidInput: a field outside its range, a problem without labels, features without columns or too
                large for float64.
        """
        self._checked()
        if problem.labels is None:
            raise InvalidInput(
                "selector fdmat measures each row against the means of the classes, and these examples have "
                "no labels (a task of texts): give labels and target_labels, or take another selector."
            )
        order = canonical_order(problem)
        costs = squared_distances(standardised(problem.features[order], self.power), problem.labels[order])
        plan, error = transported(costs, problem.labels[order], self.regularisation)
        scores = ((plan * costs) ** 2).sum(axis=1)
        picked = np.argsort(scores, kind="stable")[:budget]
        report = {
            "largest_kept": float(scores[picked[-1]]),
            "marginal_error": error,
            "warnings": _warnings(error),
        }
        return Coreset(order[picked], budget, problem.pool_size, report)

    def _checked(self) -> None:
        for name in ("power", "regularisation"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value < np.inf:
                raise InvalidInput(f"selector fdmat: {name} must be a number > 0, got {value!r}.")


def standardised(features: FloatArray, power: float) -> FloatArray:
    """The points z [N, d] float64 of features [N, d].

    Raises:
        InvalidInput: no columns, or norms that overflow or vanish in float64.
    """
    if features.shape[1] == 0:
        raise InvalidInput("selector fdmat needs embeddings with at least one column.")
    values = features.astype(np.float64)
    with np.errstate(over="ignore"):  # said below, in words
        powers = np.where(values < 0, -1.0, 1.0) * (np.abs(values) + SMALL) ** power
        norms = np.sqrt((powers**2).sum(axis=1, keepdims=True))
    if not np.isfinite(norms).all() or not norms.all():
        raise InvalidInput(
            f"selector fdmat: to the power {power}, embeddings have norms that float64 does not hold: "
            "rescale them, or lower power."
        )
    points: FloatArray = (powers - powers.mean(axis=0)) / norms
    return points


def squared_distances(points: FloatArray, labels: IndexArray) -> FloatArray:
    """[N, K] float64; of points [N, d] to the mean of each class, the classes by ascending label.

    Raises:
        InvalidInput: their squares overflow float64.
    """
    from scipy.spatial.distance import cdist

    means = np.array([points[labels == label].mean(axis=0) for label in np.unique(labels)])
    found: FloatArray = cdist(points, means, "sqeuclidean")
    with np.errstate(over="ignore"):
        scores = (found**2).sum(axis=1)  # at most so large
    if not np.isfinite(scores).all():
        raise InvalidInput(
            "selector fdmat: embeddings of such different sizes have scores that float64 does not hold: "
            "rescale them, or lower power."
        )
    return found


def transported(costs: FloatArray, labels: IndexArray, regularisation: float) -> tuple[FloatArray, float]:
    """How each row is shared among the classes by the entropic plan, by Sinkhorn's steps on logarithms.

    Args:
        costs: [N, K] float64.
        labels: [N] int64; K distinct ones.
        regularisation: > 0, in the unit of the costs.

    Returns:
        The plan [N, K] float64, each row of sum 1; the norm of what the classes get too much or too little,
        as a share of the N rows.

    Raises:
        InvalidInput: costs too large for float64, in units of the regularisation.
    """
    with np.errstate(over="ignore"):  # said below, in words
        gains = -costs / regularisation
    if not np.isfinite(gains).all():
        raise InvalidInput(
            "selector fdmat: squared distances / regularisation overflow float64: rescale the embeddings, or "
            "raise regularisation."
        )
    takes = np.unique(labels, return_counts=True)[1]
    prices = np.zeros(len(takes))
    for _ in range(STEPS):
        shares = gains - np.logaddexp.reduce(gains + prices, axis=1, keepdims=True)
        plan = np.exp(shares + prices)
        error = float(np.linalg.norm(plan.sum(axis=0) - takes)) / len(costs)
        if error <= STOP:
            break
        prices = np.log(takes) - np.logaddexp.reduce(shares, axis=0)
    return plan, error


def _warnings(error: float) -> list[str]:
    if error <= STOP:
        return []
    return [f"the transport plan did not settle in {STEPS} steps: its marginal is off by {error:.1e}."]
