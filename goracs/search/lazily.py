"""The greedy starts for a pool whose costs are formed as they are needed: the rows that `starts` picks.

Rule       both take the row of smallest key again and again, ties to the smaller index, and a key only grows
           as rows are picked. So a lower bound of a key, from whatever time, rules a row out until it is the
           smallest of all: then bounds of its costs are looked at, and then its exact costs.
Memory     a number for each row, and one block of costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from goracs.ot.compiled import kernel
from goracs.ot.past import Past
from goracs.ot.pool import Pool, Streamed
from goracs.search.starts import gain, open_units, serve
from goracs.types import FloatArray, IndexArray

STALE, BOUNDED, EXACT = range(3)  # what is known of a key since the last pick
FEW, MOST = 512, 1 << 16  # rows that are bounded at once, twice as many each time one pick needs more
PART = 32  # of which one in PART is looked at exactly
HUGE = np.finfo(np.float64).max  # a row that was picked is above it


class Keys(Protocol):
    """A key of each row, of its costs at the present state; it grows with the costs and with the state."""

    def among(self, pool: Streamed) -> Streamed:
        """The pool with the columns that are looked at."""

    def __call__(self, costs: FloatArray) -> FloatArray:
        """[k] keys of costs [k, c] of those columns."""


@dataclass(frozen=True)
class Total:
    """The sum of a row's costs."""

    def among(self, pool: Streamed) -> Streamed:  # noqa: D102
        return pool

    def __call__(self, costs: FloatArray) -> FloatArray:  # noqa: D102
        return _each(total_of_each, costs)


@dataclass(frozen=True, eq=False)
class Loss:
    """Less the gain of a row, where the costs of the `nearest` picked row [m] are known."""

    nearest: FloatArray

    def among(self, pool: Streamed) -> Streamed:  # noqa: D102
        return pool

    def __call__(self, costs: FloatArray) -> FloatArray:  # noqa: D102
        return _each(loss_of_each, costs, self.nearest)


@dataclass(frozen=True, eq=False)
class Units:
    """What the s cheapest units of a row cost, where each column has so much `room` [m]."""

    room: IndexArray
    s: int

    def among(self, pool: Streamed) -> Streamed:  # noqa: D102
        return replace(pool, target=pool.target[self.room > 0], past=Past())

    def __call__(self, costs: FloatArray) -> FloatArray:  # noqa: D102
        return _each(units_of_each, costs, self.room[self.room > 0], self.s)


class Smallest(Protocol):
    """The keys of all rows, known as far as it takes to find the smallest."""

    def smallest(self, keys: Keys) -> tuple[int, float]:
        """The row of smallest key, ties to the smaller index, and that key."""

    def drop(self, row: int) -> None:
        """Leave out a row that was picked; keys may have grown."""


class Apart(Pool, Protocol):
    """A pool that knows how its keys are kept: in other processes."""

    def lazy(self) -> Smallest: ...  # noqa: D102


def facility(pool: Streamed | Apart, budget: int) -> IndexArray:
    """As `starts.facility`."""
    picked = [_lazy(pool).smallest(Total())[0]]
    nearest = pool.rows(np.array(picked))[0]
    known = _lazy(pool)
    known.drop(picked[0])
    while len(picked) < budget:
        row, loss = known.smallest(Loss(nearest))
        if loss >= 0:
            break
        np.minimum(nearest, pool.rows(np.array([row]))[0], out=nearest)
        known.drop(row)
        picked.append(row)
    left = np.setdiff1d(np.arange(min(pool.size, 2 * budget)), picked)
    return np.array([*picked, *left[: budget - len(picked)]], np.int64)


def capacity(pool: Streamed | Apart, budget: int) -> IndexArray:
    """As `starts.capacity`; only columns that have room are looked at."""
    m = pool.width
    g = int(np.gcd(budget, m))
    s, room, known = m // g, np.full(m, budget // g), _lazy(pool)
    picked = np.empty(budget, np.int64)
    for place in range(budget):
        picked[place] = known.smallest(Units(room.copy(), s))[0]
        left = room[room > 0]
        serve_cheapest(pool.rows(picked[place : place + 1])[0][room > 0], left, s)
        room[room > 0] = left
        known.drop(int(picked[place]))
    return picked


def _lazy(pool: Streamed | Apart) -> Smallest:
    return Lazy(pool) if isinstance(pool, Streamed) else pool.lazy()


class Lazy:
    """The keys of all rows of a pool in this process; of one start, since keys of another do not compare."""

    def __init__(self, pool: Streamed) -> None:
        self.pool = pool
        self.below = np.full(pool.size, -np.inf)
        self.known = np.full(pool.size, STALE, np.int8)
        self.measured: list[tuple[IndexArray, FloatArray]] = []  # rows, and their bounds before

    def smallest(self, keys: Keys, limit: float = np.inf) -> tuple[int, float]:
        """As `Smallest`; where the smallest key is above `limit`, -1 and a bound of it that is above, too."""
        pool, size = keys.among(self.pool), FEW
        self._bound(pool, keys, self._unbounded())
        while self.known[row := int(np.argmin(self.below))] != EXACT and self.below[row] <= min(limit, HUGE):
            rows = np.argpartition(self.below, min(size, pool.size) - 1)[:size]
            rows = rows[self.below[rows] < np.inf]  # not picked yet
            self._bound(pool, keys, rows[self.known[rows] == STALE])
            rows = rows[np.lexsort((rows, self.below[rows]))]
            rows = rows[self.known[rows] != EXACT][: size // PART]
            self.measured.append((rows, self.below[rows]))
            self.below[rows] = pool.measured(rows, keys)
            self.known[rows] = EXACT
            size = min(2 * size, MOST)
        return (row if self.below[row] <= min(limit, HUGE) else -1), float(self.below[row])

    def drop(self, row: int) -> None:
        """As `Smallest`."""
        self.grown()
        self.below[row] = np.inf

    def grown(self) -> None:
        """Keys may have grown: what is known are lower bounds.

        Bounds alone, with their slack: a key that was exact may be above the next one of its row by rounding.
        """
        for rows, bounds in self.measured:
            self.below[rows] = bounds
        self.measured, self.known[:] = [], STALE

    def _unbounded(self) -> IndexArray:
        """Rows of which nothing is known, as they are stored."""
        rows = np.argsort(self.pool.order) if np.isneginf(self.below).any() else np.arange(0)
        return rows[np.isneginf(self.below[rows])]

    def _bound(self, pool: Streamed, keys: Keys, rows: IndexArray) -> None:
        if len(rows):
            found = np.concatenate([keys(costs) for costs in pool.costs_below(rows)])
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
