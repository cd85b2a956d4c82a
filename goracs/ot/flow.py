"""The kernels of incremental transport: an optimal flow on a condensed graph of rows, re-optimised in place.

Problem    min sum f_ij C_ij over whole f >= 0, row sums s = m/g, column sums t = n/g, g = gcd(n, m):
           transport in units of 1/(n s).
Graph      its nodes are the n rows. W[k, i] = min over columns j that k serves of C_ij - C_kj: what it costs
           that i takes a unit over from k. Column duals are implied, v_j = C_kj - u_k for any server k of j.
Invariant  u_i <= u_k + W[k, i] for all i, k; that is C - u - v >= 0, with 0 where f > 0.
Removal    takes a row's arcs away; its columns lack `demand` units and get the largest feasible price.
Routing    sends the units of the row in place p to the lacking columns along shortest paths (successive
           shortest paths): a backward Dijkstra from those columns over the rows, `a` the true cost of a unit
           less the price of the column where its path ends, a - u >= 0 its key.
Arrays     float64 but for arcs; `costs` is transposed [m, n], so that a column is contiguous.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from goracs.ot.compiled import inlined, kernel, smaller
from goracs.types import FloatArray

BIG = 1e300
DONE = -3 * BIG  # a dual that puts a settled row behind all others
BLOCK = 32  # rows are padded to whole blocks with rows of cost BIG

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Flow(NamedTuple):
    """An optimal flow of the n rows in their places, and scratch space.

    costs [m, n], between [n, n] (W), u [n]; arcs of row k: columns[k, :degree[k]] with units[k, :degree[k]].
    Lacking columns: lack[:counts[0]] with demand and price. Settled rows of the last Dijkstra:
    order[:counts[1]], their true costs settled[:counts[1]]; a and shifted are its working vectors.
    Journal: rows changed since it was opened, kept_rows[:counts[2]], with their old arcs; counts[3] says
    whether one is open.
    """

    s: int
    t: int
    costs: Floats
    between: Floats
    u: Floats
    columns: Any
    units: Any
    degree: Any
    lack: Any
    demand: Any
    price: Floats
    order: Any
    settled: Floats
    a: Floats
    shifted: Floats
    lows: Floats
    counts: Any
    kept_rows: Any
    kept: Any
    kept_columns: Any
    kept_units: Any
    kept_degree: Any
    kept_u: Floats


def empty(costs: FloatArray) -> Flow:
    """Space for the flow of n rows [n, m], without arcs."""
    n, m = costs.shape
    g = int(np.gcd(n, m))
    s, t = m // g, n // g
    most = min(s, m)
    whole = np.int32
    width = -(-n // BLOCK) * BLOCK
    padded = np.full((m, width), BIG)
    padded[:, :n] = costs.T
    return Flow(
        s=s,
        t=t,
        costs=padded,
        between=np.full((n, width), BIG),
        u=np.zeros(width),
        columns=np.zeros((n, most), whole),
        units=np.zeros((n, most), whole),
        degree=np.zeros(n, whole),
        lack=np.zeros(most, whole),
        demand=np.zeros(most, whole),
        price=np.zeros(most),
        order=np.zeros(n, whole),
        settled=np.zeros(n),
        a=np.zeros(width),
        shifted=np.zeros(width),
        lows=np.zeros(width // BLOCK),
        counts=np.zeros(4, np.int64),
        kept_rows=np.zeros(n, whole),
        kept=np.zeros(n, np.bool_),
        kept_columns=np.zeros((n, most), whole),
        kept_units=np.zeros((n, most), whole),
        kept_degree=np.zeros(n, whole),
        kept_u=np.zeros(width),
    )


@kernel
def rebuild(out, costs, columns, degree, k):  # type: ignore[no-untyped-def]
    """W[k, :] from the arcs of row k."""
    out[:] = BIG
    for arc in range(degree):
        extend(out, costs[columns[arc]], k)


@kernel
def extend(out, column, k):  # type: ignore[no-untyped-def]
    """W[k, :] after row k began to serve a column."""
    own = column[k]
    for i in range(len(out)):
        out[i] = smaller(out[i], column[i] - own)


@kernel
def open_arcs(flow, u):  # type: ignore[no-untyped-def]
    """Adopt duals u for arcs that are already in place."""
    flow.u[: len(u)] = u
    for k in range(len(u)):
        rebuild(flow.between[k], flow.costs, flow.columns[k], flow.degree[k], k)


@kernel
def total(flow):  # type: ignore[no-untyped-def]
    """sum f C, summed anew."""
    found = 0.0
    for k in range(len(flow.degree)):
        for arc in range(flow.degree[k]):
            found += flow.units[k, arc] * flow.costs[flow.columns[k, arc], k]
    return found


@kernel
def give(columns, units, degree, j, amount):  # type: ignore[no-untyped-def]
    """Add units to a row's arc to column j, or the arc; the row's number of arcs."""
    for arc in range(degree):
        if columns[arc] == j:
            units[arc] += amount
            return degree
    columns[degree] = j
    units[degree] = amount
    return degree + 1


@kernel
def take(columns, units, degree, j, amount):  # type: ignore[no-untyped-def]
    """Take units off a row's arc to column j, or the whole arc; the row's number of arcs."""
    for arc in range(degree):
        if columns[arc] == j:
            units[arc] -= amount
            if units[arc] > 0:
                return degree
            columns[arc] = columns[degree - 1]
            units[arc] = units[degree - 1]
    return degree - 1


@kernel
def units_to(columns, units, j):  # type: ignore[no-untyped-def]
    """The units of a row's arc to column j, which is there."""
    arc = 0
    while columns[arc] != j:
        arc += 1
    return units[arc]


