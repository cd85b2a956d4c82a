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
from goracs.types import FloatArray, InvalidInput, Scale, SelectionProblem, Spread

ROUNDING = 1e-12  # relative
SMALLEST = 1e-300  # of a largest gradient norm that is not 0
CLOSEST = 1e-145  # of a largest distance that is not 0: squares of less lose digits, or are 0
UNIT = 2.0**-53  # the relative error of one float64 operation


def unit_scale(max_distance: float, max_gradient: float | None) -> Scale:
    """The scale that two maxima make: a maximum of 0 counts as 1, since its term is 0; so does a missing one.

    Raises:
        InvalidInput: distances beyond the range of float64; gradient norms that it cannot divide by.
    """
    if not np.isfinite(max_distance):
        raise InvalidInput(
            "the largest distance overflows float64: the embeddings are too large; rescale them."
        )
    if max_gradient and max_gradient < SMALLEST:
        raise InvalidInput(
            f"the largest gradient norm is {max_gradient:g}, too small for float64 to divide by: rescale "
            "gradient_norm."
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

    Raises:
        InvalidInput: as `unit_scale`, or rows that differ by less than float64 can square.
    """
    return _of_widest(largest_distance(pool, target), pool, target, gradients)


def scale_of(problem: SelectionProblem, gradients: FloatArray | None, spread: Spread | None) -> Scale:
    """The units of a problem: those it was given, or `measure_scale`, by workers where there are any."""
    if problem.scale is not None:
        return problem.scale
    largest = largest_distance if spread is None else spread.largest_distance
    widest = largest(problem.features, problem.target_features)
    return _of_widest(widest, problem.features, problem.target_features, gradients)


def _of_widest(widest: float, pool: FloatArray, target: FloatArray, gradients: FloatArray | None) -> Scale:
    if widest < CLOSEST and not _all_equal(pool, target):
        raise InvalidInput(
            f"the largest distance is below {CLOSEST:g}, too small for float64 to square: rescale the "
            "embeddings."
        )
    return unit_scale(widest, None if gradients is None else float(gradients.max()))


def _all_equal(pool: FloatArray, target: FloatArray) -> bool:
    first = target[0]
    return bool((pool[0] == first).all() and (pool == first).all() and (target == first).all())


def degenerate_terms(pool: FloatArray, target: FloatArray, gradients: FloatArray | None) -> list[str]:
    """A warning for each term of the cost that is 0 everywhere; arguments as in `measure_scale`."""
    found = []
    if _all_equal(pool, target):
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


def proven(prices: FloatArray, shares: FloatArray, lowest: float) -> float:
    """The Lagrangian bound mean v + mean rho, less the most that rounding can have added to it.

    Args:
        prices: [m] any v.
        shares: [n] the n smallest rho_i(v) of the pool, as worked out in float64 (`goracs.ot.cheapest`).
        lowest: the smallest cost of the pool.

    A rho is a sum of at most m products of a share and C_ij - v_j, of which none is below lowest - max v; so
    its terms add up to at most |rho| + 2 (max v - lowest) in size, and each of m + n + 8 operations on a term
    errs by at most `UNIT` of it.
    """
    size = np.abs(prices).mean() + np.abs(shares).mean() + 2 * max(0.0, prices.max() - lowest)
    steps = len(prices) + len(shares) + 8
    return float(prices.mean() + shares.mean() - steps * UNIT * size)


def gap(value: float, bound: float, lowest: float) -> float:
    """How far from the best a coreset can be: (value - bound) / (value - lowest cost).

    0 where the denominator is 0, up to rounding: every row then costs the same.
    """
    spread = value - lowest
    return (value - bound) / spread if spread > ROUNDING * (abs(value) + abs(lowest)) else 0.0
