"""Incremental transport: the invariants of an optimal flow, and a cold solve of every swapped problem."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.ot import exact, flow
from goracs.ot.incremental import OpenTransport
from goracs.types import GoracsError, InvalidInput

ROUNDING = 1e-12  # of max|C|

Table = np.ndarray
SHAPES = [  # N, m, n
    (30, 24, 6), (30, 23, 6), (40, 21, 14), (30, 7, 20), (30, 10, 20), (30, 12, 12), (30, 9, 1),
    (30, 1, 7), (8, 1, 1), (6, 11, 5), (60, 80, 33), (70, 5, 64),
]  # fmt: skip
KINDS: dict[str, Callable[[np.random.Generator, int, int], Table]] = {
    "plain": lambda rng, pool, m: rng.random((pool, m)),
    "ties": lambda rng, pool, m: rng.integers(0, 4, (pool, m)).astype(float),
    "zero": lambda rng, pool, m: np.zeros((pool, m)),  # noqa: ARG005
    "duplicates": lambda rng, pool, m: rng.random((5, m))[rng.integers(0, 5, pool)][:, rng.integers(0, m, m)],
    "twelve orders": lambda rng, pool, m: 10.0 ** rng.uniform(-12, 0, (pool, m)),
    "large lam": lambda rng, pool, m: rng.random((pool, m)) - 1e6 * rng.random((pool, 1)),
    "tiny unit": lambda rng, pool, m: 1e-12 * (rng.random((pool, m)) - 0.3 * rng.random((pool, 1))),
    "huge unit": lambda rng, pool, m: 1e12 * (rng.random((pool, m)) - 0.3 * rng.random((pool, 1))),
}


def pool_of(kind: str, shape: tuple[int, int, int], seed: int = 0) -> tuple[Table, np.ndarray]:
    pool, m, n = shape
    rng = np.random.default_rng([seed, n, m])
    return KINDS[kind](rng, pool, m), rng.choice(pool, n, replace=False)


def swaps(costs: Table, rows: np.ndarray, count: int, seed: int = 0) -> Iterator[tuple[int, int]]:
    """Random places and rows from outside; the caller keeps `rows` up to date."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        outside = np.setdiff1d(np.arange(len(costs)), rows)
        yield int(rng.integers(len(rows))), int(rng.choice(outside))


def flows(held: OpenTransport) -> Table:
    """[n, m] the whole units of every arc; each column is listed at most once."""
    n, m = held.costs.shape
    units = np.zeros((n, m), np.int64)
    for k, degree in enumerate(held.flow.degree):
        columns = held.flow.columns[k, :degree]
        assert len(set(columns.tolist())) == degree
        units[k, columns] = held.flow.units[k, :degree]
        assert (held.flow.units[k, :degree] > 0).all()
    return units


def between(held: OpenTransport) -> Table:
    """W by its definition."""
    costs, served = held.costs, flows(held) > 0
    return np.array([(costs[:, own] - costs[k, own]).min(axis=1) for k, own in enumerate(served)])


