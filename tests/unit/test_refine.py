"""Exchanges: bounds on both sides of every one of them, the best for a place, and what a proof promises."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from goracs.ot import exact, flow
from goracs.ot.cheapest import cheapest_of_all, lowest, units
from goracs.ot.incremental import OpenTransport
from goracs.search import best_exchange as be
from goracs.search.refine import Sweeps, refine

ROUNDING = 1e-12  # costs of order 1
BIG = 1e300
SHAPES = [  # N, m, n
    (12, 9, 1), (12, 9, 2), (10, 6, 3), (10, 7, 3), (11, 10, 4), (9, 3, 5), (9, 1, 4), (12, 4, 6), (9, 6, 8),
    (13, 20, 6), (6, 4, 6),
]  # fmt: skip
Kind = Callable[[np.random.Generator, int, int], np.ndarray]
KINDS: dict[str, Kind] = {
    "plain": lambda rng, pool, m: rng.random((pool, m)) - 0.3 * rng.random((pool, 1)),
    "ties": lambda rng, pool, m: rng.integers(0, 3, (pool, m)) / 2,
    "duplicates": lambda rng, pool, m: rng.random((5, m))[rng.integers(0, 5, pool)],
    "equal": lambda _, pool, m: np.full((pool, m), 0.7),
}
EVERY = pytest.mark.parametrize("kind", KINDS)
OVER = pytest.mark.parametrize("shape", SHAPES)


def instance(kind: str, shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    pool, m, n = shape
    rng = np.random.default_rng([seed, pool, m])
    return KINDS[kind](rng, pool, m), np.sort(rng.choice(pool, n, replace=False))


def after(costs: np.ndarray, rows: np.ndarray, p: int, q: int) -> float:
    return exact.solve(costs[[*rows[:p], q, *rows[p + 1 :]]]).value


def outside(costs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(len(costs)), rows)


class Table:
    """An open transport with all that `best_exchange` works on."""

    def __init__(self, costs: np.ndarray, rows: np.ndarray, listed: int, v: np.ndarray | None = None) -> None:
        self.costs, self.rows = costs, rows.copy()
        self.held = OpenTransport(costs[rows])
        self.flow, self.units = self.held.flow, self.held.total_units
        self.chosen = np.zeros(len(costs), np.bool_)
        self.chosen[rows] = True
        self.space = be.scratch(len(costs), self.flow)
        lists = np.empty((len(costs), listed)), np.empty((len(costs), listed), np.int32)
        self.reference = be.Reference(self.held.v if v is None else v, *lists)
        cheapest_of_all(costs, self.reference.v, *lists)
        self.counts = np.zeros(3, np.int64)

    def take_out(self, p: int) -> tuple[float, float]:
        shipped = flow.total(self.flow) - flow.take_out(self.flow, p, self.space.out)
        return shipped, shipped + be.prices_without(self.flow, self.space)

    def best(self, p: int, tolerance: float = 1e-9) -> float:
        value = be.best_exchange(
            self.flow, self.costs, self.rows, self.chosen, p, flow.total(self.flow), tolerance,
            self.reference, self.space, self.counts,
        )  # fmt: skip
        return float(value / self.units)

    def ruled_out(self, q: int, base: float, limit: float, cuts: int) -> bool:
        return bool(
            be.ruled_out(self.costs[q], base, limit, cuts, self.flow.s, self.flow.t, self.space, self.counts)
        )


def tables(kind: str, shape: tuple[int, int, int], seed: int) -> list[Table]:
    """With long and short lists, at the flow's own prices and at some that have nothing to do with it."""
    costs, rows = instance(kind, shape, seed)
    _, m, n = shape
    least = -(-m // n)
    wild = np.random.default_rng(seed).normal(size=m)
    return [Table(costs, rows, m), Table(costs, rows, least), Table(costs, rows, min(m, least + 1), wild)]


@EVERY
@OVER
def test_bounds_lie_on_both_sides_of_every_exchange(kind: str, shape: tuple[int, int, int]) -> None:
    for table in tables(kind, shape, 0):
        others = outside(table.costs, table.rows)
        for p in range(len(table.rows)):
            true = {q: table.units * after(table.costs, table.rows, p, q) for q in others}
            shipped, base = table.take_out(p)
            left, promising = be.lower_bounds(
                table.flow, table.costs, table.chosen, shipped, base, BIG, table.reference, table.space
            )
            rounding = ROUNDING * table.units
            np.testing.assert_array_equal(table.space.survivor[:left], others)
            lack, demand = (getattr(table.flow, name)[: table.flow.counts[0]] for name in ("lack", "demand"))
            upper = {q: shipped + demand @ table.costs[q, lack] for q in others}
            for place, q in enumerate(others):
                assert table.space.bound[place] <= true[q] + rounding
                assert upper[q] >= true[q] - rounding
                lowest(table.costs[q], table.space.prices, table.space.values, table.space.columns)
                full = base + units(table.space.values, table.flow.s, table.flow.t)
                assert table.space.bound[place] <= full + rounding  # the list sees less
                assert not table.ruled_out(q, base, true[q] + rounding, 0)
                assert table.ruled_out(q, base, full - rounding, 0)
            if left:
                assert upper[others[promising]] <= min(upper.values()) + rounding
            flow.put_back(table.flow, p, table.space.out)


@EVERY
@OVER
def test_cuts_bound_every_other_exchange(kind: str, shape: tuple[int, int, int]) -> None:
    """At the duals where a row was given up, early or at the very end."""
    table = tables(kind, shape, 1)[0]
    others = outside(table.costs, table.rows)
    for p in range(len(table.rows)):
        true = {q: table.units * after(table.costs, table.rows, p, q) for q in others}
        shipped, base = table.take_out(p)
        for q in others[:4]:
            for limit in (shipped, 0.5 * (base + true[q]), true[q] - ROUNDING, BIG):
                flow.open_journal(table.flow)
                flow.insert(table.flow, p, table.costs[q])
                flow.route(table.flow, p, shipped, limit)
                table.space.cut_base[0] = be.cut(table.flow, p, table.space.cuts[0])
                flow.restore(table.flow, table.space.out)
                for other in others:
                    lowest(table.costs[other], table.space.cuts[0], table.space.values, table.space.columns)
                    rest = units(table.space.values, table.flow.s, table.flow.t)
                    bound = table.space.cut_base[0] + rest
                    assert bound <= true[other] + ROUNDING * table.units
                    assert not table.ruled_out(other, base, true[other] + ROUNDING * table.units, 1)
        flow.put_back(table.flow, p, table.space.out)


@EVERY
@OVER
def test_best_exchange_equals_enumeration(kind: str, shape: tuple[int, int, int]) -> None:
    for table in tables(kind, shape, 2):
        for p in range(len(table.rows)):
            value, rows = table.held.value, table.rows.copy()
            costs, others = table.costs, outside(table.costs, table.rows)
            least = min([after(costs, rows, p, q) for q in others], default=np.inf)
            found = table.best(p)
            table.held = OpenTransport(costs[table.rows])
            assert flow.total(table.flow) / table.units == pytest.approx(table.held.value, abs=ROUNDING)
            np.testing.assert_array_equal(np.flatnonzero(table.chosen), np.sort(table.rows))
            if least < value - 1e-9:
                assert found == pytest.approx(least, abs=ROUNDING)
                assert after(costs, rows, p, table.rows[p]) == pytest.approx(least, abs=ROUNDING)
                np.testing.assert_array_equal(np.delete(table.rows, p), np.delete(rows, p))
            else:
                assert found == pytest.approx(value, abs=ROUNDING)
                np.testing.assert_array_equal(table.rows, rows)


def test_best_exchange_that_finds_nothing_changes_nothing() -> None:
    for shape in ((40, 12, 6), (40, 13, 6)):
        costs, rows = instance("plain", shape, 0)
        table = Table(costs, rows, 5)
        names = ("costs", "u", "between", "columns", "units", "degree")
        before = {name: getattr(table.flow, name).copy() for name in names}
        for p in range(6):
            table.best(p, tolerance=1e6)  # nothing gains so much
            np.testing.assert_array_equal(table.rows, rows)
        used = np.arange(before["columns"].shape[1]) < before["degree"][:, None]
        for name, old in before.items():
            kept = used if name in ("columns", "units") else np.ones(old.shape, bool)
            np.testing.assert_array_equal(getattr(table.flow, name)[kept], old[kept], err_msg=name)


def run(
    costs: np.ndarray, sweeps: Sweeps, limit: int | None = None
) -> tuple[Sweeps, list[float], list[Sweeps]]:
    values, states = [exact.solve(costs[sweeps.rows]).value], [sweeps]
    held = set(sweeps.rows.tolist())

    def go_on(rows: np.ndarray, value: float) -> bool:
        assert value == pytest.approx(exact.solve(costs[rows]).value, abs=ROUNDING)
        if set(rows.tolist()) != held:
            assert len(held - set(rows.tolist())) == 1  # one out, one in
            held.clear()
            held.update(rows.tolist())
            values.append(value)
        return True

    end = refine(costs, sweeps, limit, go_on, states.append)
    return end, values, states


@EVERY
@OVER
def test_proven_means_that_no_exchange_helps(kind: str, shape: tuple[int, int, int]) -> None:
    for seed in range(4):
        costs, rows = instance(kind, shape, seed)
        end, values, _ = run(costs, Sweeps(rows))
        assert end.proven
        assert values[-1] == pytest.approx(exact.solve(costs[end.rows]).value, abs=ROUNDING)
        assert len(values) == end.exchanges + 1
        assert all(later < earlier for earlier, later in pairwise(values))
        for p in range(len(rows)):
            for q in outside(costs, end.rows):
                assert after(costs, end.rows, p, q) >= values[-1] - 3 * ROUNDING


def test_refine_never_passes_its_limit() -> None:
    costs, rows = instance("plain", (80, 21, 8), 2)
    whole, _, states = run(costs, Sweeps(rows))
    assert whole.exchanges > states[1].exchanges > 4  # those of later sweeps count, too
    for limit in range(whole.exchanges):
        end, values, _ = run(costs, Sweeps(rows), limit)
        assert (end.exchanges, len(values)) == (limit, limit + 1)
        assert not end.proven
    start, _, states = run(costs, Sweeps(rows), 0)
    assert (start, len(states)) == (states[0], 1)
    end, _, _ = run(costs, Sweeps(rows), whole.exchanges + 1)
    assert end.proven


@pytest.mark.parametrize("kind", ["plain", "ties"])
@pytest.mark.parametrize("shape", [(80, 21, 8), (80, 24, 8), (60, 5, 12)])
def test_refine_ends_the_same_from_every_state_on_the_way(kind: str, shape: tuple[int, int, int]) -> None:
    costs, rows = instance(kind, shape, 3)
    end, _, states = run(costs, Sweeps(rows))
    assert len(states) > 2
    assert states[-1].proven
    for state in states:
        again, _, _ = run(costs, state)
        np.testing.assert_array_equal(again.rows, end.rows)
        assert (again.number, again.exchanges, again.counts) == (end.number, end.exchanges, end.counts)
        assert (np.diff(state.rows) > 0).all()


def test_refine_is_unchanged_by_the_order_of_its_rows() -> None:
    for seed in range(4):
        costs, rows = instance("plain", (80, 21, 8), seed)
        first, other = (run(costs, Sweeps(order))[0] for order in (rows, rows[::-1].copy()))
        np.testing.assert_array_equal(first.rows, other.rows)
        assert (first.number, first.exchanges, first.counts) == (other.number, other.exchanges, other.counts)


def test_refine_ends_when_told_to_without_a_proof() -> None:
    costs, rows = instance("plain", (80, 21, 8), 0)
    end, _, _ = run(costs, Sweeps(rows))
    visited: list[float] = []
    between: list[Sweeps] = []

    def go_on(_: np.ndarray, value: float) -> bool:
        visited.append(value)
        return len(visited) < 3

    stopped = refine(costs, Sweeps(end.rows), None, go_on, between.append)
    assert (len(visited), between, stopped.proven) == (3, [], False)
    np.testing.assert_array_equal(stopped.rows, end.rows)


def test_refine_keeps_its_input() -> None:
    costs, rows = instance("plain", (80, 21, 8), 0)
    kept, first = costs.copy(), rows.copy()
    end, _, _ = run(costs, Sweeps(rows))
    assert end.exchanges > 0
    np.testing.assert_array_equal(costs, kept)
    np.testing.assert_array_equal(rows, first)


def test_refine_finishes_at_large_units_and_offsets() -> None:
    """The tolerance follows the size of the costs: rounding is never taken for progress."""
    for unit, shift in ((1e-12, 0.0), (1e12, 0.0), (1.0, -1e6), (1.0, 1e9)):
        for kind in ("plain", "ties"):
            costs, rows = instance(kind, (40, 13, 6), 0)
            moved = unit * costs + shift
            end = refine(moved, Sweeps(rows), 500, lambda *_: True, lambda _: None)
            assert end.proven
            value, size = exact.solve(moved[end.rows]).value, np.abs(moved).max()
            for p in range(6):
                for q in outside(moved, end.rows):
                    assert after(moved, end.rows, p, q) >= value - 3 * ROUNDING * size


@pytest.mark.parametrize("shape", [(40, 13, 6), (40, 12, 6), (30, 5, 10)])
def test_proven_means_that_no_exchange_helps_beside_costs_far_out(shape: tuple[int, int, int]) -> None:
    """A few costs of any size, paid at the start or not, hide no exchange among the others."""
    for k in range(3, 61, 3):
        costs, rows = instance("plain", shape, k)
        draw = np.random.default_rng(k)
        far = draw.random(costs.shape) < 0.05
        costs[far] = 10.0**k * draw.random(far.sum())
        end = refine(costs, Sweeps(rows), 500, lambda *_: True, lambda _: None)
        assert end.proven
        value = exact.solve(costs[end.rows]).value
        assert value < 10
        for p in range(len(rows)):
            for q in outside(costs, end.rows):
                assert after(costs, end.rows, p, q) >= value - 10 * ROUNDING, k
