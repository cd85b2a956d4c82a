"""How cheap each exchange could be at best: the paper's dual bound, for all pairs at once.

Problem    for a coreset S with optimal row duals u, p in S to go and a pool row q to come, R = ceil(m/n):
           f^p_j  = min_{i in S - p} (C_ij - u_i)
           F_p(q) = max_y y/n + (1/m) sum_j min(C_qj - f^p_j - y, 0); y is the R-th smallest of C_qj - f^p_j
           LB     = (1/n) sum_{i in S - p} u_i + (1/m) sum_j f^p_j + F_p(q)  <=  OT(S - p + q)
           F_p(q) is what q ships at least at prices f^p (`goracs.ot.cheapest`). Any u gives valid bounds.
           With n = 1 nothing is left when p goes: OT is the mean of C_q.
Method     f^p is f_j = min_{i in S} (C_ij - u_i) but for the columns T_p where p alone is smallest, and there
           it is larger: so the R cheapest columns of q at prices f^p are among its R cheapest at prices f and
           T_p. One pass over C lists the former; the merge with T_p is exact, in O(R + |T_p|) a pair.
Source     GORACS (KDD 2025), Eq. 16 and Theorem 4.3, with the maximiser that the mathematics has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from goracs.ot.cheapest import lowest, units
from goracs.ot.compiled import kernel
from goracs.search.best_exchange import keep_smallest
from goracs.types import FloatArray, IndexArray

BIG = 1e300
BLOCK = 4096  # pool rows whose bounds are held at once


class Prices(NamedTuple):
    """The prices f^p of all p, held as f and where they differ from it.

    f [m]. base [n]: what LB has beside F. owner [m]: the p alone smallest in a column, -1 if there is none.
    starts [n + 1], columns, second: the columns T_p of each p, one after the other, and f^p there.
    """

    f: Any
    base: Any
    owner: Any
    starts: Any
    columns: Any
    second: Any


def promising(
    costs: FloatArray, rows: IndexArray, u: FloatArray, below: float, count: int
) -> list[tuple[int, int]]:
    """The exchanges of lowest bound.

    Args:
        costs: [N, m] float64.
        rows: [n] int64 distinct rows of `costs`.
        u: [n] float64 their duals.
        below: only bounds smaller than that.
        count: at most so many pairs.

    Returns:
        Pairs (p, q), p a place in `rows`, q a row of `costs`; lowest bound first, ties by p, then q.
    """
    prices = leave_one_out(costs, rows, u)
    chosen = np.zeros(len(costs), np.bool_)
    chosen[rows] = True
    best: FloatArray = np.empty(0)
    p, q = (np.empty(0, np.int64) for _ in range(2))
    for first in range(0, len(costs), BLOCK):
        bounds = bounds_of(costs[first : first + BLOCK], prices)
        bounds[chosen[first : first + BLOCK]] = np.inf
        worst = best[-1] if len(best) == count else np.inf
        come, go = _lowest(bounds, min(below, np.nextafter(worst, np.inf)), count)
        best = np.concatenate([best, bounds[come, go]])
        p, q = np.concatenate([p, go]), np.concatenate([q, first + come])
        order = np.lexsort((q, p, best))[:count]
        best, p, q = best[order], p[order], q[order]
    return list(zip(p.tolist(), q.tolist(), strict=True))


def _lowest(bounds: FloatArray, below: float, count: int) -> tuple[IndexArray, IndexArray]:
    """Where the `count` smallest bounds below a limit are, with all that tie with the last one."""
    smaller = bounds < below
    found = bounds[smaller]
    if len(found) > count:
        smaller = bounds <= np.partition(found, count - 1)[count - 1]
    rows, places = np.nonzero(smaller)
    return rows, places


def leave_one_out(costs: FloatArray, rows: IndexArray, u: FloatArray) -> Prices:
    """The prices of a coreset with each of its rows left out in turn; arguments as in `promising`."""
    n, m = len(rows), costs.shape[1]
    f, second, owner = np.full(m, BIG), np.full(m, BIG), np.full(m, -1)
    two_smallest(costs, rows, u, f, second, owner)
    if n == 1:
        return Prices(np.zeros(m), np.zeros(1), np.full(m, -1), np.zeros(2, np.int64), owner[:0], second[:0])
    owner[second <= f] = -1
    columns = np.argsort(owner, kind="stable")[(owner < 0).sum() :]
    starts = np.searchsorted(owner[columns], np.arange(n + 1))
    rise = np.bincount(owner[columns], second[columns] - f[columns], minlength=n)
    base = (u.sum() - u) / n + f.mean() + rise / m
    return Prices(f, base, owner, starts, columns, second[columns])


def bounds_of(costs: FloatArray, prices: Prices) -> FloatArray:
    """LB of each row of costs [B, m] in each place; [B, n] float64."""
    n, m = len(prices.base), costs.shape[1]
    if n == 1:
        means: FloatArray = costs.mean(axis=1, keepdims=True)
        return means
    g = int(np.gcd(n, m))
    found = np.empty((len(costs), n))
    fill_bounds(costs, *prices, m // g, n // g, -(-m // n), found)
    return found


@kernel
def two_smallest(costs, rows, u, f, second, owner):  # type: ignore[no-untyped-def]
    """In each column the two smallest of C_ij - u_i over a coreset, and the place of the smallest."""
    for p in range(len(rows)):
        row = costs[rows[p]]
        for j in range(len(f)):
            value = row[j] - u[p]
            if value < second[j]:
                if value < f[j]:
                    second[j], f[j], owner[j] = f[j], value, p
                else:
                    second[j] = value


@numba.njit(cache=True, parallel=True)
def fill_bounds(costs, f, base, owner, starts, columns, second, s, t, longest, out):  # type: ignore[no-untyped-def]
    """`bounds_of`: a row ships s units, t to a column, so to `longest` columns."""
    for x in numba.prange(len(costs)):
        values, owners = np.empty(longest), np.empty(longest, np.int64)
        lowest(costs[x], f, values, owners)
        for y in range(longest):
            owners[y] = owner[owners[y]]
        fill_row(costs[x], base, starts, columns, second, s, t, values, owners, np.empty(longest), out[x])


@kernel
def fill_row(row, base, starts, columns, second, s, t, values, owners, found, out):  # type: ignore[no-untyped-def]
    """LB of one row in each place, given its cheapest values at prices f and who owns their columns."""
    worst, all_units = values[-1], len(base) * s
    plain = units(values, s, t) / all_units
    for p in range(len(base)):
        out[p] = base[p] + plain
        for x in range(starts[p], starts[p + 1]):
            if row[columns[x]] - second[x] <= worst:
                merge(row, p, starts, columns, second, values, owners, found)
                out[p] = base[p] + units(found, s, t) / all_units
                break


@kernel
def merge(row, p, starts, columns, second, values, owners, found):  # type: ignore[no-untyped-def]
    """The R smallest of C_qj - f^p_j, ascending, into found."""
    found[:] = BIG
    count = 0
    for x in range(len(values)):
        if owners[x] != p:
            found[count] = values[x]
            count += 1
    for x in range(starts[p], starts[p + 1]):
        keep_smallest(found, row[columns[x]] - second[x])