@kernel
def remove(flow, p):  # type: ignore[no-untyped-def]
    """Take the row in place p out: its columns lack its units and get the largest feasible price."""
    lacking = flow.degree[p]
    flow.counts[0] = lacking
    flow.lack[:lacking] = flow.columns[p, :lacking]
    flow.demand[:lacking] = flow.units[p, :lacking]
    flow.degree[p] = 0
    flow.between[p, :] = BIG
    flow.u[p] = -BIG
    for x in range(lacking):
        column = flow.costs[flow.lack[x]]
        best = BIG
        for i in range(len(column)):
            best = smaller(best, column[i] - flow.u[i])
        flow.price[x] = best if len(flow.degree) > 1 else 0.0


@kernel
def insert(flow, p, row):  # type: ignore[no-untyped-def]
    """Put a row [m] without arcs into the empty place p, with the largest feasible dual."""
    for j in range(len(row)):
        flow.costs[j, p] = row[j]
    dual = BIG
    for x in range(flow.counts[0]):
        dual = smaller(dual, row[flow.lack[x]] - flow.price[x])
    degree, columns, costs = flow.degree, flow.columns, flow.costs
    for k in range(len(flow.degree)):
        if k != p:
            least = BIG
            for arc in range(degree[k]):
                j = columns[k, arc]
                least = smaller(least, row[j] - costs[j, k])
            flow.between[k, p] = least
            dual = smaller(dual, flow.u[k] + least)
    flow.u[p] = dual


@inlined
def reach(flow, p, far):  # type: ignore[no-untyped-def]  # noqa: C901
    """Dijkstra from the lacking columns until the row in place p is reached, or all keys are at least `far`.

    With p = -1 over all rows in place. Rows of equal key are settled together. Returns the distance: the key
    of p, or the smallest key left if p was not reached.
    """
    a, shifted, lows, order, settled = flow.a, flow.shifted, flow.lows, flow.order, flow.settled
    first_costs(flow)
    end = 0
    while True:
        least = BIG
        for b in range(len(lows)):
            least = smaller(least, lows[b])
        key = a[p] - flow.u[p] if p >= 0 else BIG
        if min(key, far) <= least:
            flow.counts[1] = end
            return min(key, least)
        first = end
        for b in range(len(lows)):
            if lows[b] <= least:
                for i in range(b * BLOCK, (b + 1) * BLOCK):
                    if a[i] - shifted[i] <= least:
                        order[end], settled[end] = i, a[i]
                        shifted[i] = DONE
                        end += 1
        for x in range(first, end):
            relax(a, shifted, lows, flow.between[order[x]], settled[x])


@inlined
def first_costs(flow):  # type: ignore[no-untyped-def]
    """Start the Dijkstra: the cost of serving a lacking column directly, nothing settled."""
    flow.a[:] = BIG
    flow.shifted[:] = flow.u
    for x in range(flow.counts[0]):
        if flow.demand[x] > 0:
            relax(flow.a, flow.shifted, flow.lows, flow.costs[flow.lack[x]], -flow.price[x])


