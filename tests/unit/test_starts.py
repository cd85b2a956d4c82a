"""Starts: the lazy rules against plain ones that try every row at every step."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.ot import distance, exact
from goracs.ot.pool import Dense, Streamed
from goracs.search import lazily, starts

ROUNDING = 1e-12


def whole(rng: np.random.Generator, pool: int, m: int) -> np.ndarray:
    """Whole numbers: every sum is exact, so lazy and plain must agree to the row."""
    return rng.integers(-(1 << 30), 1 << 30, (pool, m)).astype(float)


def ties(rng: np.random.Generator, pool: int, m: int) -> np.ndarray:
    return rng.integers(-1, 2, (pool, m)).astype(float)


def duplicates(rng: np.random.Generator, pool: int, m: int) -> np.ndarray:
    return rng.integers(0, 9, (4, m))[rng.integers(0, 4, pool)].astype(float)


def equal(_: np.random.Generator, pool: int, m: int) -> np.ndarray:
    return np.full((pool, m), -2.0)


KINDS = [whole, ties, duplicates, equal]
Kind = Callable[[np.random.Generator, int, int], np.ndarray]


def plain_facility(costs: np.ndarray, budget: int) -> list[int]:
    picked: list[int] = []
    while len(picked) < budget:
        others = [row for row in range(len(costs)) if row not in picked]
        served = [costs[[*picked, row]].min(axis=0).sum() for row in others]
        if picked and min(served) == costs[picked].min(axis=0).sum():
            return picked + others[: budget - len(picked)]  # nothing gains any more
        picked.append(others[int(np.argmin(served))])
    return picked


def plain_capacity(costs: np.ndarray, budget: int) -> list[int]:
    """Every column written out t times; a row takes its s cheapest copies, ties to the earlier column."""
    pool, m = costs.shape
    g = np.gcd(budget, m)
    copies, left = np.repeat(np.arange(m), budget // g), list(range(pool))
    picked: list[int] = []
    for _ in range(budget):
        taken = {row: np.argsort(costs[row, copies], kind="stable")[: m // g] for row in left}
        best = min(left, key=lambda row: (costs[row, copies[taken[row]]].sum(), row))
        copies = np.delete(copies, taken[best])
        left.remove(best)
        picked.append(best)
    return picked


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(1, 9), st.integers(1, 14), st.integers(0, 4), st.integers(0, 2**32))
@settings(max_examples=40)
def test_facility_equals_the_plain_rule(kind: Kind, m: int, budget: int, more: int, seed: int) -> None:
    costs = kind(np.random.default_rng(seed), budget + more, m)
    assert starts.facility(costs, budget).tolist() == plain_facility(costs, budget)


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(1, 9), st.integers(1, 14), st.integers(0, 4), st.integers(0, 2**32))
@settings(max_examples=40)
def test_capacity_equals_the_plain_rule(kind: Kind, m: int, budget: int, more: int, seed: int) -> None:
    costs = kind(np.random.default_rng(seed), budget + more, m)
    assert starts.capacity(costs, budget).tolist() == plain_capacity(costs, budget)


def test_facility_takes_the_first_rows_where_nothing_gains() -> None:
    costs = np.array([[3.0, 3.0], [0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert starts.facility(costs, 3).tolist() == [1, 0, 2]


def test_capacity_serves_every_column_where_facility_forgets_some_rows() -> None:
    """One row is nearest to everything, but ships only its own share."""
    costs = np.array([[0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0], [9.0, 9.0, 1.0, 1.0]])
    assert starts.facility(costs, 2).tolist() == [0, 1]
    assert starts.capacity(costs, 2).tolist() == [0, 2]


@pytest.mark.parametrize("start", [starts.facility, starts.capacity])
def test_starts_equal_distinct_rows_on_any_costs(start: Callable[[np.ndarray, int], np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for unit in (1.0, 1e-12, 1e12):
        for pool, m, n in ((50, 21, 8), (50, 24, 8), (20, 3, 20), (9, 5, 1), (1, 4, 1), (30, 1, 7)):
            costs = unit * (rng.random((pool, m)) - 2 * rng.random((pool, 1)))
            kept = costs.copy()
            rows = start(costs, n)
            assert len(set(rows.tolist())) == n
            assert rows.dtype == np.int64
            assert 0 <= rows.min() <= rows.max() < pool
            np.testing.assert_array_equal(costs, kept)


def test_capacity_begins_below_facility_where_gradients_weigh() -> None:
    rng = np.random.default_rng(1)
    costs = rng.random((200, 40)) - 0.5 * rng.random((200, 1))
    by_capacity, by_facility = (
        exact.solve(costs[pick(costs, 10)]).value for pick in (starts.capacity, starts.facility)
    )
    assert by_capacity < by_facility


GRIDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "plain": lambda draw, rows: draw.normal(size=(rows, 3)),
    "ties": lambda draw, rows: draw.integers(0, 3, (rows, 2)).astype(float),
    "equal": lambda _, rows: np.ones((rows, 2)),
    "far out": lambda draw, rows: draw.normal(size=(rows, 3)) * 10.0 ** draw.integers(0, 9, (rows, 1)),
}


@pytest.mark.parametrize("rows_of_a_block", [1, 9, 10**6])
@pytest.mark.parametrize("kind", GRIDS)
def test_lazily_picks_the_rows_that_starts_picks(
    kind: str, rows_of_a_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazily, "FEW", 4)  # so that most rows are looked at more than once
    monkeypatch.setattr(lazily, "PART", 2)
    for seed, (m, n) in enumerate([(14, 5), (14, 7), (14, 28), (5, 20), (1, 9), (9, 1), (12, 120)]):
        draw = np.random.default_rng(seed)
        pool, target = GRIDS[kind](draw, 120), GRIDS[kind](draw, m)
        monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * m * rows_of_a_block)
        for lam in (0.0, 0.4, 1e3):
            offset = lam * draw.integers(0, 4, 120) / 4
            streamed = Streamed(pool, target, draw.permutation(120), offset, 1.5)
            whole = Dense(streamed.rows(np.arange(120))).costs
            for start in ("facility", "capacity"):
                expected = getattr(starts, start)(whole, n)
                np.testing.assert_array_equal(getattr(lazily, start)(streamed, n), expected)


def test_lazily_forms_few_exact_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, formed, rows = np.random.default_rng(0), [0], Streamed.rows
    pool, target = draw.normal(size=(9000, 8)), draw.normal(size=(40, 8))

    def counted(self: Streamed, indices: np.ndarray) -> np.ndarray:
        formed.append(len(indices))
        return rows(self, indices)

    monkeypatch.setattr(Streamed, "rows", counted)
    lazily.capacity(Streamed(pool, target, np.arange(9000), np.zeros(9000), 1.0), 20)
    assert sum(formed) < 3000
    assert max(formed) < 900


def test_random_equals_another_draw_for_another_generator() -> None:
    found = [starts.random(30, 5, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].tolist() != found[2].tolist()
    assert sorted(starts.random(6, 6, np.random.default_rng(2)).tolist()) == list(range(6))
