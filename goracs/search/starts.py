"""Where the search begins: n rows, by four rules.

facility     greedy facility location: the transport that forgets the marginal of the coreset, the paper's
             stage 1. Rows run out of gain long before n when lam is large: then the first left are taken.
capacity     greedy that keeps the marginal: always the row whose cheapest unserved s units cost least, at
             most t to a column. What it serves is a plan, so its cost is above the transport of its rows.
random       uniform.
(lagrangian  the rows most often among the n cheapest while the bound is raised: `goracs.ot.lagrangian`.)
Symbols      costs [N, m]; s = m / gcd(n, m), t = n / gcd(n, m).
Ties         go to the smaller index.
Source       GORACS (KDD 2025), Eq. 14, for facility.
"""

from __future__ import annotations

import heapq

import numpy as np

from goracs.ot.cheapest import lowest
from goracs.ot.compiled import kernel, smaller
from goracs.types import FloatArray, IndexArray

BIG = 1e300


def random(pool: int, budget: int, rng: np.random.Generator) -> IndexArray:
    """[n] int64 rows drawn without replacement."""
    return rng.choice(pool, budget, replace=False).astype(np.int64)


def facility(costs: FloatArray, budget: int) -> IndexArray:
    """[n] int64 rows in the order of picking; lazy: a gain only falls, so few rows are looked at twice."""
    nearest = np.full(costs.shape[1], np.nan)
    picked = np.full(budget, -1, np.int64)
    pick_facilities(costs, nearest, picked)
    left = np.setdiff1d(np.arange(len(costs)), picked)
    picked[picked < 0] = left[: (picked < 0).sum()]
    return picked


def capacity(costs: FloatArray, budget: int) -> IndexArray:
    """[n] int64 rows in the order of picking; lazy: what a row costs only grows as columns fill."""
    m = costs.shape[1]
    g = int(np.gcd(budget, m))
    picked = np.empty(budget, np.int64)
    pick_capacities(costs, m // g, budget // g, picked)
    return picked


@kernel
def pick_facilities(costs, nearest, picked):  # type: ignore[no-untyped-def]
    """Fill picked [n] until no row gains; nearest [m] ends as the cost of the nearest picked row."""
    first, least = 0, BIG
    for i in range(len(costs)):
        total = costs[i].sum()
        if total < least:
            first, least = i, total
    picked[0] = first
    nearest[:] = costs[first]
    heap = [(-gain(costs[i], nearest), i) for i in range(len(costs))]
    heapq.heapify(heap)
    count = 1
    while count < len(picked) and heap[0][0] < 0:
        i = heap[0][1]
        fresh = (-gain(costs[i], nearest), i)
        heapq.heapreplace(heap, fresh)
        if heap[0] == fresh and fresh[0] < 0:
            for j in range(len(nearest)):
                nearest[j] = smaller(nearest[j], costs[i, j])
            heapq.heapreplace(heap, (0.0, i))
            picked[count] = i
            count += 1


@kernel
def gain(row, nearest):  # type: ignore[no-untyped-def]
    """By how much a row lowers the sum of nearest costs."""
    found = 0.0
    for j in range(len(row)):
        found += nearest[j] - smaller(row[j], nearest[j])
    return found


@kernel
def pick_capacities(costs, s, t, picked):  # type: ignore[no-untyped-def]
    """Fill picked [n]; every row ships s units, every column takes t."""
    m = costs.shape[1]
    room, closed = np.full(m, t), np.zeros(m)
    values, columns = np.empty(min(m, -(-s // t) + 1)), np.empty(min(m, -(-s // t) + 1), np.int64)
    heap = [(0.0, 0)]
    heap.pop()
    for i in range(len(costs)):
        cost, values, columns, _ = open_units(costs[i], closed, room, s, values, columns)
        heap.append((cost, i))
    heapq.heapify(heap)
    count = 0
    while count < len(picked):
        i = heap[0][1]
        cost, values, columns, used = open_units(costs[i], closed, room, s, values, columns)
        if (cost, i) != heap[0]:
            heapq.heapreplace(heap, (cost, i))
            continue
        heapq.heappop(heap)
        picked[count] = i
        count += 1
        serve(columns[:used], closed, room, s)


@kernel
def serve(columns, closed, room, s):  # type: ignore[no-untyped-def]
    """Ship s units to these columns, as many as each has room for; full ones are closed."""
    left = s
    for j in columns:
        amount = min(left, room[j])
        left -= amount
        room[j] -= amount
        if room[j] == 0:
            closed[j] = -BIG


@kernel
def open_units(row, closed, room, s, values, columns):  # type: ignore[no-untyped-def]
    """What the s cheapest open units of a row cost; the columns in use, in space that grows as needed."""
    while True:
        lowest(row, closed, values, columns)
        cost, left, used = 0.0, s, 0
        while used < len(values) and left > 0 and values[used] < 0.5 * BIG:
            amount = min(left, room[columns[used]])
            cost += amount * values[used]
            left -= amount
            used += 1
        if left == 0:
            return cost, values, columns, used
        size = min(len(row), 2 * len(values))
        values, columns = np.empty(size), np.empty(size, np.int64)
