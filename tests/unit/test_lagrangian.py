"""The Lagrangian bound: against every coreset of tiny pools, and against the plain bound it sharpens."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.ot import cost, exact, lagrangian, subgradient
from goracs.ot.cheapest import cheapest_of_all, lowest, shape, shares, units
from goracs.ot.lagrangian import Generated
from goracs.ot.pool import Dense

ROUNDING = 1e-12  # costs of order 1
SHAPES = [(8, 6, 3), (8, 7, 3), (7, 5, 4), (6, 4, 6), (7, 2, 5), (6, 5, 1), (6, 1, 2), (7, 3, 6)]  # N, m, n


def table(pool: int, m: int, seed: int, ties: bool) -> np.ndarray:
    rng = np.random.default_rng([seed, pool, m])
    return rng.integers(0, 3, (pool, m)).astype(float) if ties else rng.random((pool, m)) - 0.3


def optimum(costs: np.ndarray, budget: int) -> float:
    return min(exact.solve(costs[list(rows)]).value for rows in combinations(range(len(costs)), budget))


def in_units(costs: np.ndarray, prices: np.ndarray, budget: int) -> np.ndarray:
    """rho [N] by its definition: s cheapest units, a column offering t of them."""
    m = len(prices)
    g = np.gcd(budget, m)
    offered = np.sort(np.repeat(costs - prices, budget // g, axis=1), axis=1)
    found: np.ndarray = offered[:, : m // g].sum(axis=1) / (m // g)
    return found


def plain(costs: np.ndarray, prices: np.ndarray, budget: int) -> float:
    """The bound that lets a row ship all its mass to one column."""
    return float(prices.mean() + np.sort((costs - prices).min(axis=1))[:budget].mean())


def random_prices(costs: np.ndarray, rows: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Wild ones, and good ones: optimal duals of a coreset, as they are and shaken."""
    good = exact.solve(costs[draw.choice(len(costs), rows, replace=False)]).v
    wild = draw.normal(size=good.shape)
    return [wild, np.zeros_like(good), good, good + 0.1 * wild, good - good.mean()]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_bound_is_never_above_the_optimum_nor_below_the_plain_one(
    case: tuple[int, int, int], ties: bool
) -> None:
    pool, m, n = case
    for seed in range(4):
        costs, draw = table(pool, m, seed, ties), np.random.default_rng(seed)
        best = optimum(costs, n)
        for _ in range(5):
            for prices in random_prices(costs, n, draw):
                found = lagrangian.bound(Dense(costs), prices, n)
                assert found <= best + ROUNDING
                assert found >= plain(costs, prices, n) - ROUNDING


def test_bound_equals_the_value_at_optimal_duals_of_a_forced_coreset() -> None:
    """With n = N there is one coreset, and its duals prove it."""
    for m in (4, 6, 9):
        costs = table(6, m, 0, ties=False)
        held = exact.solve(costs)
        assert lagrangian.bound(Dense(costs), held.v, 6) == pytest.approx(held.value, abs=ROUNDING)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=100)
def test_shares_equals_the_cheapest_units(m: int, budget: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    costs, prices = draw.integers(-2, 3, (5, m)) / 2, draw.integers(-2, 3, m) / 2
    found = shares(costs, prices, shape(budget, m))
    np.testing.assert_allclose(found, in_units(costs, prices, budget), rtol=0, atol=ROUNDING)


def test_a_row_weighs_one_in_all() -> None:
    for m in range(1, 12):
        for n in range(1, 12):
            spread = shape(n, m)
            assert spread.whole * spread.weight + spread.rest == pytest.approx(1.0, abs=ROUNDING)
            assert spread.length == -(-m // n)


def test_the_plain_mean_of_the_cheapest_columns_overstates() -> None:
    """Why units: where n does not divide m, the mean of the ceil(m/n) cheapest is no bound."""
    costs = np.array([[0.0, 0.0, 9.0], [9.0, 9.0, 0.0]])
    mean_of_two = float(np.sort(costs, axis=1)[:, :2].mean())
    assert mean_of_two > optimum(costs, 2)
    assert lagrangian.bound(Dense(costs), np.zeros(3), 2) == pytest.approx(1.5)  # a third of row 1 goes at 9
    assert optimum(costs, 2) == pytest.approx(1.5)


@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 2**32))
@settings(max_examples=100)
def test_lowest_equals_a_stable_sort(m: int, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = min(count, m)
    row, prices = draw.integers(0, 5, m).astype(float), draw.integers(0, 2, m).astype(float)
    values, columns = np.empty(count), np.empty(count, np.int64)
    lowest(row, prices, values, columns)
    expected = np.argsort(row - prices, kind="stable")[:count]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, (row - prices)[expected])
    many = np.empty((2, count)), np.empty((2, count), np.int32)
    cheapest_of_all(np.array([row[::-1], row]), prices, *many)
    np.testing.assert_array_equal(many[1][1], expected)
    np.testing.assert_array_equal(many[0][0], np.sort(row[::-1] - prices)[:count])


