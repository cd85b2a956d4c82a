"""Pools: costs formed by blocks give what the whole matrix gives, whatever block, order or unit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.ot import distance
from goracs.ot.below import shares_below
from goracs.ot.cheapest import shape, shares
from goracs.ot.distance import blocks, decided, distances, largest_distance
from goracs.ot.pool import Dense, Streamed
from goracs.types import InvalidInput

Embedded = tuple[np.ndarray, np.ndarray]


def plain(rng: np.random.Generator) -> Embedded:
    return rng.normal(size=(90, 6)), rng.normal(size=(14, 6))


def whole_numbers(rng: np.random.Generator) -> Embedded:
    """Few different rows, and distances that tie."""
    return rng.integers(0, 2, (90, 3)).astype(float), rng.integers(0, 2, (14, 3)).astype(float)


def targets_in_the_pool(rng: np.random.Generator) -> Embedded:
    pool = rng.normal(size=(90, 6))
    pool[40:80] = pool[:40]
    return pool, np.repeat(pool[:7], 2, axis=0)


def scaled(by: float, shift: float = 0.0) -> Callable[[np.random.Generator], Embedded]:
    return lambda rng: (by * rng.normal(size=(90, 6)) + shift, by * rng.normal(size=(14, 6)) + shift)


def far_apart(rng: np.random.Generator) -> Embedded:
    """Two groups a million units apart, each with its own fine structure."""
    near = rng.normal(size=(104, 6)) + 1e6 * rng.integers(0, 2, (104, 1))
    return near[:90], near[90:]


def single_precision(rng: np.random.Generator) -> Embedded:
    return rng.normal(size=(90, 6)).astype(np.float32), rng.normal(size=(14, 6)).astype(np.float32)


def equal(_: np.random.Generator) -> Embedded:
    return np.full((90, 3), 0.1), np.full((14, 3), 0.1)


def wide(rng: np.random.Generator) -> Embedded:
    """Long sums of numbers of one sign: rounding adds up."""
    pool = 1 / 3 + 1e-3 * rng.normal(size=(90, 3000))
    return np.vstack([pool[:80], -pool[80:]]), 1 / 3 + 1e-3 * rng.normal(size=(14, 3000))


KINDS = {
    "plain": plain, "whole numbers": whole_numbers, "targets in the pool": targets_in_the_pool, "wide": wide,
    "far from the origin": scaled(1e-3, 1e6), "far apart": far_apart, "equal": equal,
    "float32": single_precision, "tiny": scaled(1e-30), "tinier": scaled(1e-60), "huge": scaled(1e30),
    "huger": scaled(1e60),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def embedded(request: pytest.FixtureRequest) -> Embedded:
    return KINDS[request.param](np.random.default_rng(0))


@pytest.fixture(params=[1, 5, 10**6])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of a block, for 14 targets."""
    monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * 14 * request.param)
    return int(request.param)


def both(pool: np.ndarray, target: np.ndarray, lam: float) -> tuple[Dense, Streamed]:
    """The same pool twice, in a shuffled order."""
    draw = np.random.default_rng(1)
    order = draw.permutation(len(pool))
    offset = lam * draw.choice([0.0, 0.25, 1.0, draw.random()], len(pool))
    streamed = Streamed(pool, target, order, offset, largest_distance(pool, target) or 1.0)
    costs = distances(pool, target)[order] / streamed.scale - offset[order, None]
    return Dense(costs), streamed


def test_blocks_bound_every_distance(embedded: Embedded, block: int) -> None:
    pool, target = embedded
    true = distances(pool, target)
    found = list(blocks(pool, target))
    assert [len(each.products) for each in found][:-1] == [min(block, len(pool))] * (len(found) - 1)
    low = np.concatenate([each.unit * each.low(each.squares()).astype(float) for each in found])
    high = np.concatenate([each.unit * each.high(each.squares()).astype(float) for each in found])
    assert (low >= 0).all()
    assert (low <= true).all()
    assert (true <= high).all()
    spread = true.max()
    assert high.max() <= 1.01 * spread + 1e-2 * (spread == 0)  # no idle bounds


@pytest.mark.parametrize("kind", ["f2", "f4", ">f4", "f8", ">f8", "g", "i1", "i8"])
def test_blocks_are_those_of_the_same_numbers_of_any_type(kind: str) -> None:
    pool, target = (np.arange(-20, 22).reshape(14, 3)[part] for part in (slice(9), slice(9, 14)))
    (expected,) = blocks(pool.astype(float), target.astype(float))
    strange = np.asfortranarray(np.vstack([pool, pool]).astype(kind))[:9]
    (found,) = blocks(strange, target.astype(kind))
    np.testing.assert_array_equal(found.squares(), expected.squares())


@pytest.mark.parametrize("size", [0.0, 0.1, 3.0, 1e6, 1e14, 1e16, 1e25])
def test_bounds_without_roots_equal_those_of_all_roots(embedded: Embedded, size: float) -> None:
    """To the last bit: what is left out is never among a row's cheapest."""
    pool, target = (np.tile(each, (3, 1)) for each in embedded)  # several chunks of columns
    draw = np.random.default_rng(2)
    for prices in (size * draw.normal(size=len(target)), size * draw.integers(-1, 2, len(target)) - size):
        for budget in (1, 4, 13, 42, 90):
            spread = shape(budget, len(target))
            for each in blocks(pool, target):
                every = shares(each.low(each.squares()), prices, spread)
                np.testing.assert_array_equal(shares_below(each, prices, spread), every)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_bounds_without_roots_equal_those_of_all_roots_where_they_nearly_tie(seed: int) -> None:
    """Prices that are distances, but for a few units in the last place: each root decides."""
    draw = np.random.default_rng(seed)
    pool, target = (draw.normal(size=(rows, 3)).astype(np.float32) for rows in (20, 40))
    (block,) = blocks(pool, target)
    low = block.low(block.squares())
    spread = shape(int(draw.integers(1, 41)), 40)
    offset = draw.choice([0.0, 1.0, 1e4])
    for row in range(5):
        prices = low[row] * (1 + 2.0**-23 * draw.integers(-2, 3, 40)) - offset
        np.testing.assert_array_equal(shares_below(block, prices, spread), shares(low, prices, spread))


