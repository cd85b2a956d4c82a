"""Alternation: each half against its definition, never uphill, at rest only where it finds nothing better."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from goracs.ot import exact
from goracs.search.alternate import alternate, takeovers

ROUNDING = 1e-12  # costs of order 1
SHAPES = [(40, 12, 6), (40, 13, 6), (40, 5, 9), (30, 6, 12), (12, 7, 1), (20, 1, 4), (9, 6, 9)]  # N, m, n


def table(pool: int, m: int, seed: int, ties: bool = False) -> np.ndarray:
    rng = np.random.default_rng([seed, pool])
    return rng.integers(0, 3, (pool, m)).astype(float) if ties else rng.random((pool, m)) - 0.3


def run(costs: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, exact.Transport, list[float]]:
    told: list[float] = []

    def go_on(better: np.ndarray, found: exact.Transport) -> bool:
        assert len(set(better.tolist())) == len(rows)
        assert found.value == exact.solve(costs[better]).value
        told.append(found.value)
        return True

    end, held = alternate(costs, rows, exact.solve(costs[rows]), go_on)
    return end, held, told


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_alternate_falls_at_every_step_to_where_no_assignment_is_better(
    case: tuple[int, int, int], ties: bool
) -> None:
    pool, m, n = case
    for seed in range(5):
        costs = table(pool, m, seed, ties)
        rows = np.random.default_rng(seed).choice(pool, n, replace=False)
        start = exact.solve(costs[rows]).value
        end, held, told = run(costs, rows)
        assert all(after < before - ROUNDING / 2 for before, after in pairwise([start, *told]))
        assert held.value == [start, *told][-1]
        assert held.value == exact.solve(costs[end]).value
        assert len(set(end.tolist())) == n
        again, _, more = run(costs, end)
        assert more == []
        np.testing.assert_array_equal(again, end)


def test_takeovers_equals_its_sum() -> None:
    for pool, m, n in SHAPES:
        costs = table(pool, m, 0)
        plan = exact.solve(costs[:n]).plan
        np.testing.assert_allclose(takeovers(plan, costs), plan @ costs.T, rtol=0, atol=ROUNDING)


def test_the_first_step_equals_the_best_assignment_by_enumeration() -> None:
    for seed in range(10):
        costs = table(6, 7, seed)
        held = exact.solve(costs[:3])
        pay = held.plan @ costs.T
        best = min(permutations(range(6), 3), key=lambda rows: pay[range(3), rows].sum())
        end, found = alternate(costs, np.arange(3), held, lambda *_: False)
        value = exact.solve(costs[list(best)]).value
        if value < held.value - ROUNDING:
            np.testing.assert_array_equal(end, best)
            assert found.value == value
        else:
            np.testing.assert_array_equal(end, [0, 1, 2])


def test_alternate_ends_when_told_to() -> None:
    costs = table(200, 40, 3)
    rows = np.random.default_rng(0).choice(200, 15, replace=False)
    _, _, told = run(costs, rows)
    assert len(told) > 1
    _, held = alternate(costs, rows, exact.solve(costs[rows]), lambda *_: False)
    assert held.value == told[0]


def test_alternate_is_at_rest_on_equal_costs() -> None:
    costs = np.full((8, 5), 0.7)
    end, _, told = run(costs, np.array([4, 2]))
    assert (end.tolist(), told) == ([4, 2], [])


def test_alternate_is_unchanged_by_a_cost_that_is_never_paid() -> None:
    """However far out: its size is no measure of what progress is."""
    costs = table(200, 40, 3)
    rows = np.random.default_rng(0).choice(200, 15, replace=False)
    end, held, told = run(costs, rows)
    assert len(told) > 1
    for k in (3, 12, 18, 100):
        far = costs.copy()
        far[0, 0] = 10.0**k
        assert 0 not in rows
        assert 0 not in end
        again, found, _ = run(far, rows)
        np.testing.assert_array_equal(again, end)
        assert found.value == held.value