def test_units_equals_a_sum_with_a_last_part() -> None:
    assert units(np.array([1.0, 2.0, 5.0]), 5, 2) == 2 * 1 + 2 * 2 + 1 * 5
    assert units(np.array([3.0]), 2, 7) == 2 * 3


def ascended(costs: np.ndarray, budget: int, generated: Generated) -> tuple[lagrangian.Dual, list[float]]:
    pool, told = Dense(costs), []

    def go_on(bound: float) -> bool:
        told.append(bound)
        return True

    held = exact.solve(costs[generated.rows[:budget]])
    dual = lagrangian.ascend(pool, budget, lagrangian.begin(held.v, generated), held.value, go_on)
    return dual, told


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_ascend_never_falls_and_its_bound_is_that_of_its_prices(
    case: tuple[int, int, int], ties: bool
) -> None:
    pool, m, n = case
    for seed in range(3):
        costs = table(pool, m, seed, ties)
        dual, told = ascended(costs, n, lagrangian.sample(Dense(costs), n))
        assert told == sorted(told)
        assert dual.bound >= told[-1]
        assert dual.bound == pytest.approx(lagrangian.bound(Dense(costs), dual.prices, n), abs=ROUNDING)
        assert dual.bound <= optimum(costs, n) + ROUNDING


def test_ascend_proves_what_the_plain_bound_cannot() -> None:
    costs = table(120, 30, seed=0, ties=False)
    dual, told = ascended(costs, 7, lagrangian.sample(Dense(costs), 7))
    held = exact.solve(costs[dual.favoured])
    assert len(told) > 1
    assert dual.bound > told[0]
    assert dual.bound > costs.min(axis=0).mean()  # the plain bound at no prices
    assert held.value - dual.bound < 0.05 * np.ptp(costs)


def test_ascend_generates_rows_of_the_pool_and_favours_some_of_them() -> None:
    costs = table(120, 31, seed=1, ties=False)
    first = lagrangian.sample(Dense(costs), 9)
    dual, _ = ascended(costs, 9, first)
    generated = dual.generated
    np.testing.assert_array_equal(generated.costs, costs[generated.rows])
    assert (np.diff(generated.rows) > 0).all()
    assert set(first.rows.tolist()) <= set(generated.rows.tolist())
    assert len(set(dual.favoured.tolist())) == 9
    assert set(dual.favoured.tolist()) <= set(generated.rows.tolist())
    spread = shape(9, 31)
    cheapest = np.argsort(shares(costs, dual.prices, spread), kind="stable")[: 4 * 9]
    assert set(cheapest.tolist()) <= set(generated.rows.tolist())  # the pass that gave the bound


def test_ascend_goes_on_while_passes_find_many_new_rows() -> None:
    """However little the bound rises: what it looks at is not yet what counts."""
    for seed in range(2, 5):
        costs, passes = table(400, 30, seed, ties=False), list[lagrangian.Ascent]()
        pool, first = Dense(costs), lagrangian.sample(Dense(costs), 20)
        held = exact.solve(costs[first.rows])
        begun = lagrangian.begin(held.v, first)
        dual = lagrangian.ascend(pool, 20, begun, held.value, lambda _: True, passes.append)
        assert passes[-1].turn < lagrangian.PASSES
        assert len(dual.generated.rows) - len(passes[-1].generated.rows) < 20 / 20


