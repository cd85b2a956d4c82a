"""One node of a branch and bound over coresets: some rows are fixed in, some out, and the bound is raised.

Bound      L(v) as in `goracs.ot.lagrangian`, with the n rows that count taken from the node: all that are in,
           and the cheapest of the free ones. What rounding can have added is taken off
           (`goracs.ot.cost.proven`), so a node is given up by its bound only where that is below its optimum.
Ascent     as there, on all columns of all rows that are not out: small problems are what this is for.
Fixing     a free row whose being in (or out) would bring the bound to the limit is out (or in).
"""

from __future__ import annotations

import numpy as np

from goracs.ot.cheapest import lowest
from goracs.ot.compiled import kernel
from goracs.ot.cost import UNIT
from goracs.ot.subgradient import shortage, smallest

BIG = 1e300
FREE, IN, OUT = 0, 1, 2
PATIENCE, SHRINK, LEAST_PACE = 8, 0.7, 0.01  # as in `goracs.ot.lagrangian`, for ascents of fewer steps
PROGRESS, SMOOTH, OPPOSED = 1e-6, 0.3, 1e-6
FORGET = 0.9  # of how often a row was among the n


@kernel
def climb(costs, state, prices, budget, whole, weight, rest, low, limit, steps, pace, share, rho):  # type: ignore[no-untyped-def]
    """Raise the bound of a node until it reaches the limit, or steps bring little.

    Args:
        costs: [K, m].
        state: [K] int8, FREE, IN or OUT.
        prices: [m] to begin with; ends as the best seen.
        budget: n.
        whole: with weight and rest a `goracs.ot.cheapest.Shape`.
        weight: of it.
        rest: of it.
        low: the smallest cost of the pool.
        limit: a node that reaches it has nothing to offer.
        steps: at most.
        pace: of the first step.
        share: [K]; how often each row was among the n of late.
        rho: [K]; of each row at the best prices.

    Returns: the bound, whether its n rows meet every column (then they are the node's optimum), the pace.
    """
    length = whole + (rest > 0)
    picked, values = np.zeros((len(costs), length), np.int64), np.empty(length)
    found, at, direction = np.empty(len(costs)), prices.copy(), np.zeros(len(prices))
    highest, idle, owed = -BIG, 0, 1.0
    share[:] = 0
    for _ in range(steps):
        spread_dense(costs, state, at, whole, weight, rest, values, picked, found)
        chosen = cheapest_of_node(found, state, budget)
        value = proven_at(at, found, chosen, low)
        share *= FORGET
        share[chosen] += 1 - FORGET
        short = shortage(chosen, picked, whole, len(prices))
        owed = (short * short).sum()
        if value > highest + PROGRESS * (limit - value) or owed == 0:
            highest, idle = value, 0
            prices[:], rho[:] = at, found
        else:
            idle += 1
        if owed == 0 or value >= limit or pace < LEAST_PACE:
            break
        if idle == PATIENCE:
            pace, idle = pace * SHRINK, 0
            at[:] = prices
            direction[:] = 0
            continue
        direction = SMOOTH * short + (1 - SMOOTH) * direction
        size = (direction * direction).sum()
        if size < OPPOSED * owed:
            direction[:] = short
            size = owed
        at += pace * (limit - value) * len(prices) / size * direction
    return highest, owed == 0, pace


@kernel
def spread_dense(costs, state, prices, whole, weight, rest, values, picked, found):  # type: ignore[no-untyped-def]
    """rho of each row that is not out into found [K], and its cheapest columns into picked [K, R]."""
    for i in range(len(costs)):
        found[i] = BIG
        if state[i] != OUT:
            lowest(costs[i], prices, values, picked[i])
            found[i] = weight * values[:whole].sum() + (rest * values[-1] if rest > 0 else 0.0)


@kernel
def cheapest_of_node(found, state, budget):  # type: ignore[no-untyped-def]
    """[n] the rows that are in and the cheapest free ones, ascending, ties to the smaller index."""
    key = found.copy()
    for i in range(len(state)):
        if state[i] == IN:
            key[i] = -BIG
    return smallest(key, budget)


@kernel
def proven_at(prices, found, chosen, low):  # type: ignore[no-untyped-def]
    """`goracs.ot.cost.proven` of the chosen rows."""
    worth = found[chosen]
    size = np.abs(prices).mean() + np.abs(worth).mean() + 2 * max(0.0, prices.max() - low)
    return prices.mean() + worth.mean() - (len(prices) + len(worth) + 8) * UNIT * size


@kernel
def settle(state, rho, bound, limit, budget):  # type: ignore[no-untyped-def]
    """Fix the rows whose other choice would bring the bound to the limit."""
    free = np.flatnonzero(state == FREE)
    left = budget - (state == IN).sum()
    if left == 0 or left == len(free):
        return
    worth = np.sort(rho[free])
    last, following = worth[left - 1], worth[left]
    for i in free:
        if rho[i] >= following and bound + (rho[i] - last) / budget >= limit:
            state[i] = OUT
        elif rho[i] <= last and bound + (following - rho[i]) / budget >= limit:
            state[i] = IN