def test_largest_distance_equals_that_of_all_pairs(embedded: Embedded, block: int) -> None:
    pool, target = embedded
    assert largest_distance(pool, target) == distances(pool, target).max()


@pytest.mark.parametrize("lam", [0.0, 0.5, 1e6, 1e14])
def test_streamed_equals_dense(embedded: Embedded, block: int, lam: float) -> None:
    dense, streamed = both(*embedded, lam)
    rows = np.array([3, 0, 89, 3])
    np.testing.assert_array_equal(streamed.rows(rows), dense.rows(rows))
    assert (streamed.size, streamed.width) == (dense.size, dense.width) == (90, 14)
    assert streamed.low == dense.low == dense.costs.min()
    draw = np.random.default_rng(2)
    for prices in (np.zeros(14), 0.1 * draw.normal(size=14), 0.1 * draw.integers(-1, 2, 14)):
        for budget, count in ((1, 3), (4, 16), (5, 90), (14, 30), (30, 7), (90, 1)):
            spread = shape(budget, 14)
            expected, figures = dense.cheapest(prices, spread, count)
            found, measured = streamed.cheapest(prices, spread, count)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(measured, figures)


def test_the_order_of_the_stored_rows_never_matters(embedded: Embedded) -> None:
    pool, target = embedded
    draw = np.random.default_rng(3)
    shuffled, prices = draw.permutation(len(pool)), 0.1 * draw.normal(size=len(target))
    order, offset = np.arange(len(pool)), draw.random(len(pool))
    first = Streamed(pool, target, order, offset, 1.0)
    second = Streamed(pool[shuffled], target, np.argsort(shuffled), offset[shuffled], 1.0)
    np.testing.assert_array_equal(first.rows(order), second.rows(order))
    assert first.low == second.low
    for budget in (1, 5, 30):
        pair = [each.cheapest(prices, shape(budget, 14), 20) for each in (first, second)]
        for one, other in zip(*pair, strict=True):
            np.testing.assert_array_equal(one, other)


def test_dense_cheapest_equals_a_stable_sort() -> None:
    costs = np.array([[2.0, 4.0], [1.0, 9.0], [1.0, 9.0], [9.0, 0.0]])
    rows, figures = Dense(costs).cheapest(np.array([0.0, 1.0]), shape(2, 2), 3)
    assert rows.tolist() == [3, 1, 2]  # each row ships to one column: -1, 1, 1 and 2
    assert figures.tolist() == [-1.0, 1.0, 1.0]
    rows, figures = Dense(costs).cheapest(np.zeros(2), shape(1, 2), 4)
    assert rows.tolist() == [0, 3, 1, 2]
    assert figures.tolist() == [3.0, 4.5, 5.0, 5.0]


@given(st.integers(0, 12), st.integers(0, 2**32))
@settings(max_examples=100)
def test_decided_equals_a_stable_sort_whatever_the_bounds(count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    true = draw.integers(0, 4, 12).astype(float)
    below = true - draw.choice([0.0, 0.5, 3.0], 12)
    rows, figures = decided(below, count, lambda rows: true[rows])
    expected = np.argsort(true, kind="stable")[:count]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(figures, true[expected])


def test_decided_measures_only_what_the_bounds_leave_open() -> None:
    measured: list[int] = []

    def measure(rows: np.ndarray) -> np.ndarray:
        measured.extend(rows.tolist())
        return rows.astype(float)

    decided(np.array([0.0, 0.5, 1.5, 3.0, 9.0]), 2, measure)
    assert sorted(measured) == [0, 1]


def test_streamed_forms_a_block_of_exact_costs_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """One target far away leaves nothing for the bounds to decide: every row is measured, not all at once."""
    draw, formed, rows = np.random.default_rng(0), [0], Streamed.rows
    pool, target = draw.normal(size=(90, 6)), draw.normal(size=(14, 6))
    target[0] *= 1e12
    streamed = Streamed(pool, target, np.arange(90), np.zeros(90), 1.0)
    whole = Dense(streamed.rows(np.arange(90)))

    def counted(self: Streamed, indices: np.ndarray) -> np.ndarray:
        formed.append(len(indices))
        return rows(self, indices)

    monkeypatch.setattr(Streamed, "rows", counted)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 8 * 14 * 5)
    for one, other in zip(
        *(each.cheapest(np.zeros(14), shape(20, 14), 10) for each in (streamed, whole)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert streamed.low == whole.low
    assert sum(formed) > 90
    assert max(formed) == 5


def test_blocks_refuse_what_overflows() -> None:
    with pytest.raises(InvalidInput, match="distances overflow float64: the embeddings are too large"):
        list(blocks(np.full((3, 2), 1e200), np.full((2, 2), -1e200)))
    with pytest.raises(InvalidInput, match="distances overflow float64"):
        list(blocks(np.zeros((3, 2)), np.full((2, 2), 1e308)))  # their sum does
    with pytest.raises(InvalidInput, match="these have no columns"):
        distances(np.empty((2, 0)), np.empty((2, 0)))
