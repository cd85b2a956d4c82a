"""Which row of the pool to put in place p: exact, with most rows ruled out by bounds.

Symbols    S the rows in place, T the columns that p serves, s units a row, t units a column; values are in
           units: n s times transport.
Bounds     LB(q)  optimal duals of the flow that lacks p, and the s cheapest units of q at those prices: read
                  off T and a list of q's cheapest columns at reference prices, O(R); then over all, O(m).
           cuts   the duals at which an earlier q was given up hold for every other q: O(m).
           UB(q)  q takes over p's flow as it is.
           LB, cuts <= OT(S - p + q) <= UB.
Then       successive shortest paths, given up as soon as the dual objective reaches the best value so far.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from goracs.ot import flow as flows
from goracs.ot.cheapest import lowest, units
from goracs.ot.compiled import kernel, smaller

BIG = 1e300
CUTS = 6  # the last duals that are kept for one place


class Reference(NamedTuple):
    """Prices v [m], and for each pool row its L cheapest columns at them: values, columns [N, L]."""

    v: Any
    values: Any
    columns: Any


class Scratch(NamedTuple):
    """Working space of `best_exchange`.

    out: what stood in place p. prices, shift [m]: optimal duals without p, and how far they are below the
    reference. bound, survivor [N]: LB and rows. values, columns [R]: a row's cheapest. cuts [CUTS, m],
    cut_base.
    """

    out: Any
    prices: Any
    shift: Any
    bound: Any
    survivor: Any
    values: Any
    columns: Any
    cuts: Any
    cut_base: Any


def scratch(pool: int, flow: flows.Flow) -> Scratch:
    """Working space for a pool of that many rows."""
    m = len(flow.costs)
    longest = -(-flow.s // flow.t)
    return Scratch(
        out=flows.aside(flow),
        prices=np.empty(m),
        shift=np.empty(m),
        bound=np.empty(pool),
        survivor=np.empty(pool, np.int64),
        values=np.empty(longest),
        columns=np.empty(longest, np.int64),
        cuts=np.empty((CUTS, m)),
        cut_base=np.empty(CUTS),
    )


@kernel
def best_exchange(flow, costs, rows, chosen, p, value, tolerance, reference, space, counts):  # type: ignore[no-untyped-def]
    """Put the best row of the pool in place p, if that is better by more than the tolerance.

    Args:
        flow: optimal.
        costs: [N, m] of the pool.
        rows: [n] the pool row in each place; updated.
        chosen: [N] bool; updated.
        p: the place.
        value: of the flow, in units.
        tolerance: in units.
        reference: prices with lists.
        space: scratch.
        counts: bounds worked out in full, rows given up in routing, rows solved; added to.

    Returns: the value of the flow, smaller if a row was exchanged.
    """
    shipped = value - flows.take_out(flow, p, space.out)
    base = shipped + prices_without(flow, space)
    left, promising = lower_bounds(flow, costs, chosen, shipped, base, value - tolerance, reference, space)
    best = -1
    if left > 0:
        order = np.argsort(space.bound[:left], kind="mergesort")
        best = try_rows(flow, costs, p, shipped, base, value - tolerance, order, promising, space, counts)
    if best < 0:
        flows.put_back(flow, p, space.out)
        return value
    flows.insert(flow, p, costs[best])
    flows.route(flow, p, shipped, BIG)
    chosen[rows[p]], chosen[best], rows[p] = False, True, best
    return flows.total(flow)


@kernel
def lower_bounds(flow, costs, chosen, shipped, base, limit, reference, space):  # type: ignore[no-untyped-def]
    """LB of the rows that it does not rule out, and which of them has the smallest UB.

    Into space.bound and space.survivor; returns how many, and the place of the latter among them (-1: no UB
    is below the limit).
    """
    floor = shift_reference(flow, reference, space)
    lack, demand = flow.lack[: flow.counts[0]], flow.demand
    found, shift, prices, survivor = space.values, space.shift, space.prices, space.survivor
    left, promising, least = 0, -1, limit
    for q in range(len(costs)):
        if chosen[q]:
            continue
        row = costs[q]
        found[:] = BIG
        for j in lack:
            keep_smallest(found, row[j] - prices[j])
        rest = list_smallest(found, reference.values[q], reference.columns[q], shift, floor)
        bound = base + capped_units(found, rest, flow.s, flow.t)
        if bound < limit:
            space.bound[left], survivor[left] = bound, q
            upper = shipped
            for x in range(len(lack)):
                upper += demand[x] * row[lack[x]]
            if upper < least:
                least, promising = upper, left
            left += 1
    return left, promising


@kernel
def shift_reference(flow, reference, space):  # type: ignore[no-untyped-def]
    """By how much the prices without p are below the reference, BIG on T; the smallest shift."""
    floor = BIG
    for j in range(len(space.shift)):
        space.shift[j] = reference.v[j] - space.prices[j]
    for x in range(flow.counts[0]):
        space.shift[flow.lack[x]] = BIG
    for j in range(len(space.shift)):
        floor = smaller(floor, space.shift[j])
    return floor


@kernel
def list_smallest(found, values, columns, shift, floor):  # type: ignore[no-untyped-def]
    """Insert what a row's list holds; beyond the list nothing is below the value that is returned."""
    last = len(found) - 1
    for x in range(len(values)):
        if values[x] + floor >= found[last]:
            break
        keep_smallest(found, values[x] + shift[columns[x]])
    return values[-1] + floor