def check(held: OpenTransport, costs: Table) -> None:
    """Every invariant of the flow, and that it costs what a cold solve costs."""
    n, m = costs.shape
    g, size = int(np.gcd(n, m)), np.abs(costs).max()
    np.testing.assert_array_equal(held.costs, costs)
    units, u, v = flows(held), held.u, held.v
    np.testing.assert_array_equal(units.sum(axis=1), m // g)
    np.testing.assert_array_equal(units.sum(axis=0), n // g)
    reduced = costs - u[:, None] - v
    assert reduced.min() >= -ROUNDING * size
    assert np.abs(reduced[units > 0]).max() <= ROUNDING * size
    assert abs(held.value - u.mean() - v.mean()) <= ROUNDING * size
    assert abs(held.value - (held.plan * costs).sum()) <= ROUNDING * size
    np.testing.assert_array_equal(held.flow.between[:, :n], between(held))
    assert abs(held.value - exact.solve(costs).value) <= ROUNDING * size


def state(held: OpenTransport) -> dict[str, np.ndarray]:
    """What a refused exchange must leave as it was, bit for bit."""
    kept = {name: getattr(held.flow, name).copy() for name in ("costs", "u", "between")}
    return {**kept, "flow": flows(held), "value": np.array(held.value), "v": held.v}


def assert_as_before(held: OpenTransport, before: dict[str, np.ndarray]) -> None:
    now = state(held)
    for name, old in before.items():
        np.testing.assert_array_equal(now[name], old, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_swap_keeps_every_invariant_and_equals_a_cold_solve(kind: str, shape: tuple[int, int, int]) -> None:
    costs, rows = pool_of(kind, shape)
    held = OpenTransport(costs[rows])
    check(held, costs[rows])
    for p, q in swaps(costs, rows, 20):
        rows[p] = q
        value = held.swap(p, costs[q])
        check(held, costs[rows])
        assert value == held.value


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 2), st.data())
@settings(max_examples=60)
def test_swap_equals_a_cold_solve_on_small_whole_numbers(
    n: int, m: int, top: int, data: st.DataObject
) -> None:
    entry = st.integers(-top, top)
    table = st.lists(st.lists(entry, min_size=m, max_size=m), min_size=n + 3, max_size=n + 3)
    costs = np.array(data.draw(table), dtype=float)
    rows = np.arange(n)
    held = OpenTransport(costs[rows])
    for q in (n, n + 1, n + 2, 0, n):
        p = data.draw(st.integers(0, n - 1))
        rows[p] = q  # a row may stand in two places: transport does not mind
        held.swap(p, costs[q])
        check(held, costs[rows])


def test_opening_all_rows_of_a_pool_equals_a_cold_solve() -> None:
    for shape in ((12, 30, 12), (12, 7, 12), (1, 5, 1), (1, 1, 1)):
        costs, rows = pool_of("plain", shape)
        check(OpenTransport(costs[rows]), costs[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_swap_and_swap_back_equals_the_value_before(kind: str) -> None:
    for shape in ((60, 30, 10), (60, 31, 10)):
        costs, rows = pool_of(kind, shape)
        held = OpenTransport(costs[rows])
        before = held.value
        for p, q in swaps(costs, rows, 10):
            held.swap(p, costs[q])
            held.swap(p, costs[rows[p]])
            assert abs(held.value - before) <= ROUNDING * np.abs(costs).max()
        check(held, costs[rows])


def test_a_long_chain_of_swaps_never_drifts() -> None:
    for kind in ("plain", "large lam"):
        costs, rows = pool_of(kind, (40, 13, 8))
        held = OpenTransport(costs[rows])
        for p, q in swaps(costs, rows, 3000):
            rows[p] = q
            held.swap(p, costs[q])
        check(held, costs[rows])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_swap_if_below_is_done_only_below_the_limit_and_else_changes_nothing(
    kind: str, shape: tuple[int, int, int]
) -> None:
    costs, rows = pool_of(kind, shape, seed=1)
    held, size = OpenTransport(costs[rows]), np.abs(costs).max()
    draw = np.random.default_rng(5)
    for p, q in swaps(costs, rows, 8):
        new = rows.copy()
        new[p] = q
        true, spread = exact.solve(costs[new]).value, np.ptp(costs)
        limit = true + draw.choice([-1, -0.3, -0.01, 0.01, 0.3]) * (spread or 1.0)
        before = state(held)
        done, value = held.swap_if_below(p, costs[q], limit)
        assert done == (true < limit)
        assert value <= true + ROUNDING * size
        if done:
            rows = new
            assert value == held.value
        else:
            assert value >= limit - ROUNDING * size  # it is known to be no better than the limit
            assert_as_before(held, before)
        check(held, costs[rows])


def test_swap_if_below_gives_up_only_with_a_bound_and_tells_more_at_a_larger_limit() -> None:
    """On the way every distance is a better bound, so it ends at the first at or above the limit."""
    costs, rows = pool_of("plain", (60, 30, 10))
    held, given_up = OpenTransport(costs[rows]), 0
    for p, q in swaps(costs, rows, 20):
        new = rows.copy()
        new[p] = q
        true = exact.solve(costs[new]).value
        bounds = [held.swap_if_below(p, costs[q], true - less)[1] for less in (1.0, 0.01, 0.001, 0.0001)]
        assert all(first <= second + ROUNDING for first, second in pairwise(bounds))
        given_up += bounds[0] < true - ROUNDING
    assert given_up > 0


def test_the_journal_brings_back_what_a_swap_changed() -> None:
    """As in the search: rows are tried one after the other in a place, and the old one comes back."""
    for kind, shape in (("plain", (60, 31, 10)), ("ties", (60, 30, 10)), ("plain", (60, 7, 20))):
        costs, rows = pool_of(kind, shape)
        held = OpenTransport(costs[rows])
        before, space = state(held), flow.aside(held.flow)
        flow.take_out(held.flow, 3, space)
        values = []
        for q in [*np.setdiff1d(np.arange(60), rows)[:6]] * 2:
            flow.open_journal(held.flow)
            flow.insert(held.flow, 3, costs[q])
            values.append(flow.route(held.flow, 3, 0.0, flow.BIG)[1])
            flow.restore(held.flow, space)
        flow.put_back(held.flow, 3, space)
        assert values[:6] == values[6:]
        assert_as_before(held, before)


def test_open_transport_keeps_its_input_and_swap_the_row() -> None:
    costs, rows = pool_of("plain", (30, 24, 6))
    kept = costs.copy()
    held = OpenTransport(costs[rows])
    held.swap(0, costs[20])
    held.swap_if_below(1, costs[21], -1.0)
    np.testing.assert_array_equal(costs, kept)


def test_open_transport_refuses() -> None:
    with pytest.raises(InvalidInput, match=r"1 rows are not: \[1\]"):
        OpenTransport(np.array([[0.0, 1.0], [np.nan, 1.0]]))
    with pytest.raises(InvalidInput, match=r"got shape \(3,\)"):
        OpenTransport(np.zeros(3))


def test_open_transport_refuses_a_plan_between_whole_units(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.zeros((2, 3))
    whole = exact.Transport(0.0, np.full((2, 3), 1 / 6), np.zeros(2), np.zeros(3), 0.0, 0.0)
    monkeypatch.setattr(exact, "solve", lambda _: whole)
    np.testing.assert_array_equal(flows(OpenTransport(costs)), 1)  # units of 1/6 each: whole
    halves = exact.Transport(0.0, np.full((2, 4), 1 / 8), np.zeros(2), np.zeros(4), 0.0, 0.0)
    monkeypatch.setattr(exact, "solve", lambda _: halves)
    with pytest.raises(GoracsError, match="a 2 x 4 transport is not a whole number of units of 1/4"):
        OpenTransport(np.zeros((2, 4)))