def test_the_bound_is_less_by_no_more_than_rounding_can_add() -> None:
    """One price, one share, terms that add up to 1: ten operations, each off by half of a last digit."""
    assert cost.proven(np.zeros(1), np.ones(1), 0.0) == 1 - 10 * 2.0**-53


def test_ascend_ends_when_told_to_with_a_valid_bound() -> None:
    costs = table(50, 12, seed=2, ties=False)
    held, first = exact.solve(costs[:5]), lagrangian.sample(Dense(costs), 5)
    dual = lagrangian.ascend(Dense(costs), 5, lagrangian.begin(held.v, first), held.value, lambda _: False)
    np.testing.assert_array_equal(dual.prices, held.v)
    assert dual.bound == pytest.approx(lagrangian.bound(Dense(costs), held.v, 5), abs=ROUNDING)


def test_sample_is_distinct_rows_from_one_end_to_the_other() -> None:
    costs = table(50, 3, seed=0, ties=False)
    assert lagrangian.sample(Dense(costs), 4).rows.tolist() == [0, 16, 32, 49]
    assert lagrangian.sample(Dense(costs), 99).rows.tolist() == list(range(50))
    assert lagrangian.sample(Dense(costs), 1).rows.tolist() == [0]


def test_with_rows_is_a_sorted_union() -> None:
    costs = table(20, 3, seed=0, ties=False)
    kept = Generated(np.array([3, 9]), costs[[3, 9]])
    more = kept.with_rows(Dense(costs), np.array([12, 9, 0]))
    assert more.rows.tolist() == [0, 3, 9, 12]
    np.testing.assert_array_equal(more.costs, costs[more.rows])
    assert kept.with_rows(Dense(costs), np.array([9, 3])) is kept


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.data())
def test_kth_equals_a_sort(values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(values) - 1))
    assert subgradient.kth(np.array(values, np.float64), k) == sorted(values)[k]


def test_the_steps_choose_ties_by_index_and_count_what_is_short() -> None:
    found = np.array([2.0, 1.0, 1.0, 0.0, 1.0])
    assert subgradient.smallest(found, 3).tolist() == [1, 2, 3]
    assert subgradient.smallest(found, 5).tolist() == [0, 1, 2, 3, 4]
    picked = np.array([[0, 1], [1, 2], [0, 2]])
    spread = shape(2, 3)  # 2/3 of a row to its cheapest column, 1/3 to the next
    short = subgradient.shortage(np.array([0, 2]), picked, spread.whole, 3)
    np.testing.assert_allclose(short, [1 - 2, 1 - 0.5, 1 - 0.5], atol=ROUNDING)


@pytest.mark.parametrize(("n", "m"), [(60, 20), (3, 1), (7, 7), (20, 60), (49, 7), (10, 70)])
def test_nothing_is_short_where_all_is_served_exactly(n: int, m: int) -> None:
    """Not by 1e-16 either: that would be taken for a direction."""
    spread = shape(n, m)
    picked = np.arange(n * spread.length).reshape(n, -1) % m
    short = subgradient.shortage(np.arange(n), picked, spread.whole, m)
    np.testing.assert_array_equal(short, np.zeros(m))


def dual(costs: np.ndarray, prices: np.ndarray, budget: int) -> Fraction:
    """L(v) in fractions."""
    m = len(prices)
    g = int(np.gcd(budget, m))
    s, t = m // g, budget // g
    exactly = [Fraction(price) for price in prices.tolist()]
    rho = []
    for row in costs.tolist():
        values = sorted(Fraction(cost) - price for cost, price in zip(row, exactly, strict=True))
        amounts = [min(t, max(0, s - t * x)) for x in range(m)]
        rho.append(sum(amount * value for amount, value in zip(amounts, values, strict=True)) / Fraction(s))
    return sum(exactly, Fraction()) / m + sum(sorted(rho)[:budget], Fraction()) / budget