@kernel
def capped_units(values, cap, s, t):  # type: ignore[no-untyped-def]
    """The cost of s units, t to each of the ascending values, which count as the cap where they are above."""
    found, left = 0.0, s
    for value in values:
        amount = min(t, left)
        found += amount * smaller(value, cap)
        left -= amount
    return found


@kernel
def keep_smallest(found, value):  # type: ignore[no-untyped-def]
    """Insert a value into the ascending smallest ones, if it is one of them."""
    place = len(found) - 1
    if value >= found[place]:
        return
    while place > 0 and found[place - 1] > value:
        found[place] = found[place - 1]
        place -= 1
    found[place] = value


@kernel
def try_rows(flow, costs, p, shipped, base, limit, order, promising, space, counts):  # type: ignore[no-untyped-def]
    """The best of these rows, below the limit: -1 if there is none."""
    best, cuts = -1, 0
    for turn in range(-1 if promising >= 0 else 0, len(order)):
        x = promising if turn < 0 else order[turn]
        if space.bound[x] >= limit:
            break
        q = space.survivor[x]
        if turn >= 0 and x == promising:
            continue
        if ruled_out(costs[q], base, limit, cuts, flow.s, flow.t, space, counts):
            continue
        flows.open_journal(flow)
        flows.insert(flow, p, costs[q])
        whole, value = flows.route(flow, p, shipped, limit)
        if whole:
            limit, best = value, q
        space.cut_base[cuts % CUTS] = cut(flow, p, space.cuts[cuts % CUTS])
        cuts += 1
        counts[2 if whole else 1] += 1
        flows.restore(flow, space.out)
    return best


@kernel
def ruled_out(row, base, limit, cuts, s, t, space, counts):  # type: ignore[no-untyped-def]
    """Whether a cut, the last first, or LB over all columns shows that a row is not below the limit."""
    counts[0] += 1
    values, columns = space.values, space.columns
    for back in range(1, min(cuts, CUTS) + 1):
        x = (cuts - back) % CUTS
        lowest(row, space.cuts[x], values, columns)
        if space.cut_base[x] + units(values, s, t) >= limit:
            return True
    lowest(row, space.prices, values, columns)
    return base + units(values, s, t) >= limit


@kernel
def prices_without(flow, space):  # type: ignore[no-untyped-def]
    """Optimal column duals of the flow that lacks a row, into space.prices; what the lacking units cost."""
    flows.reach(flow, -1, 0.25 * BIG)
    prices = space.prices
    prices[:] = BIG
    for x in range(flow.counts[1]):
        k = flow.order[x]
        for arc in range(flow.degree[k]):
            j = flow.columns[k, arc]
            prices[j] = smaller(prices[j], flow.costs[j, k] - flow.settled[x])
    found = 0.0
    for x in range(flow.counts[0]):
        j = flow.lack[x]
        prices[j] = smaller(prices[j], flow.price[x])
        found += flow.demand[x] * prices[j]
    return found


@kernel
def cut(flow, p, prices):  # type: ignore[no-untyped-def]
    """Column duals [m] of a flow under way, and the part of their bound that does not come from place p."""
    base = 0.0
    prices[:] = BIG
    for k in range(len(flow.degree)):
        if k != p:
            base += flow.s * flow.u[k]
        for arc in range(flow.degree[k]):
            j = flow.columns[k, arc]
            prices[j] = smaller(prices[j], flow.costs[j, k] - flow.u[k])
    for x in range(flow.counts[0]):
        if flow.demand[x] > 0:
            j = flow.lack[x]
            prices[j] = smaller(prices[j], flow.price[x])
    for price in prices:
        base += flow.t * price
    return base
