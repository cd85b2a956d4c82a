"""Subgradient steps of the Lagrangian bound (`goracs.ot.lagrangian`), on rows that are looked at closely.

Step       a column's price rises while the n cheapest rows leave it short, by Polyak's rule against a known
           objective, on a smoothed direction. What is short is counted in whole units: where nothing is, the
           n rows are the optimum of what the steps look at: of each row the columns that can matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from goracs.ot.cheapest import cheapest_of_all
from goracs.ot.compiled import kernel
from goracs.types import FloatArray

BIG = 1e300
WIDTH = 8  # a row's list holds its WIDTH (R + 4) cheapest columns
NEAR = 16  # each column is in the lists of so many rows at least, lest its price run away
STEPS = 100  # subgradient steps between two passes
PATIENCE, SHRINK = 10, 0.7  # after so many steps without progress the pace shrinks
PROGRESS = 1e-6  # of the distance to the objective: what counts as progress of a step
SMOOTH = 0.2  # weight of a new direction
OPPOSED = 1e-6  # of the square of what is short: a smoothed direction below cancels out, and begins anew
FORGET = 0.99  # of how often a row was chosen
SLACK = 1e-11  # of prices and costs: far above their rounding


class Lists(NamedTuple):
    """The columns of each row that can matter, those of row i from starts[i] to starts[i + 1].

    First its cheapest ones at the prices [m] that the lists were made at, ascending; then those to which the
    row is one of the NEAR nearest. levels: what a column costs at these prices, of the latter no more than
    that, so that they ascend. size: of the costs.
    """

    starts: Any
    columns: Any
    costs: Any
    levels: Any
    prices: Any
    size: float


def lists(costs: FloatArray, prices: FloatArray, length: int) -> Lists:
    """Of generated rows [G, m]."""
    G, m = costs.shape
    width = min(m, WIDTH * (length + 4))
    values, listed = np.empty((G, width)), np.empty((G, width), np.int32)
    cheapest_of_all(costs, prices, values, listed)
    near = np.full((m, min(NEAR, G)), -1, np.int64)
    nearest_rows(costs, np.full(near.shape, BIG), near)
    starts, columns, found, levels = join_lists(costs, prices, values, listed, near)
    return Lists(starts, columns, found, levels, prices.copy(), float(np.abs(costs).max()))


@kernel
def join_lists(costs, prices, values, listed, near):  # type: ignore[no-untyped-def]
    """Each row's own list and, behind it, the columns it is near to that are not in it."""
    G, width = listed.shape
    count = np.full(G + 1, width)
    count[0] = 0
    for j in range(len(near)):
        for i in near[j]:
            count[i + 1] += not is_listed(costs[i, j] - prices[j], j, values[i, -1], listed[i, -1])
    starts = np.cumsum(count)
    columns, found, levels = np.empty(starts[-1], np.int32), np.empty(starts[-1]), np.empty(starts[-1])
    filled = starts[:-1] + width
    for i in range(G):
        for x in range(width):
            columns[starts[i] + x] = listed[i, x]
            found[starts[i] + x] = costs[i, listed[i, x]]
            levels[starts[i] + x] = values[i, x]
    for j in range(len(near)):
        for i in near[j]:
            if not is_listed(costs[i, j] - prices[j], j, values[i, -1], listed[i, -1]):
                columns[filled[i]], found[filled[i]], levels[filled[i]] = j, costs[i, j], values[i, -1]
                filled[i] += 1
    return starts, columns, found, levels


@kernel
def is_listed(value, j, last, of_last):  # type: ignore[no-untyped-def]
    """Whether a column is in a list that ends so."""
    return value < last or (value == last and j <= of_last)


@kernel
def nearest_rows(costs, values, rows):  # type: ignore[no-untyped-def]
    """For each column the len(rows[j]) rows of smallest cost, into rows [m, k], by way of values [m, k]."""
    last = rows.shape[1] - 1
    for i in range(len(costs)):
        for j in range(costs.shape[1]):
            cost = costs[i, j]
            if cost < values[j, last]:
                place = last
                while place > 0 and values[j, place - 1] > cost:
                    values[j, place] = values[j, place - 1]
                    rows[j, place] = rows[j, place - 1]
                    place -= 1
                values[j, place] = cost
                rows[j, place] = i


