"""Chains of exchanges, from a coreset that no single exchange makes better.

Chain      an exchange that makes it worse is put through, then each other place in turn gets the row that is
           best for it. It ends once the transport is below what it was; else it is undone.
Begun      with the CHAINS exchanges of lowest bound, one after the other.
Only of    at most MOST rows. Among 5 to 25 chains found all that was missing to the optimum; among 60 of a
           pool of 1,000 they took longer than all exchanges before, and found nothing in six problems.
Source     our own; a simple form of what local search calls an ejection chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from goracs.search.refine import Sweep, Sweeps
from goracs.types import FloatArray

CHAINS = 10
MOST = 32


def chain(costs: FloatArray, sweeps: Sweeps, left: float, go_on: Callable[[], bool]) -> Sweeps | None:
    """Follow chains until one makes the transport smaller.

    Args:
        costs: [N, m] float64 of the rows to choose from.
        sweeps: where a proof was found.
        left: exchanges that may be made.
        go_on: asked at each place; False ends it.

    Returns: the rows that the chain left, not proven; None if there is no such chain.
    """
    if not 1 < len(sweeps.rows) <= MOST:
        return None
    sweep = Sweep(costs, sweeps)
    below = sweep.value - sweep.tolerance
    for p, q in _begun(sweep):
        went = _follow(sweep, p, q, below, left, go_on)
        if sweep.value < below:
            return replace(sweep.after(ended=False), exchanges=sweeps.exchanges + len(went))
        for place, row in reversed(went):
            sweep.put(place, row)
        if not go_on():
            break
    return None


def _begun(sweep: Sweep) -> list[tuple[int, int]]:
    """Places, with the rows to put there: lowest bound first, ties by place, then row."""
    found = []
    for p in range(len(sweep.rows)):
        bounds, rows = sweep.bounds(p)
        lowest = np.argsort(bounds, kind="stable")[:CHAINS]
        found += [(bounds[x], p, rows[x]) for x in lowest]
    return [(p, int(q)) for _, p, q in sorted(found)[:CHAINS]]


def _follow(
    sweep: Sweep, p: int, q: int, below: float, left: float, go_on: Callable[[], bool]
) -> list[tuple[int, int]]:
    """Put q in place p and the best row in each other place; the places in order, with what stood there."""
    went = [(p, int(sweep.rows[p]))]
    sweep.put(p, q)
    for other in range(len(sweep.rows)):
        if sweep.value < below or len(went) >= left or not go_on():
            break
        row = int(sweep.rows[other])
        if other != p and sweep.exchange(other):
            went.append((other, row))
    return went
