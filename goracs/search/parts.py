"""Which rows an exchange could bring in, part after part, where the costs of a pool are not held.

Idea     At the duals v of S the transport of S - p + q is at least OT(S) + (rho_q - rho_p) / n: a row whose
         rho is above that of every chosen row cannot help.
Symbols  rho_i(v) = what row i ships at least at prices v (`goracs.ot.cheapest`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goracs.ot.cheapest import Shape, shape, shares
from goracs.ot.exact import Transport
from goracs.ot.lagrangian import Generated
from goracs.ot.pool import Pool
from goracs.types import FloatArray, IndexArray

PART = 4096  # rows of a part, however much memory there is: the course does not depend on it
SLACK = 1e-12  # of prices and rho: above their rounding


def parts(pool: Pool, rows: IndexArray, held: Transport) -> Iterator[Generated]:
    """The rows that could help a coreset, PART at a time in the pool's order, each part with the coreset.

    Args:
        pool: N rows, m columns.
        rows: [n] int64, the coreset.
        held: its transport.
    """
    spread = shape(len(rows), pool.width)
    most = float(shares(pool.rows(rows), held.v, spread).max())
    most += SLACK * (abs(most) + float(np.abs(held.v).max()))
    likely = np.setdiff1d(pool.likely(held.v, spread, most), rows)
    for part in gathered(helpful(pool, likely, held.v, spread, most)):
        yield part.with_rows(pool, rows)


def helpful(
    pool: Pool, likely: IndexArray, prices: FloatArray, spread: Shape, most: float
) -> Iterator[Generated]:
    """Of ascending rows those whose rho is no more than `most`, exactly; of PART at a time."""
    for start in range(0, len(likely), PART):
        rows = likely[start : start + PART]
        costs = pool.rows(rows)
        could = shares(costs, prices, spread) <= most
        yield Generated(rows[could], costs[could])


def gathered(found: Iterator[Generated]) -> Iterator[Generated]:
    """The same rows, PART at a time but for the last; at most so many come at once."""
    held: list[Generated] = []
    for each in found:
        held.append(each)
        if sum(len(some.rows) for some in held) >= PART:
            whole = _joined(held)
            held = [Generated(whole.rows[PART:], whole.costs[PART:])]
            yield Generated(whole.rows[:PART], whole.costs[:PART])
    if any(len(some.rows) for some in held):
        yield _joined(held)


def _joined(held: list[Generated]) -> Generated:
    return Generated(
        np.concatenate([some.rows for some in held]), np.concatenate([some.costs for some in held])
    )