@kernel
def steps(lists, best, whole, weight, rest, budget, objective, pace, seen):  # type: ignore[no-untyped-def]
    """Subgradient steps from the prices `best`, which end as the best ones seen; the pace at the end."""
    m, G = len(best), len(lists.starts) - 1
    length = whole + (rest > 0)
    picked, found, chosen = np.empty((G, length), np.int64), np.empty(G), np.arange(budget)
    prices, direction, highest, idle = best.copy(), np.zeros(m), -BIG, 0
    for _ in range(STEPS):
        spread_rows(lists, prices, whole, weight, rest, chosen, picked, found)
        chosen = smallest(found, budget)
        value = prices.mean() + found[chosen].mean()
        short = shortage(chosen, picked, whole, m)
        owed = (short * short).sum()
        seen *= FORGET
        seen[chosen] += 1 - FORGET
        if value > highest + PROGRESS * (objective - value):
            highest, idle = value, 0
            best[:] = prices
        else:
            idle += 1
            if idle == PATIENCE:
                pace, idle = pace * SHRINK, 0
                prices[:] = best
                direction[:] = 0
                continue
        if owed == 0:
            seen[:] = 0
            seen[chosen] = 1
        if owed == 0 or objective <= value:
            break
        direction = SMOOTH * short + (1 - SMOOTH) * direction
        size = (direction * direction).sum()
        if size < OPPOSED * owed:
            direction[:] = short
            size = owed
        prices += pace * (objective - value) * m / size * direction
    return pace


@kernel
def spread_rows(lists, prices, whole, weight, rest, chosen, picked, found):  # type: ignore[no-untyped-def]
    """rho of each row that can be among the cheapest into found [G], its columns into picked [G, R].

    A value has fallen by at most what a price has risen by since the lists were made: so a list is read as
    far as it can matter, and a row is left out (BIG) that is above those that were chosen last.
    """
    values, worst = np.empty(picked.shape[1]), -BIG
    rise = (prices - lists.prices).max()
    rise += SLACK * (lists.size + np.abs(prices).max() + abs(rise))
    found[:] = BIG
    for i in chosen:
        found[i] = spread_row(lists, i, prices, rise, whole, weight, rest, picked[i], values)
        worst = max(worst, found[i])
    worst += rise
    for i in range(len(found)):
        if found[i] == BIG and weigh(lists.levels[lists.starts[i] :], whole, weight, rest) <= worst:
            found[i] = spread_row(lists, i, prices, rise, whole, weight, rest, picked[i], values)


@kernel
def weigh(values, whole, weight, rest):  # type: ignore[no-untyped-def]
    """The mean over a row's mass of ascending values."""
    return weight * values[:whole].sum() + (rest * values[whole] if rest > 0 else 0.0)


@kernel
def spread_row(lists, i, prices, rise, whole, weight, rest, picked, values):  # type: ignore[no-untyped-def]
    """rho of a row from its list, and its cheapest columns into picked [R]; ties by column."""
    last = len(values) - 1
    values[:] = BIG
    for x in range(lists.starts[i], lists.starts[i + 1]):
        if lists.levels[x] - rise > values[last]:
            break
        j = lists.columns[x]
        value, place = lists.costs[x] - prices[j], last
        if value < values[place] or (value == values[place] and j < picked[place]):
            while place > 0 and (
                values[place - 1] > value or (values[place - 1] == value and picked[place - 1] > j)
            ):
                values[place] = values[place - 1]
                picked[place] = picked[place - 1]
                place -= 1
            values[place], picked[place] = value, j
    return weigh(values, whole, weight, rest)


@kernel
def smallest(found, count):  # type: ignore[no-untyped-def]
    """The `count` rows of smallest value, ties to the smaller index; in the order of indices."""
    threshold = kth(found.copy(), count - 1)
    chosen, filled = np.empty(count, np.int64), 0
    ties = count - (found < threshold).sum()
    for i in range(len(found)):
        if found[i] < threshold or (found[i] == threshold and ties > 0):
            ties -= found[i] == threshold
            chosen[filled] = i
            filled += 1
    return chosen


@kernel
def kth(values, k):  # type: ignore[no-untyped-def]
    """The value that would stand at place k if they were sorted, which moves them (Hoare's selection).

    `np.partition` does the same, but its checks of arguments take ten seconds to compile.
    """
    low, high = 0, len(values) - 1
    while low < high:
        pivot, x, y = values[(low + high) // 2], low, high
        while x <= y:
            while values[x] < pivot:
                x += 1
            while values[y] > pivot:
                y -= 1
            if x <= y:
                values[x], values[y] = values[y], values[x]
                x, y = x + 1, y - 1
        low = low if k < x else x
        high = high if k > y else y
        if y < k < x:
            break
    return values[k]


@kernel
def shortage(chosen, picked, whole, m):  # type: ignore[no-untyped-def]
    """By how much each column is served short: 1 less what the chosen rows ship to it, in its own mass.

    Counted in whole units: exactly 0 where a column gets what it takes.
    """
    g = np.gcd(len(chosen), m)
    s, t = m // g, len(chosen) // g
    short = np.full(m, t)
    for i in chosen:
        for x in range(whole):
            short[picked[i, x]] -= t
        if whole * t < s:
            short[picked[i, whole]] -= s - whole * t
    return short / t