@kernel
def relax(a, shifted, lows, through, cost):  # type: ignore[no-untyped-def]
    """a = min(a, cost + through), and the smallest key a - shifted of each block."""
    for b in range(len(lows)):
        low = BIG
        for x in range(BLOCK):
            i = b * BLOCK + x
            found = smaller(a[i], cost + through[i])
            a[i] = found
            low = smaller(low, found - shifted[i])
        lows[b] = low


@inlined
def lift(flow, distance):  # type: ignore[no-untyped-def]
    """Dual ascent: afterwards the path to the reached row is tight."""
    for x in range(flow.counts[1]):
        flow.u[flow.order[x]] = flow.settled[x] - distance
    for x in range(flow.counts[0]):
        flow.price[x] += distance


@inlined
def trace(flow, p, path, taken):  # type: ignore[no-untyped-def]
    """The shortest path found by `reach`: rows path[0] = p, ..; path[x] takes column taken[x] from the next.

    A row's true cost is exactly the sum that gave it, so equality finds the way back: a lacking column, or
    one of the rows settled before. Before the ascent. Returns the number of rows and the place of the lacking
    column.
    """
    between, order, settled = flow.between, flow.order, flow.settled
    length, row, cost, before = 0, p, flow.a[p], flow.counts[1]
    while True:
        path[length] = row
        length += 1
        for x in range(flow.counts[0]):
            if flow.demand[x] > 0 and flow.costs[flow.lack[x], row] - flow.price[x] == cost:
                return length, x
        x = 0
        while settled[x] + between[order[x], row] != cost:
            x += 1
            if x == before:
                return -1, -1
        taken[length - 1] = taken_column(flow.columns[order[x]], flow.costs, order[x], row, between)
        row, cost, before = order[x], settled[x], x


@kernel
def taken_column(columns, costs, k, row, between):  # type: ignore[no-untyped-def]
    """The column that a row takes over from row k most cheaply."""
    arc = 0
    while costs[columns[arc], row] - costs[columns[arc], k] != between[k, row]:
        arc += 1
    return columns[arc]


@inlined
def bottleneck(flow, path, taken, length, end, units):  # type: ignore[no-untyped-def]
    """How many units the path can carry."""
    amount = min(units, flow.demand[end])
    for x in range(1, length):
        k = path[x]
        amount = min(amount, units_to(flow.columns[k], flow.units[k], taken[x - 1]))
    return amount


@inlined
def push(flow, path, taken, length, end, amount):  # type: ignore[no-untyped-def]
    """Ship along the path, and bring W up to date for its rows."""
    columns, units, degree, costs, between = flow.columns, flow.units, flow.degree, flow.costs, flow.between
    flow.demand[end] -= amount
    taken[length - 1] = flow.lack[end]
    for x in range(length):
        k, j = path[x], taken[x]
        if flow.counts[3] == 1 and not flow.kept[k]:
            keep(flow, k)
        before = degree[k]
        if x > 0:
            degree[k] = take(columns[k], units[k], degree[k], taken[x - 1], amount)
        whole = degree[k] == before
        degree[k] = give(columns[k], units[k], degree[k], j, amount)
        if whole:
            extend(between[k], costs[j], k)
        else:
            rebuild(between[k], costs, columns[k], degree[k], k)


@kernel
def keep(flow, k):  # type: ignore[no-untyped-def]
    """Note the arcs of row k in the journal."""
    flow.kept[k] = True
    flow.kept_rows[flow.counts[2]] = k
    flow.counts[2] += 1
    degree = flow.degree[k]
    flow.kept_degree[k] = degree
    flow.kept_columns[k, :degree] = flow.columns[k, :degree]
    flow.kept_units[k, :degree] = flow.units[k, :degree]


@inlined
def lacking_price(flow, p):  # type: ignore[no-untyped-def]
    """What the lacking units cost at the present duals, shipped by the row in place p."""
    found = 0.0
    for x in range(flow.counts[0]):
        found += flow.demand[x] * (flow.u[p] + flow.price[x])
    return found


