"""Alternating minimisation: all rows of a coreset are replaced at once.

Step     hold the optimal plan; row q in place p would cost sum_j pi_pj C_qj. These add up over the places, so
         the best distinct rows for all of them are an assignment problem; then the plan is solved again.
         Neither half can raise the transport.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from goracs.ot import exact
from goracs.ot.exact import Transport
from goracs.types import FloatArray, IndexArray


def alternate(
    costs: FloatArray, rows: IndexArray, held: Transport, go_on: Callable[[IndexArray, Transport], bool]
) -> tuple[IndexArray, Transport]:
    """Alternate until the transport falls no more, but for rounding at the size of the costs it pays.

    Args:
        costs: [G, m] float64 of the rows to choose from.
        rows: [n] int64 into them; distinct.
        held: their transport.
        go_on: told each better coreset; False ends the alternation.
    """
    from scipy.optimize import linear_sum_assignment

    while True:
        places, found = linear_sum_assignment(takeovers(held.plan, costs))
        better = found[np.argsort(places)].astype(np.int64)
        transport = exact.solve(costs[better])
        if transport.value >= held.value - held.least:
            return rows, held
        rows, held = better, transport
        if not go_on(rows, held):
            return rows, held


def takeovers(plan: FloatArray, costs: FloatArray) -> FloatArray:
    """[n, G] what each row would cost in each place, given the plan [n, m]."""
    places, columns = np.nonzero(plan)
    starts = np.searchsorted(places, np.arange(len(plan) + 1))
    found = np.empty((len(costs), len(plan)))
    _takeovers(starts, columns, plan[places, columns], costs, found)
    return found.T


@numba.njit(cache=True, parallel=True)
def _takeovers(starts, columns, masses, costs, found):  # type: ignore[no-untyped-def]
    for q in numba.prange(len(costs)):
        for p in range(found.shape[1]):
            total = 0.0
            for x in range(starts[p], starts[p + 1]):
                total += masses[x] * costs[q, columns[x]]
            found[q, p] = total
