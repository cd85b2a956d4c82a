"""The bounds of all exchanges: against their definition, exact transport of every swap, and each other."""

import numpy as np
import pytest

from goracs.ot import exact
from goracs.search import bounds
from goracs.search.alternate import takeovers
from tests.swaps import SHAPES, every_swap, instance

ROUNDING = 1e-12  # costs of order 1


def lower_bounds(costs: np.ndarray, rows: np.ndarray, u: np.ndarray) -> np.ndarray:
    """[n, N] LB of every pair."""
    return bounds.bounds_of(costs, bounds.leave_one_out(costs, rows, u)).T


def defined(costs: np.ndarray, rows: np.ndarray, u: np.ndarray) -> np.ndarray:
    """[n, N] LB by its definition; F is concave and piecewise linear, so its maximum is at a corner."""
    n, out = len(rows), np.empty((len(rows), len(costs)))
    for p in range(n):
        rest = np.delete(np.arange(n), p)
        f = (costs[rows[rest]] - u[rest][:, None]).min(axis=0)
        for q in range(len(costs)):
            reduced = costs[q] - f
            best = max(y / n + np.minimum(reduced - y, 0).mean() for y in reduced)
            out[p, q] = u[rest].sum() / n + f.mean() + best
    return out


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_bounds_never_cross_the_exact_value(shape: tuple[int, int, int], ties: bool) -> None:
    for seed in range(4):
        costs, rows = instance(*shape, seed, ties)
        now, true = exact.solve(costs[rows]), every_swap(costs, rows)
        low, high = lower_bounds(costs, rows, now.u), now.value + takeovers(now.plan, costs)
        high -= (now.plan * costs[rows]).sum(axis=1)[:, None]
        new = np.isfinite(true)
        assert (low[new] <= true[new] + ROUNDING).all()
        assert (high[new] >= true[new] - ROUNDING).all()


@pytest.mark.parametrize(
    "duals", ["optimal", "zero", "random"]
)  # any duals give bounds; zero: one row owns all
@pytest.mark.parametrize(
    "shape", [(9, 6, 3), (9, 7, 3), (9, 40, 3), (8, 3, 5), (8, 1, 4), (7, 5, 7), (9, 6, 2)]
)
def test_bounds_equal_their_definition(shape: tuple[int, int, int], duals: str) -> None:
    for seed in range(6):
        costs, rows = instance(*shape, seed, ties=seed % 2 == 1)
        costs[rows[0]] -= 1.0 * (duals == "zero")
        n = len(rows)
        u = {"optimal": exact.solve(costs[rows]).u, "zero": np.zeros(n), "random": np.arange(n) / 7}[duals]
        np.testing.assert_allclose(
            lower_bounds(costs, rows, u), defined(costs, rows, u), rtol=0, atol=ROUNDING
        )


def test_bounds_equal_the_value_with_a_single_row() -> None:
    costs, rows = instance(6, 4, 1, seed=0)
    np.testing.assert_array_equal(lower_bounds(costs, rows, np.ones(1))[0], costs.mean(axis=1))


def test_leave_one_out_equals_enumeration() -> None:
    """f where p is not alone smallest, the smallest of the others where it is; ties are nobody's."""
    for seed in range(30):
        table = np.random.default_rng(seed).integers(0, 4, (5, 8)).astype(float)
        u = np.arange(5.0)
        prices = bounds.leave_one_out(table, np.arange(5), u)
        for p in range(5):
            own = slice(prices.starts[p], prices.starts[p + 1])
            found = prices.f.copy()
            found[prices.columns[own]] = prices.second[own]
            np.testing.assert_array_equal(found, np.delete(table - u[:, None], p, axis=0).min(axis=0))
            np.testing.assert_array_equal(np.sort(prices.columns[own]), np.flatnonzero(prices.owner == p))
            assert (prices.second[own] > prices.f[prices.columns[own]]).all()


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_promising_equals_the_lowest_bounds_for_any_block(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order; ties by the place to empty, then by row; nothing that is there already."""
    monkeypatch.setattr(bounds, "BLOCK", block)
    for seed in range(4):
        costs, rows = instance(30, 12, 4, seed, ties=seed % 2 == 1)
        if seed > 1:  # every row twice, in and out of the coreset: ties of all kinds
            costs[15:], rows = costs[:15], np.array([3, 7, 18, 22])
        now = exact.solve(costs[rows])
        low = lower_bounds(costs, rows, now.u)
        low[:, rows] = np.inf
        order = np.argsort(low.ravel(), kind="stable")
        for below, count in ((np.inf, 9), (now.value, 9), (np.inf, 10), (np.inf, 200), (-9.0, 9)):
            expected = [divmod(int(x), 30) for x in order if low.ravel()[x] < below][:count]
            assert bounds.promising(costs, rows, now.u, below, count) == expected


def test_bounds_keep_their_input() -> None:
    costs, rows = instance(20, 8, 4, seed=2)
    before, u = costs.copy(), np.zeros(4)
    bounds.promising(costs, rows, u, 9.0, 5)
    np.testing.assert_array_equal(costs, before)
    np.testing.assert_array_equal(u, np.zeros(4))
