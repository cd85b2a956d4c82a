"""Greedy picks for partial transport: the rows so far ship 1/n each, and the rest of validation waits.

Problem    F(S) = min <C, P> over P >= 0 with P 1 = 1/n on the rows of S and P' 1 <= 1/m: 0 for no row, the
           transport for n rows. beta |S| / n - F(S) is submodular for every beta: what a row adds to F only
           grows as others are picked. The pick is always the row that adds least.
Held       as the transport of n places; those without a row have rows of cost 0 (any constant would do), and
           `goracs.ot.incremental` keeps the plan optimal.
Exact      what a row adds is what the transport gains when it takes an empty place.
As it is   what a row adds if the plan stays: its cheapest units, where columns have room.
Lazy       a bound of what a row adds, from whatever time, is one for good. So only rows whose bound is small
           are looked at: first a bound by the present duals, then what was asked for.
Ties       go to the smaller index: what differs by less than rounding counts as equal.
Memory     a number for each row, one block of costs, and the plan.
"""

from __future__ import annotations

import numpy as np

from goracs.ot import distance
from goracs.ot.cheapest import shape, shares
from goracs.ot.incremental import OpenTransport
from goracs.ot.pool import Dense, Streamed
from goracs.search.lazily import units_of_each
from goracs.types import FloatArray, IndexArray

FEW = 64  # rows that are looked at first, twice as many each time a pick needs more
ROUNDING = 1e-13  # of the costs and prices at stake; far above that of their sums
LARGE = np.finfo(np.float64).max


class Growing:
    """Partial transport to which rows are added.

    Args:
        pool: N rows; costs >= 0.
        budget: n, 1..N.
        exact: whether a candidate's plan is optimised before it is judged.
    """

    def __init__(self, pool: Dense | Streamed, budget: int, exact: bool) -> None:
        self.pool, self.budget, self.exact = pool, budget, exact
        self.transport = OpenTransport(np.zeros((budget, pool.width)))
        self.spread = shape(budget, pool.width)
        self.below = self._first_bounds() / budget  # of what a row adds
        self.picked: list[int] = []
        self.judged = 0  # candidates, at all picks
        self.base, self.highest, self.room, self.held = 0.0, 0.0, self._room(), np.empty(0)  # of this pick

    def add(self) -> None:
        """Pick the row that adds least, ties to the smaller index."""
        fresh, best, least, size = np.zeros(self.pool.size, np.bool_), -1, np.inf, FEW
        self.base, self.room = self.transport.value, self._room()
        self.highest = float(np.abs(self.transport.v).max())
        while len(
            rows := np.flatnonzero(~fresh & (self.below < np.inf) & (self.below <= self._above(least)))
        ):
            most = min(size, max(1, distance.BLOCK_BYTES // (8 * self.pool.width)))
            rows = rows[np.argsort(self.below[rows], kind="stable")[:most]]
            costs = self.pool.rows(rows)
            self.below[rows] = np.maximum(self.below[rows], self._bounds(costs))
            judge = self._added if self.exact else self._added_as_it_is
            best, least = judge(rows, costs, best, least)
            fresh[rows] = True
            size *= 2
        if not self.exact:
            self.transport.swap(len(self.picked), self.pool.rows(np.array([best]))[0])
        self.below[best] = np.inf  # it is no candidate any more
        self.picked.append(best)

    def _first_bounds(self) -> FloatArray:
        """[N] what each row ships at least if all columns have room, as a mean over its mass."""
        rows, free = np.arange(self.pool.size), np.zeros(self.pool.width)
        if isinstance(self.pool, Dense):
            return shares(self.pool.costs, free, self.spread)
        return np.concatenate([shares(costs, free, self.spread) for costs in self.pool.costs_below(rows)])

    def _bounds(self, costs: FloatArray) -> FloatArray:
        """[k] lower bounds of what rows of these costs [k, m] add: the duals, with the best of each row."""
        u = self.transport.u
        found: FloatArray = (shares(costs, self.transport.v, self.spread) - u[len(self.picked)]) / len(u)
        return found

    def _added(self, rows: IndexArray, costs: FloatArray, best: int, least: float) -> tuple[int, float]:
        """The best of the rows and the best so far, which stands in the place, with what it adds."""
        place = len(self.picked)
        for x in np.argsort(self.below[rows], kind="stable"):
            row = int(rows[x])
            if self.below[row] > self._above(least):
                break
            self.judged += 1
            if best < 0:
                whole, value = True, self.transport.swap(place, costs[x])
            else:
                limit = self.base + self._above(least)
                whole, value = self.transport.swap_if_below(place, costs[x], limit)
            added = value - self.base
            self.below[row] = max(self.below[row], added)
            if whole and self._better(row, added, best, least):
                best, self.held = row, costs[x]
            elif whole:
                self.transport.swap(place, self.held)
            least = min(least, added)
        return best, least

    def _added_as_it_is(
        self, rows: IndexArray, costs: FloatArray, best: int, least: float
    ) -> tuple[int, float]:
        """As `_added`, for the plan as it is; nothing is put in the place."""
        added, free = np.empty(len(rows)), self.room > 0
        units_of_each(costs[:, free], self.room[free], self.transport.flow.s, added)
        added /= self.transport.total_units
        self.judged += len(rows)
        for row, value in zip(rows.tolist(), added.tolist(), strict=True):
            if self._better(row, value, best, least):
                best, least = row, min(least, value)
        return best, least

    def _better(self, row: int, added: float, best: int, least: float) -> bool:
        """Whether a row is picked rather than the best so far (-1: none, and least is infinite)."""
        return self._above(added) < least or (added <= self._above(least) and row < best)

    def _above(self, added: float) -> float:
        """The largest number that counts as equal to what a row adds."""
        return added + ROUNDING * (added + self.highest / self.budget)

    def _room(self) -> IndexArray:
        """[m] the units that columns still take."""
        flow = self.transport.flow
        columns, units = flow.columns[: len(self.picked)], flow.units[: len(self.picked)]
        held = np.arange(columns.shape[1]) < flow.degree[: len(self.picked), None]
        taken = np.bincount(columns[held], units[held], self.pool.width)
        return flow.t - taken.astype(np.int64)
