"""Stage 2: exchanges of one row for another, ranked by a dual bound, decided by exact transport.

Problem    min over S of OT(S): uniform 1/n on the n rows of S, uniform 1/m on the m columns of C [N, m].
Symbols    p a position in S (a row to take out), q a pool row to put in, (u, v) optimal duals and pi an
           optimal plan of OT(S), R = ceil(m/n).
Bounds     f^p_j  = min_{i in S - p} (C_ij - u_i)
           F_p(q) = max_y y/n + (1/m) sum_j min(C_qj - f^p_j - y, 0); y is the R-th smallest of C_qj - f^p_j
           LB     = (1/n) sum_{i in S - p} u_i + (1/m) sum_j f^p_j + F_p(q)  <=  OT(S - p + q)
           UB     = OT(S) + sum_j pi_pj (C_qj - C_pj)                  >=  OT(S - p + q)
           With n = 1 nothing is left when p goes: OT is the mean of C_q.
Source     GORACS (KDD 2025), Eq. 16 and Theorem 4.3, with the bounds of the mathematics: the released code
           takes the R-th largest, leaves p in f and tries the worst pairs first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.ot import exact
from goracs.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Where the exchanges ended, and what they cost.

    Args:
        rows: [n] int64 distinct rows.
        transport: the exact transport of those rows.
        trace: one entry for the start and one for each exchange: `exchange`, `poo`, `solves` so far.
        exchanges, solves: how many were made.
    """

    rows: IndexArray
    transport: exact.Transport
    trace: tuple[dict[str, Any], ...]
    exchanges: int
    solves: int


def exchange(costs: FloatArray, rows: IndexArray, max_exchanges: int, candidates: int) -> Exchanged:
    """Exchange single rows for as long as one of the most promising pairs makes transport cheaper.

    Args:
        costs: [N, m] float64; finite.
        rows: [n] int64; distinct; where to start.
        max_exchanges: stop after so many.
        candidates: at most candidates^2 pairs are solved per exchange, lowest bound first, and the first that
            improves is taken (the paper's code pairs so many rows out with as many rows in).

    Returns:
        Never costlier than the start; ends early when no candidate improves, or no bound promises to.
    """
    tolerance = exact.CERTIFIED * float(np.abs(costs).max())  # what a certificate cannot tell from 0
    rows = np.array(rows, dtype=np.int64)
    now, solves = exact.solve(costs[rows]), 1
    trace = [{"exchange": 0, "poo": now.value, "solves": solves}]
    while len(trace) <= max_exchanges:
        for p, q in _promising(lower_bounds(costs, rows, now), now.value - tolerance, candidates**2):
            tried = rows.copy()
            tried[p] = q
            then, solves = exact.solve(costs[tried]), solves + 1
            if then.value < now.value - tolerance:
                rows, now = tried, then
                trace.append({"exchange": len(trace), "poo": now.value, "solves": solves})
                break
        else:
            break
    return Exchanged(rows, now, tuple(trace), exchanges=len(trace) - 1, solves=solves)


def leave_one_out_min(table: FloatArray) -> FloatArray:
    """Column minima of a table with each of its rows left out in turn.

    Args:
        table: [n, m] float64; n >= 2. Read only.

    Returns:
        [n, m] float64; out[p, j] = min over i != p of table[i, j]; a tied minimum stays.
    """
    lowest, second = np.partition(table, 1, axis=0)[:2]
    out = np.tile(lowest, (len(table), 1))
    out[table.argmin(axis=0), np.arange(table.shape[1])] = second
    return out


def lower_bounds(costs: FloatArray, rows: IndexArray, transport: exact.Transport) -> FloatArray:
    """LB for every exchange.

    Args:
        costs: [N, m] float64.
        rows: [n] int64 distinct rows of `costs`.
        transport: optimal transport of costs[rows]; only its `u` is read, and any u gives valid bounds.

    Returns:
        [n, N] float64; entry [p, q] for rows[p] out and q in; infinite where q is in the coreset already.

    Cost: n partitions of an [N, m] table; memory of one such table.
    """
    if len(rows) == 1:
        bounds: FloatArray = costs.mean(axis=1)[None]
    else:
        u, n, table = transport.u, len(rows), np.empty(costs.shape)
        left = leave_one_out_min(costs[rows] - u[:, None])
        bounds = np.empty((n, len(costs)))
        for p in range(n):
            np.subtract(costs, left[p], out=table)
            bounds[p] = (u.sum() - u[p]) / n + left[p].mean() + _newcomer(table, n)
    bounds[:, rows] = np.inf
    return bounds


def upper_bounds(costs: FloatArray, rows: IndexArray, transport: exact.Transport) -> FloatArray:
    """UB for every exchange: q takes over the part of the plan that p had.

    Args:
        costs: [N, m] float64.
        rows: [n] int64 distinct rows of `costs`.
        transport: optimal transport of costs[rows].

    Returns:
        [n, N] float64; entry [p, q] for rows[p] out and q in; the value itself at q = rows[p].
    """
    own = (transport.plan * costs[rows]).sum(axis=1)
    bounds: FloatArray = transport.value + transport.plan @ costs.T - own[:, None]
    return bounds


def _newcomer(table: FloatArray, n: int) -> FloatArray:
    """F_p of every pool row, given C_qj - f^p_j as [N, m]; reorders the table."""
    m = table.shape[1]
    r = -(-m // n)
    table.partition(r - 1, axis=1)
    price = table[:, r - 1]
    value: FloatArray = price / n + (table[:, :r].sum(axis=1) - r * price) / m
    return value


def _promising(bounds: FloatArray, below: float, limit: int) -> list[tuple[int, int]]:
    """At most `limit` pairs (p, q) of bound < `below`, lowest first, ties in the order of p, then q."""
    flat = bounds.ravel()
    open_ = np.flatnonzero(flat < below)
    best = open_[np.argsort(flat[open_], kind="stable")[:limit]]
    return [divmod(int(pair), bounds.shape[1]) for pair in best]
