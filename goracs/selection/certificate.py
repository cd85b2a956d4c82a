"""An independent check of a coreset: how far from the best it can be, from its rows alone.

Trust      any prices give a valid bound, so those that the ascent finds need no trust; the bound at them is
           worked out here anew, in plain float64, from exact distances.
Bound      mean v + mean of the n smallest rho_i(v); rho_i = the cost of the row's s cheapest units of
           C_ij - v_j, at most t to a column, over s; s = m / gcd(n, m), t = n / gcd(n, m). What rounding can
           have added is taken off (`goracs.ot.cost.proven`), so prices of any size give a valid bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from goracs.ot import cost, distance, exact
from goracs.ot.cost import gap
from goracs.selection.figures import assess, gradient_norms
from goracs.types import FloatArray, IndexArray, SelectionProblem

BLOCK = 1024  # rows at a time


def certify(problem: SelectionProblem, indices: npt.ArrayLike, lam: float) -> dict[str, Any]:
    """The figures of `assess` with `lower_bound`, `gap` and `gap_absolute`; labels are ignored.

    Args:
        problem: pool and validation set.
        indices: [n] distinct pool rows.
        lam: weight of the gradient term, finite, >= 0.

    Raises:
        InvalidInput: as `assess`.
    """
    figures = assess(problem, indices, lam)
    rows, lam = np.sort(np.asarray(indices)), float(lam)
    prices = _prices(problem, rows, lam)
    shares, lowest = _shares(problem, prices, len(rows), lam)
    bound = cost.proven(prices, np.sort(shares)[: len(rows)], lowest)
    return {
        **figures,
        "lower_bound": bound,
        "gap": gap(figures["poo"], bound, lowest),
        "gap_absolute": figures["poo"] - bound,
    }


def _prices(problem: SelectionProblem, rows: IndexArray, lam: float) -> FloatArray:
    """[m] prices that make the bound large."""
    from goracs.ot import lagrangian
    from goracs.ot.pool import open_pool

    norms = gradient_norms(problem, lam, "certify")
    scale = problem.scale or cost.measure_scale(problem.features, problem.target_features, norms)
    pool = open_pool(problem, np.arange(problem.pool_size), norms, lam, scale, memory=1.0)
    held = exact.solve(pool.rows(rows))
    seen = lagrangian.sample(pool, lagrangian.SPREAD * len(rows)).with_rows(pool, rows)
    begun = lagrangian.begin(held.v, seen)
    return lagrangian.ascend(pool, len(rows), begun, held.value, lambda _: True).prices


def _shares(
    problem: SelectionProblem, prices: FloatArray, budget: int, lam: float
) -> tuple[FloatArray, float]:
    """rho [N] at prices [m], and the lowest cost."""
    norms = gradient_norms(problem, lam, "certify")
    scale = problem.scale or cost.measure_scale(problem.features, problem.target_features, norms)
    divisor = np.gcd(budget, problem.target_size)
    s, t = problem.target_size // divisor, budget // divisor
    taken = np.clip(s - t * np.arange(problem.target_size), 0, t)  # units on a row's columns, cheapest first
    shares, lowest = np.empty(problem.pool_size), np.inf
    for start in range(0, problem.pool_size, BLOCK):
        part = slice(start, start + BLOCK)
        found = distance.distances(problem.features[part], problem.target_features)
        costs = cost.ground_cost(found, None if norms is None else norms[part], lam, scale)
        lowest = min(lowest, float(costs.min()))
        shares[part] = np.sort(costs - prices, axis=1) @ taken / s
    return shares, lowest
