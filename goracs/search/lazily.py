"""The greedy starts for a pool whose costs are formed as they are needed: the rows that `starts` picks.

Rule       both take the row of smallest key again and again, ties to the smaller index, and a key only grows
           as rows are picked. So a lower bound of a key, from whatever time, rules a row out until it is the
           smallest of all: then bounds of its costs are looked at, and then its exact costs.
Memory     a number for each row, and one block of costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from goracs.ot.compiled import kernel
from goracs.ot.pool import Streamed
from goracs.search.starts import gain, open_units, serve
from goracs.types import FloatArray, IndexArray

STALE, BOUNDED, EXACT = range(3)  # what is known of a key since the last pick
FEW, MOST = 512, 1 << 16  # rows that are bounded at once, twice as many each time one pick needs more
PART = 32  # of which one in PART is looked at exactly

Keys = Callable[[FloatArray], FloatArray]


def facility(pool: Streamed, budget: int) -> IndexArray:
    """As `starts.facility`."""
    picked = [_Lazy(pool, lambda costs: _each(total_of_each, costs)).smallest()]
    nearest = pool.rows(np.array(picked))[0]
    lazy = _Lazy(pool, lambda costs: _each(loss_of_each, costs, nearest))
    lazy.drop(picked[0])
    while len(picked) < budget:
        row = lazy.smallest()
        if lazy.below[row] >= 0:
            break
        np.minimum(nearest, pool.rows(np.array([row]))[0], out=nearest)
        lazy.drop(row)
        picked.append(row)
    left = np.setdiff1d(np.arange(min(pool.size, 2 * budget)), picked)
    return np.array([*picked, *left[: budget - len(picked)]], np.int64)


def capacity(pool: Streamed, budget: int) -> IndexArray:
    """As `starts.capacity`; only columns that have room are looked at."""
    m = pool.width
    g = int(np.gcd(budget, m))
    s, room = m // g, np.full(m, budget // g)
    lazy = _Lazy(pool, lambda costs: _each(units_of_each, costs, room[room > 0], s))
    picked = np.empty(budget, np.int64)
    for place in range(budget):
        picked[place] = lazy.smallest()
        left = room[room > 0]
        serve_cheapest(lazy.pool.rows(picked[place : place + 1])[0], left, s)
        room[room > 0] = left
        lazy.drop(picked[place])
        lazy.pool = replace(pool, target=pool.target[room > 0])
    return picked


class _Lazy:
    """The keys of all rows, known as far as it takes to find the smallest.

    Args:
        pool: N rows.
        keys: of costs [k, m], at the present state; they grow with the costs and with the state.
    """

    def __init__(self, pool: Streamed, keys: Keys) -> None:
        self.pool, self.keys = pool, keys
        self.below = np.full(pool.size, -np.inf)
        self.known = np.full(pool.size, STALE, np.int8)
        self._bound(np.argsort(pool.order))  # as they are stored

    def smallest(self) -> int:
        """The row of smallest key, ties to the smaller index; its key is then in `below`."""
        size = FEW
        while self.known[row := int(np.argmin(self.below))] != EXACT:
            rows = np.argpartition(self.below, min(size, self.pool.size) - 1)[:size]
            rows = rows[self.below[rows] < np.inf]  # not picked yet
            self._bound(rows[self.known[rows] == STALE])
            rows = rows[np.lexsort((rows, self.below[rows]))]
            rows = rows[self.known[rows] != EXACT][: size // PART]
            self.below[rows] = self.pool.measured(rows, self.keys)
            self.known[rows] = EXACT
            size = min(2 * size, MOST)
        return row

    def drop(self, row: int) -> None:
        """A row that was picked: it counts no more, and keys may have grown."""
        self.known[:] = STALE
        self.below[row] = np.inf

    def _bound(self, rows: IndexArray) -> None:
        if len(rows):
            found = np.concatenate([self.keys(costs) for costs in self.pool.costs_below(rows)])
            self.below[rows] = np.maximum(self.below[rows], found)
            self.known[rows] = BOUNDED


def _each(fill: Callable[..., None], costs: FloatArray, *state: object) -> FloatArray:
    found = np.empty(len(costs))
    fill(costs, *state, found)
    return found


@kernel
def total_of_each(costs, found):  # type: ignore[no-untyped-def]
    """The sum of each row."""
    for i in range(len(costs)):
        found[i] = costs[i].sum()


@kernel
def loss_of_each(costs, nearest, found):  # type: ignore[no-untyped-def]
    """Less the gain of each row."""
    for i in range(len(costs)):
        found[i] = -gain(costs[i], nearest)


@kernel
def units_of_each(costs, room, s, found):  # type: ignore[no-untyped-def]
    """What the s cheapest units of each row cost, as many to a column as it has room for."""
    size, closed = min(len(room), -(-s // room.max()) + 1), np.zeros(len(room))
    values, columns = np.empty(size), np.empty(size, np.int64)
    for i in range(len(costs)):
        found[i], values, columns, _ = open_units(costs[i], closed, room, s, values, columns)


@kernel
def serve_cheapest(row, room, s):  # type: ignore[no-untyped-def]
    """Ship the s units of a row to where they cost least."""
    size, closed = min(len(row), -(-s // room.max()) + 1), np.zeros(len(row))
    _, _, columns, used = open_units(row, closed, room, s, np.empty(size), np.empty(size, np.int64))
    serve(columns[:used], closed, room, s)
