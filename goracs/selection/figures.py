"""The figures by which every coreset is judged, whoever chose it.

Problem      POO(S) = OT_d(S, V) / max d - lam * mean_{i in S} g_i / max g: uniform weights on both sides, so
             the gradient term is the same for every plan and the transport of distances is enough.
Conventions  `transport` in feature units, `mean_gradient` in those of the score; labels ignored.
Source       GORACS (KDD 2025), Eq. 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from goracs.ot import cost, distance, exact
from goracs.types import Coreset, FloatArray, InvalidInput, Scale, SelectionProblem, numbers

LARGEST = 1e290  # lam: leaves room for sums of costs


def assess(problem: SelectionProblem, indices: npt.ArrayLike, lam: float) -> dict[str, Any]:
    """The figures of any coreset.

    Args:
        problem: pool and validation set; its `scale` where it has one, else measured here.
        indices: [n] distinct pool rows, any order.
        lam: weight of the gradient term, finite, >= 0.

    Returns:
        `transport` (OT_d, feature units), `mean_gradient` (None without the score), `poo`, `max_distance` and
        `max_gradient` (what they were divided by), `lam`, `lower_bound` and `gap` (None), `warnings`.

    Raises:
        InvalidInput: rows that are no coreset of this pool, a negative lam, lam > 0 without `gradient_norm`.
    """
    rows = numbers("assess: indices", indices)
    if rows.ndim != 1 or not len(rows) or not np.issubdtype(rows.dtype, np.integer):
        raise InvalidInput(
            f"assess needs a list of at least one row number, got {rows.dtype} of shape {rows.shape}."
        )
    rows = Coreset(rows, len(rows), problem.pool_size).indices
    gradients = gradient_norms(problem, lam, "assess")
    scale = problem.scale or cost.measure_scale(problem.features, problem.target_features, gradients)
    found = distance.distances(problem.features[rows], problem.target_features)
    figures = objective(found, None if gradients is None else gradients[rows], float(lam), scale)
    return {**figures, "warnings": scale_warnings(problem, gradients)}


def objective(found: FloatArray, gradients: FloatArray | None, lam: float, scale: Scale) -> dict[str, Any]:
    """The figures of a coreset given by its arrays.

    Args:
        found: [n, m] float; distances of its rows to the validation set, feature units.
        gradients: [n] float; its gradient norms; may be None at lam = 0.
        lam: weight of the gradient term.
        scale: the units of both, of the whole problem.

    Returns:
        As `assess`, without `warnings`.
    """
    transport = exact.solve(found).value
    mean = None if gradients is None else float(np.mean(gradients, dtype=np.float64))
    return {
        "transport": transport,
        "mean_gradient": mean,
        "poo": transport / scale.distance - lam * (mean or 0.0) / scale.gradient,
        "max_distance": scale.distance,
        "max_gradient": None if gradients is None else scale.gradient,
        "lam": float(lam),
        "lower_bound": None,
        "gap": None,
    }


def gradient_norms(problem: SelectionProblem, lam: float, reader: str) -> FloatArray | None:
    """[N] float64 gradient norms of the pool; None where it has none and lam = 0.

    Raises:
        InvalidInput: a lam that is no number >= 0; lam > 0 without the score; a score that holds no norms, or
            so large ones that their sum overflows.
    """
    refuse_lam(lam)
    if lam == 0 and "gradient_norm" not in problem.scores:
        return None
    norms = problem.score("gradient_norm", f"{reader} with lam={lam}").astype(np.float64)
    if norms.ndim != 1 or norms.min() < 0:
        raise InvalidInput(
            f"the score 'gradient_norm' must be one number >= 0 for each pool row, "
            f"got shape {norms.shape} with minimum {norms.min()}."
        )
    with np.errstate(over="ignore"):
        total = norms.sum()
    if not np.isfinite(total):
        raise InvalidInput("sums of the score 'gradient_norm' overflow float64: rescale it.")
    return norms


def refuse_lam(lam: object) -> None:
    """Raise InvalidInput unless a weight is a number >= 0 whose costs float64 can add."""
    number = isinstance(lam, (int, float, np.integer, np.floating)) and not isinstance(lam, bool)
    if not number or not 0 <= lam < np.inf:  # type: ignore[operator]
        raise InvalidInput(f"lam must be a number >= 0, got {lam!r}.")
    if float(lam) > LARGEST:  # type: ignore[arg-type]
        raise InvalidInput(f"lam must be at most {LARGEST:g}: sums of larger costs overflow float64.")


def scale_warnings(problem: SelectionProblem, gradients: FloatArray | None) -> list[str]:
    """What to tell about a scale that was measured on this problem; nothing where it came from outside."""
    if problem.scale is not None:
        return []
    return cost.degenerate_terms(problem.features, problem.target_features, gradients)