@pytest.mark.parametrize("case", SHAPES)
def test_bound_is_below_what_its_prices_prove_however_large_they_are(case: tuple[int, int, int]) -> None:
    """Prices that ran away leave few digits: what rounding may have added is taken off."""
    pool, m, n = case
    costs = table(pool, m, 0, ties=False)
    for k in range(0, 40, 2):
        for seed in range(5):
            prices = 10.0**k * np.random.default_rng([k, seed]).normal(size=m)
            found, true = lagrangian.bound(Dense(costs), prices, n), dual(costs, prices, n)
            assert Fraction(found) <= true
            assert found == pytest.approx(float(true), rel=1e-9, abs=1e-12 * 10.0**k)


def test_nearest_rows_equals_a_sort_of_each_column() -> None:
    costs = table(30, 8, seed=3, ties=False)
    near = np.full((8, 5), -1, np.int64)
    subgradient.nearest_rows(costs, np.full(near.shape, 1e300), near)
    np.testing.assert_array_equal(near, np.argsort(costs, axis=0)[:5].T)


def test_a_direction_that_cancels_out_begins_anew() -> None:
    """The first column is short by 5 units, after a step by -4: .2 (-4) + .8 (.2 5) = 0."""
    pool = Dense(np.array([[0.01, 0.0]] * 9 + [[1.0, 0.0]]))
    generated = lagrangian.sample(pool, 10)
    ended = lagrangian.ascend(pool, 10, lagrangian.begin(np.zeros(2), generated), 0.005, lambda _: True)
    assert ended.bound == pytest.approx(exact.solve(pool.costs).value, abs=ROUNDING)
    assert np.abs(ended.prices).max() < 1


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_lists_read_in_part_equal_lists_read_whole(
    case: tuple[int, int, int], ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n cheapest rows, what they ship and where to, at prices that moved since the lists were made."""
    monkeypatch.setattr(subgradient, "WIDTH", 1)
    monkeypatch.setattr(subgradient, "NEAR", 2)
    pool, m, n = 4 * case[0], 3 * case[1], case[2]
    spread, left_out = shape(n, m), 0
    for seed in range(4):
        costs, draw = table(pool, m, seed, ties), np.random.default_rng(seed)
        prices = draw.integers(0, 2, m) / 2
        lists = subgradient.lists(costs, prices, spread.length)
        last = draw.choice(pool, n, replace=False)
        for moved in (0.0, 0.01, 0.1, 1.0):
            at = prices + moved * (draw.integers(-1, 2, m) if ties else draw.normal(size=m))
            picked, found = np.zeros((pool, spread.length), np.int64), np.empty(pool)
            subgradient.spread_rows(lists, at, *spread, last, picked, found)
            whole = [in_whole(lists, i, at, spread.length) for i in range(pool)]
            rho = np.array([subgradient.weigh(values, *spread) for values, _ in whole])
            chosen = np.lexsort((np.arange(pool), rho))[:n]
            np.testing.assert_array_equal(subgradient.smallest(found, n), np.sort(chosen))
            for i in chosen:
                assert found[i] == rho[i]
                np.testing.assert_array_equal(picked[i], whole[i][1])
            left_out += int((found > rho).sum())
            last = chosen
    assert left_out > 0


def in_whole(
    lists: subgradient.Lists, row: int, prices: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` smallest values of a list, ties by column, and their columns."""
    part = slice(lists.starts[row], lists.starts[row + 1])
    columns = lists.columns[part]
    assert len(np.unique(columns)) == len(columns)
    values = lists.costs[part] - prices[columns]
    order = np.lexsort((columns, values))[:count]
    return values[order], columns[order]


def test_lists_hold_the_cheapest_columns_and_those_a_row_is_near_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subgradient, "WIDTH", 1)
    monkeypatch.setattr(subgradient, "NEAR", 3)
    for seed in range(6):
        costs, prices = table(20, 30, seed, seed % 2 == 1), np.random.default_rng(seed).normal(size=30)
        lists = subgradient.lists(costs, prices, 2)
        near = np.argsort(costs, axis=0, kind="stable")[:3]
        for i in range(20):
            own = np.argsort(costs[i] - prices, kind="stable")[:6]
            listed = lists.columns[lists.starts[i] : lists.starts[i + 1]]
            assert sorted(listed) == sorted({*own, *np.flatnonzero((near == i).any(axis=0))})
            np.testing.assert_array_equal(listed[:6], own)
