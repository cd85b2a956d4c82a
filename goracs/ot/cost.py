"""The ground cost between pool and validation rows.

Problem      c_ij = d_ij / max d - lam * g_i / max g, with d the Euclidean distance of embeddings, g the
             gradient norm of a pool row, the maxima over pool x validation and over the pool.
Conventions  float64 throughout; an entry depends on its own two rows alone, so neither the order of the rows
             nor the size of a block moves it.
Not here     distances (`goracs.ot.distance`), transport (`goracs.ot.exact`), which rows to choose.
Source       GORACS (KDD 2025), Eq. 10 and the scaling of its code.
"""

from __future__ import annotations

import numpy as np

from goracs.ot.distance import largest_distance
from goracs.types import FloatArray, InvalidInput, Scale

ROUNDING = 1e-12  # relative


def unit_scale(max_distance: float, max_gradient: float | None) -> Scale:
    """The scale that two maxima make: a maximum of 0 counts as 1, since its term is 0; so does a missing one.

    Raises:
        InvalidInput: distances beyond the range of float64.
    """
    if not np.isfinite(max_distance):
        raise InvalidInput(
            "the largest distance overflows float64: the embeddings are too large; rescale them."
        )
    return Scale(distance=float(max_distance) or 1.0, gradient=float(max_gradient or 0.0) or 1.0)


def measure_scale(pool: FloatArray, target: FloatArray, gradients: FloatArray | None) -> Scale:
    """The units of a problem: its largest distance and its largest gradient norm.

    Args:
        pool: [N, d] float.
        target: [m, d] float.
        gradients: [N] float >= 0, or None where no method looks at them.

    Returns:
        The scale; a maximum of 0 counts as 1 (`degenerate_terms` says so in words).
    """
    return unit_scale(largest_distance(pool, target), None if gradients is None else float(gradients.max()))


def degenerate_terms(pool: FloatArray, target: FloatArray, gradients: FloatArray | None) -> list[str]:
    """A warning for each term of the cost that is 0 everywhere; arguments as in `measure_scale`."""
    found = []
    if (pool == target[0]).all() and (target == target[0]).all():
        found.append("all embeddings are equal: every distance is 0, and their maximum counts as 1.")
    if gradients is not None and not gradients.any():
        found.append("all gradient norms are 0: their maximum counts as 1.")
    return found


def ground_cost(found: FloatArray, gradients: FloatArray | None, lam: float, scale: Scale) -> FloatArray:
    """The cost that transport minimises.

    Args:
        found: [N, m] distances in feature units.
        gradients: [N] gradient norms; may be None at lam = 0.
        lam: weight of the gradient term, >= 0.
        scale: the units of both.

    Returns:
        [N, m] float64, without unit, not shifted: may be negative.
    """
    costs = np.asarray(found, dtype=np.float64) / scale.distance
    if lam > 0 and gradients is not None:
        costs -= (lam / scale.gradient) * np.asarray(gradients, dtype=np.float64)[:, None]
    return costs


def min_max(costs: FloatArray) -> FloatArray:
    """Costs mapped onto [0, 1] by a positive affine map (no arg-min moves); a constant cost gives 0."""
    low, spread = costs.min(), np.ptp(costs)
    mapped: FloatArray = (costs - low) / (spread or 1.0)
    return mapped


def gap(value: float, bound: float, lowest: float) -> float:
    """How far from the best a coreset can be: (value - bound) / (value - lowest cost).

    0 where the denominator is 0, up to rounding: every row then costs the same.
    """
    spread = value - lowest
    return (value - bound) / spread if spread > ROUNDING * (abs(value) + abs(lowest)) else 0.0