@kernel
def route(flow, p, value, limit):  # type: ignore[no-untyped-def]
    """Ship all units of the row in place p; give up once the dual objective reaches the limit.

    Args:
        flow: with a removed row's columns lacking.
        p: the place of a new row.
        value: cost of the units shipped so far.
        limit: in the same units.

    Returns: whether all was shipped, and the optimal value or a lower bound of it. Either way the duals are
        feasible.
    """
    n, left = len(flow.degree), flow.s
    path, taken = np.empty(n, np.int32), np.empty(n, np.int32)
    while left > 0:
        bound = value + lacking_price(flow, p)
        distance = reach(flow, p, (limit - bound) / left)
        bound += left * distance
        if bound >= limit:
            lift(flow, distance)
            return False, bound
        length, end = trace(flow, p, path, taken)
        if length < 0:
            raise ValueError("no way back along the shortest path: a defect of goracs")
        lift(flow, distance)
        amount = bottleneck(flow, path, taken, length, end, left)
        value += amount * (flow.u[p] + flow.price[end])
        push(flow, path, taken, length, end, amount)
        left -= amount
    return True, value


@kernel
def open_journal(flow):  # type: ignore[no-untyped-def]
    """Note from here on what is needed to come back."""
    flow.kept_u[:] = flow.u
    flow.counts[2] = 0
    flow.counts[3] = 1
    flow.kept[:] = False


@kernel
def roll_back(flow):  # type: ignore[no-untyped-def]
    """Arcs, duals and W as they were when the journal was opened; it is closed."""
    flow.u[:] = flow.kept_u
    for x in range(flow.counts[2]):
        k = flow.kept_rows[x]
        degree = flow.kept_degree[k]
        flow.degree[k] = degree
        flow.columns[k, :degree] = flow.kept_columns[k, :degree]
        flow.units[k, :degree] = flow.kept_units[k, :degree]
        rebuild(flow.between[k], flow.costs, flow.columns[k], flow.degree[k], k)
    flow.counts[3] = 0


@kernel
def close_journal(flow):  # type: ignore[no-untyped-def]
    """Keep what was done since the journal was opened."""
    flow.counts[3] = 0


@kernel
def swap(flow, p, row):  # type: ignore[no-untyped-def]
    """Put a row [m] in place p and re-optimise."""
    remove(flow, p)
    insert(flow, p, row)
    route(flow, p, 0.0, BIG)


@kernel
def column_duals(flow, prices):  # type: ignore[no-untyped-def]
    """The column duals [m] of an optimal flow, into prices."""
    prices[:] = BIG
    for k in range(len(flow.degree)):
        for arc in range(flow.degree[k]):
            j = flow.columns[k, arc]
            prices[j] = smaller(prices[j], flow.costs[j, k] - flow.u[k])


class Aside(NamedTuple):
    """What stood in a place: its row [m], all duals, and what its columns lack and cost without it."""

    row: Floats
    u: Floats
    demand: Any
    price: Floats


def aside(flow: Flow) -> Aside:
    """Space for what stands in a place."""
    most = len(flow.lack)
    return Aside(np.empty(len(flow.costs)), np.empty(len(flow.u)), np.empty(most, np.int32), np.empty(most))


@kernel
def take_out(flow, p, out):  # type: ignore[no-untyped-def]
    """Remove the row in place p, remembering how to put it back; the cost of its units."""
    for j in range(len(out.row)):
        out.row[j] = flow.costs[j, p]
    out.u[:] = flow.u
    own = 0.0
    for arc in range(flow.degree[p]):
        own += flow.units[p, arc] * out.row[flow.columns[p, arc]]
    remove(flow, p)
    lacking = flow.counts[0]
    out.demand[:lacking] = flow.demand[:lacking]
    out.price[:lacking] = flow.price[:lacking]
    return own


@kernel
def restore(flow, out):  # type: ignore[no-untyped-def]
    """The flow without the row that was taken out, as it was before another was tried in its place."""
    roll_back(flow)
    lacking = flow.counts[0]
    flow.demand[:lacking] = out.demand[:lacking]
    flow.price[:lacking] = out.price[:lacking]


@kernel
def put_back(flow, p, out):  # type: ignore[no-untyped-def]
    """The flow as it was before the row was taken out."""
    insert(flow, p, out.row)
    flow.u[:] = out.u
    lacking = flow.counts[0]
    flow.degree[p] = lacking
    flow.columns[p, :lacking] = flow.lack[:lacking]
    flow.units[p, :lacking] = out.demand[:lacking]
    rebuild(flow.between[p], flow.costs, flow.columns[p], lacking, p)
