"""Exchanges: the bounds against exact transport of every swap, the search against enumeration."""

import numpy as np
import pytest

from goracs.ot import exact
from goracs.selection import exchange as ex

ROUNDING = 1e-12  # costs of order 1
SHAPES = [(12, 9, 1), (12, 9, 2), (9, 6, 3), (9, 7, 3), (8, 3, 5), (8, 1, 4), (7, 5, 7), (9, 6, 8)]  # N, m, n


def instance(pool: int, m: int, n: int, seed: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 4, (pool, m)).astype(float) if ties else rng.random((pool, m)) - 0.3
    return costs, rng.choice(pool, n, replace=False)


def swapped(rows: np.ndarray, p: int, q: int) -> np.ndarray:
    return np.array([*rows[:p], q, *rows[p + 1 :]])


def every_swap(costs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[n, N] exact transport after each swap; infinite where q is in the coreset."""
    out = np.full((len(rows), len(costs)), np.inf)
    for p in range(len(rows)):
        for q in set(range(len(costs))) - set(rows.tolist()):
            out[p, q] = exact.solve(costs[swapped(rows, p, q)]).value
    return out


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_bounds_never_cross_the_exact_value(shape: tuple[int, int, int], ties: bool) -> None:
    for seed in range(4):
        costs, rows = instance(*shape, seed, ties)
        now, true = exact.solve(costs[rows]), every_swap(costs, rows)
        low, high = ex.lower_bounds(costs, rows, now), ex.upper_bounds(costs, rows, now)
        new = np.isfinite(true)
        assert (low[new] <= true[new] + ROUNDING).all()
        assert (high[new] >= true[new] - ROUNDING).all()
        np.testing.assert_array_equal(np.isinf(low), ~new)


@pytest.mark.parametrize("m", [6, 7, 1500])  # long rows too: numpy sorts short ones where it should partition
def test_lower_bounds_equals_the_maximum_over_y(m: int) -> None:
    costs, rows = instance(9, m, 3, seed=5)
    now = exact.solve(costs[rows])
    low = ex.lower_bounds(costs, rows, now)
    for p in range(3):
        rest = [i for i in range(3) if i != p]
        f = (costs[rows[rest]] - now.u[rest][:, None]).min(axis=0)
        for q in set(range(9)) - set(rows.tolist()):
            reduced = costs[q] - f  # F is concave and piecewise linear: its maximum is at one of these
            best = max(y / 3 + np.minimum(reduced - y, 0).mean() for y in reduced)
            assert low[p, q] == pytest.approx(now.u[rest].sum() / 3 + f.mean() + best, abs=ROUNDING)


def test_lower_bounds_equals_the_value_with_a_single_row() -> None:
    costs, rows = instance(6, 4, 1, seed=0)
    low = ex.lower_bounds(costs, rows, exact.solve(costs[rows]))
    others = np.delete(np.arange(6), rows)
    np.testing.assert_array_equal(low[0, others], costs.mean(axis=1)[others])


def test_leave_one_out_min_equals_enumeration() -> None:
    for seed in range(30):
        table = np.random.default_rng(seed).integers(0, 4, (5, 8)).astype(float)
        expected = [np.delete(table, p, axis=0).min(axis=0) for p in range(5)]
        np.testing.assert_array_equal(ex.leave_one_out_min(table), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_exchange_equals_a_local_optimum_given_enough_candidates(shape: tuple[int, int, int]) -> None:
    for seed in range(4):
        costs, rows = instance(*shape, seed)
        end = ex.exchange(costs, rows, max_exchanges=1000, candidates=1000)
        assert every_swap(costs, end.rows).min() >= end.transport.value - 1e-9
        assert end.transport.value == pytest.approx(exact.solve(costs[end.rows]).value, abs=ROUNDING)


def test_exchange_keeps_a_falling_trace_and_its_counts() -> None:
    costs, rows = instance(60, 20, 6, seed=1)
    end = ex.exchange(costs, rows, max_exchanges=100, candidates=3)
    values, solves = ([step[key] for step in end.trace] for key in ("poo", "solves"))
    assert [step["exchange"] for step in end.trace] == list(range(end.exchanges + 1))
    assert end.exchanges > 3
    assert (np.diff(values) < 0).all()
    assert solves[0] == 1
    assert (np.diff(solves) >= 1).all()
    assert solves[-1] <= end.solves <= solves[-1] + 3**2
    assert len(set(end.rows.tolist())) == 6


def test_exchange_never_passes_its_limit() -> None:
    costs, rows = instance(60, 20, 6, seed=1)
    assert ex.exchange(costs, rows, max_exchanges=2, candidates=3).exchanges == 2
    start = ex.exchange(costs, rows, max_exchanges=0, candidates=3)
    np.testing.assert_array_equal(start.rows, rows)
    assert start.solves == 1


def test_exchange_takes_the_first_improving_pair_by_bound() -> None:
    costs, rows = instance(30, 12, 4, seed=3)
    now, true = exact.solve(costs[rows]), every_swap(costs, rows)
    order = np.argsort(ex.lower_bounds(costs, rows, now).ravel(), kind="stable")
    first = next(pair for pair in order if true.ravel()[pair] < now.value)
    end = ex.exchange(costs, rows, max_exchanges=1, candidates=30)
    np.testing.assert_array_equal(end.rows, swapped(rows, *divmod(int(first), 30)))


def test_exchange_never_takes_a_pair_of_equal_cost() -> None:
    for shape in ((9, 6, 3), (9, 7, 3)):
        for seed in range(30):
            costs, rows = instance(*shape, seed, ties=True)
            end = ex.exchange(costs, rows, max_exchanges=30, candidates=30)
            assert (np.diff([step["poo"] for step in end.trace]) < 0).all()
            assert end.exchanges < 30


def test_exchange_ends_at_equal_cost_rows() -> None:
    costs = np.repeat(np.random.default_rng(0).random((3, 6)), 5, axis=0)  # every row five times
    end = ex.exchange(costs, np.array([0, 1, 2]), max_exchanges=50, candidates=50)
    assert end.exchanges < 10
    assert ex.exchange(np.ones((8, 3)), np.array([0, 1]), 50, 50).exchanges == 0


def test_exchange_keeps_its_input() -> None:
    costs, rows = instance(20, 8, 4, seed=2)
    before = costs.copy(), rows.copy()
    ex.exchange(costs, rows, max_exchanges=5, candidates=3)
    np.testing.assert_array_equal(costs, before[0])
    np.testing.assert_array_equal(rows, before[1])
