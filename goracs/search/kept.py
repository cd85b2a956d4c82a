"""Where a search stands, as arrays by name: before a pass of an ascent, or between two sweeps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from goracs.ot import exact
from goracs.ot.exact import Transport
from goracs.ot.lagrangian import Ascent, Generated
from goracs.ot.pool import Dense, Pool
from goracs.search.refine import Sweeps
from goracs.types import IndexArray

State = Mapping[str, Any]
COMMON = {"best", "found", "counts", "trace", "generated"}
OF_ASCENT = {"often", "prices", "ascent", "aims", "begun", "aimed"}
OF_SWEEPS = {"rows", "sweeps"}
log = logging.getLogger("goracs")


@dataclass(frozen=True, eq=False)
class Aims:
    """Two coresets of an ascent, [n] rows of the pool each, with their transports.

    Args:
        rows, held: what it was begun with.
        best, best_held: the best so far, from which the search goes on; its value may be infinite.
    """

    rows: IndexArray
    held: Transport
    best: IndexArray
    best_held: Transport

    @property
    def known(self) -> float:
        """The transport that an ascent aims at."""
        return min(self.held.value, self.best_held.value)


def whole(state: State | None, checkpoint: Path | None) -> State | None:
    """A state that has all that is read of it; of another version's nothing is used, which is told."""
    if state is None or (state.keys() >= COMMON and (state.keys() >= OF_ASCENT or state.keys() >= OF_SWEEPS)):
        return state
    log.warning("  select: what %s keeps is of another version: the search starts anew", checkpoint)
    return None


def fits(state: State, pool: Pool, budget: int) -> bool:
    """Whether a state may be of this pool and budget."""
    rows = [state["generated"], state["best"]]
    alike = len(state["best"]) in (0, budget)
    if "ascent" in state:
        rows.append(state["aims"].ravel())
        alike &= state["aims"].shape == (2, budget) and state["prices"].shape == (2, pool.width)
    return alike and bool((np.concatenate(rows) < pool.size).all())


def ascent(aims: Aims, at: Ascent) -> State:
    """What `ascent_of` reads."""
    return {
        "generated": at.generated.rows,
        "often": at.often,
        "prices": np.array([at.prices, at.best]),
        "ascent": np.array([at.bound, at.pace, at.turn]),
        "aims": np.array([aims.rows, aims.best]),
        "begun": np.array(aims.held.value),
        "aimed": np.array(aims.best_held.value),
    }


def ascent_of(state: State, pool: Pool) -> tuple[Aims, Ascent]:
    """As they were kept."""
    (rows, best), value = state["aims"], float(state["aimed"])
    held, best_held = (exact.solve(pool.rows(each)) for each in (rows, best))
    (prices, highest), (bound, pace, turn) = state["prices"], state["ascent"].tolist()
    at = Ascent(prices, _generated(state, pool), state["often"], bound, highest, pace, int(turn))
    return Aims(rows, held, best, replace(best_held, value=value)), at


def sweeps(generated: Generated, at: Sweeps) -> State:
    """What `sweeps_of` reads."""
    return {
        "generated": generated.rows,
        "rows": at.rows,
        "sweeps": np.array([at.number, at.exchanges, at.proven, *at.counts]),
    }


def sweeps_of(state: State, pool: Pool) -> tuple[Generated, Sweeps]:
    """As they were kept."""
    number, exchanges, proven, *counts = state["sweeps"].tolist()
    return _generated(state, pool), Sweeps(state["rows"], number, exchanges, tuple(counts), bool(proven))


def _generated(state: State, pool: Pool) -> Generated:
    rows: IndexArray = state["generated"]
    if isinstance(pool, Dense) and len(rows) == pool.size:
        return Generated(rows, pool.costs)
    return Generated(rows, pool.rows(rows))
