"""Stage 2: exchanges of single rows, sweep after sweep, until none helps.

Sweep      every place in turn, in an order drawn anew for each sweep; the best row for it is put in, if that
           gains more than rounding at the size of the costs it pays (`goracs.search.best_exchange`). The
           transport is opened anew before each sweep, so what a sweep does follows from the coreset and its
           number alone: a search that is continued from there ends where an undisturbed one does.
Proof      a sweep without an exchange proves that no single exchange helps, up to the tolerance.
Prices     the reference prices of the lists are renewed once the work since then would have paid for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from goracs.ot import flow as flows
from goracs.ot.cheapest import cheapest_of_all
from goracs.ot.incremental import OpenTransport
from goracs.search.best_exchange import Reference, best_exchange, lower_bounds, prices_without, scratch
from goracs.types import FloatArray, IndexArray

BIG = 1e300
LISTED = 4  # a list holds LISTED R + 8 columns


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Where the exchanges stand between two sweeps.

    Args:
        rows: [n] int64, ascending, into the costs.
        number: sweeps made.
        exchanges: made so far.
        counts: rows that bounds were worked out for in full, given up in routing, solved.
        proven: whether no single exchange helps.
    """

    rows: IndexArray
    number: int = 0
    exchanges: int = 0
    counts: tuple[int, int, int] = (0, 0, 0)
    proven: bool = False


def refine(
    costs: FloatArray,
    sweeps: Sweeps,
    max_exchanges: int | None,
    go_on: Callable[[IndexArray, float], bool],
    between: Callable[[Sweeps], None],
) -> Sweeps:
    """Sweep until no exchange helps, or the limit is reached.

    Args:
        costs: [G, m] float64 of the rows to choose from.
        sweeps: where to begin.
        max_exchanges: None for as many as help.
        go_on: told rows and transport after each exchange, and asked at each place; False ends it.
        between: told where things stand after each sweep.
    """
    while not sweeps.proven:
        left = np.inf if max_exchanges is None else max_exchanges - sweeps.exchanges
        if left <= 0:
            break
        sweep = Sweep(costs, sweeps)
        ended = sweep.run(left, go_on)
        sweeps = sweep.after(ended)
        if not ended:
            break
        between(sweeps)
    return sweeps


class Sweep:
    """A coreset in place, with all that exchanges work on; one sweep over its places.

    Args:
        costs: [G, m] float64 of the rows to choose from.
        sweeps: where things stand.
    """

    def __init__(self, costs: FloatArray, sweeps: Sweeps) -> None:
        self.costs, self.sweeps = costs, sweeps
        self.rows = np.sort(sweeps.rows)
        self.open = OpenTransport(costs[self.rows])
        self.flow = self.open.flow
        self.value = flows.total(self.flow)  # in units, as the tolerance
        self.tolerance = self.open.least * self.open.total_units
        self.chosen = np.zeros(len(costs), np.bool_)
        self.chosen[self.rows] = True
        self.counts = np.array(sweeps.counts, np.int64)
        self.exchanges = 0
        self.space = scratch(len(costs), self.flow)
        m = costs.shape[1]
        listed = min(m, LISTED * len(self.space.values) + 8)
        self.reference = Reference(
            np.empty(m), np.empty((len(costs), listed)), np.empty((len(costs), listed), np.int32)
        )
        self._renew()

    def run(self, left: float, go_on: Callable[[IndexArray, float], bool]) -> bool:
        """Visit every place; whether it came to the end."""
        for p in np.random.default_rng(self.sweeps.number).permutation(len(self.rows)):
            looked_at = self.counts[0]
            self.stale |= self.exchange(int(p))
            self.work += int(self.counts[0] - looked_at)
            if not go_on(self.rows, self.value / self.open.total_units) or self.exchanges == left:
                return False
            if self.stale and self.work > len(self.costs):
                self._renew()
        return True

    def exchange(self, p: int) -> bool:
        """Put the best row in place p, if that gains more than the tolerance; whether it did."""
        before = self.value
        self.value = best_exchange(
            self.flow, self.costs, self.rows, self.chosen, p, before, self.tolerance, self.reference,
            self.space, self.counts,
        )  # fmt: skip
        better = bool(self.value < before)
        self.exchanges += better
        return better

    def put(self, p: int, q: int) -> None:
        """Put a row that is in no place in place p, whatever that costs."""
        flows.swap(self.flow, p, self.costs[q])
        self.chosen[self.rows[p]], self.chosen[q], self.rows[p] = False, True, q
        self.value = flows.total(self.flow)

    def bounds(self, p: int) -> tuple[FloatArray, IndexArray]:
        """What the transport is at least, in units, with a row that is in no place in place p; these rows."""
        shipped = self.value - flows.take_out(self.flow, p, self.space.out)
        base = shipped + prices_without(self.flow, self.space)
        left, _ = lower_bounds(
            self.flow, self.costs, self.chosen, shipped, base, BIG, self.reference, self.space
        )
        flows.put_back(self.flow, p, self.space.out)
        return self.space.bound[:left].copy(), self.space.survivor[:left].copy()

    def after(self, ended: bool) -> Sweeps:
        """Where things stand now."""
        return replace(
            self.sweeps,
            rows=np.sort(self.rows),
            number=self.sweeps.number + 1,
            exchanges=self.sweeps.exchanges + self.exchanges,
            counts=_three(self.counts),
            proven=ended and self.exchanges == 0,
        )

    def _renew(self) -> None:
        flows.column_duals(self.flow, self.reference.v)
        cheapest_of_all(self.costs, self.reference.v, self.reference.values, self.reference.columns)
        self.work, self.stale = 0, False


def _three(counts: IndexArray) -> tuple[int, int, int]:
    bounded, given_up, solved = counts.tolist()
    return bounded, given_up, solved
