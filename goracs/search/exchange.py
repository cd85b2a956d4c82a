"""Exchanges of one row for another, each decided by a cold exact solve: as in the paper and in its code.

Problem    min over S of OT(S): uniform 1/n on the n rows of S, uniform 1/m on the m columns of C [N, m].
Rule       a method names pairs (row out, row in) in an order of its own; the first that makes transport
           cheaper is taken, the row that comes goes last; then pairs are named anew, until none helps.
Not here   which pairs: `goracs.selection.goracs_paper`, `goracs.selection.goracs_released`; exchanges without
           a cold solve for each: `goracs.search.refine`.
Source     GORACS (KDD 2025), Algorithm 1, stage 2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.ot import exact
from goracs.types import FloatArray, IndexArray

Pairs = Callable[[FloatArray, IndexArray, exact.Transport, float], Iterable[tuple[int, int]]]


@dataclass(frozen=True)
class Method:
    """What tells the two searches apart.

    Args:
        name: of the selector, for errors.
        start: rows [n] in order, of costs [N, m] and a budget.
        pairs: places to empty with rows to put in, in the order of trying; of costs, rows, their transport
            and what a new transport has to be below.
        tolerance: of the costs at stake; an exchange has to gain more.
    """

    name: str
    start: Callable[[FloatArray, int], IndexArray]
    pairs: Pairs
    tolerance: float


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Where the exchanges ended, and what they cost.

    Args:
        rows: [n] int64 distinct rows.
        transport: the exact transport of those rows.
        trace: an entry for the start and for each exchange: phase, seconds, objective, bound (None).
        solves: exact solves made.
    """

    rows: IndexArray
    transport: exact.Transport
    trace: tuple[dict[str, Any], ...]
    solves: int

    @property
    def exchanges(self) -> int:
        """How many were made."""
        return len(self.trace) - 1


def exchange(costs: FloatArray, budget: int, max_exchanges: int, method: Method) -> Exchanged:
    """Start, then exchange single rows for as long as one of the pairs that are named lowers transport.

    Args:
        costs: [N, m] float64; finite.
        budget: n, 1..N.
        max_exchanges: stop after so many.
        method: the start, the pairs, and what counts as cheaper.
    """
    began = time.perf_counter()
    rows = method.start(costs, budget)
    now, solves = exact.solve(costs[rows]), 1
    trace = [_entry("start", began, now)]
    while len(trace) <= max_exchanges:
        below = now.value - method.tolerance * now.size
        for p, q in method.pairs(costs, rows, now, below):
            tried = np.append(np.delete(rows, p), q)
            then, solves = exact.solve(costs[tried]), solves + 1
            if then.value < below:
                rows, now = tried, then
                trace.append(_entry("exchange", began, now))
                break
        else:
            break
    return Exchanged(rows, now, tuple(trace), solves)


def _entry(phase: str, began: float, now: exact.Transport) -> dict[str, Any]:
    seconds = round(time.perf_counter() - began, 4)
    return {"phase": phase, "seconds": seconds, "objective": now.value, "bound": None}
