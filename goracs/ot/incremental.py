"""Exact transport of a coreset that changes by one row at a time.

Problem    as `goracs.ot.exact`: uniform 1/n on the rows, uniform 1/m on the columns.
Opening    solves cold and adopts plan and duals in whole units, 1/(n s) each, s = m / gcd(n, m).
Swapping   re-optimises from there (`goracs.ot.flow`): a tenth of a millisecond to a few, exact, with the
           invariants flow >= 0 in whole units, row sums s, column sums t = n / gcd(n, m), C - u - v >= 0 with
           equality where there is flow.
"""

from __future__ import annotations

import numpy as np

from goracs.ot import exact, flow
from goracs.types import FloatArray, GoracsError


class OpenTransport:
    """An optimal transport plan that is kept optimal while rows are swapped.

    Args:
        costs: [n, m] float64; finite.

    Raises:
        InvalidInput, GoracsError: as `goracs.ot.exact.solve`.
    """

    def __init__(self, costs: FloatArray) -> None:
        costs = np.asarray(costs, dtype=np.float64)
        found = exact.solve(costs)
        self.flow = flow.empty(costs)
        _adopt(self.flow, found.plan)
        flow.open_arcs(self.flow, found.u)
        self._units = flow.total(self.flow)
        self.least = found.least  # of the rows it was opened with: the smallest difference that counts

    @property
    def total_units(self) -> int:
        """n s: the units that are shipped in all."""
        return len(self.flow.degree) * self.flow.s

    @property
    def value(self) -> float:
        """The transport, in the costs' unit."""
        return float(self._units / self.total_units)

    @property
    def u(self) -> FloatArray:
        """[n] duals of the rows."""
        found: FloatArray = self.flow.u[: len(self.flow.degree)].copy()
        return found

    @property
    def v(self) -> FloatArray:
        """[m] duals of the columns."""
        found = np.empty(len(self.flow.costs))
        flow.column_duals(self.flow, found)
        return found

    @property
    def costs(self) -> FloatArray:
        """[n, m] costs of the rows in place."""
        found: FloatArray = self.flow.costs[:, : len(self.flow.degree)].T
        return found

    @property
    def plan(self) -> FloatArray:
        """[n, m] mass from each row to each column, 1 in all."""
        plan = np.zeros((len(self.flow.degree), len(self.flow.costs)))
        for k, degree in enumerate(self.flow.degree):
            plan[k, self.flow.columns[k, :degree]] = self.flow.units[k, :degree] / self.total_units
        return plan

    def swap(self, place: int, row: FloatArray) -> float:
        """Put a row [m] in a place, for good; the new value."""
        flow.swap(self.flow, place, row)
        self._units = flow.total(self.flow)
        return self.value

    def swap_if_below(self, place: int, row: FloatArray, limit: float) -> tuple[bool, float]:
        """Put a row [m] in a place if that makes the value smaller than a limit; else change nothing.

        Returns: whether it was done, and the new value or a lower bound of it.
        """
        old, space = self._units, flow.aside(self.flow)
        shipped = old - flow.take_out(self.flow, place, space)
        flow.open_journal(self.flow)
        flow.insert(self.flow, place, row)
        whole, units = flow.route(self.flow, place, shipped, limit * self.total_units)
        if whole:
            flow.close_journal(self.flow)
            self._units = flow.total(self.flow)
            return True, self.value
        flow.restore(self.flow, space)
        flow.put_back(self.flow, place, space)
        return False, units / self.total_units


def _adopt(state: flow.Flow, plan: FloatArray) -> None:
    """Write the arcs of a plan [n, m] in whole units."""
    units = np.rint(plan * (len(plan) * state.s)).astype(np.int64)
    if (units.sum(axis=1) != state.s).any() or (units.sum(axis=0) != state.t).any():
        raise GoracsError(
            f"the plan of a {plan.shape[0]} x {plan.shape[1]} transport is not a whole number of units "
            f"of 1/{len(plan) * state.s}: the solver's plan is not a vertex."
        )
    for k, row in enumerate(units):
        columns = np.flatnonzero(row)
        state.degree[k] = len(columns)
        state.columns[k, : len(columns)] = columns
        state.units[k, : len(columns)] = row[columns]
