"""What one row ships at least, at given prices: its s cheapest units of C_ij - v_j, at most t to a column.

As a share of the row: weight t/s = n/m on each of the floor(m/n) cheapest columns, the remainder on the next.
When n does not divide m, a plain mean of the ceil(m/n) cheapest would overstate it.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from goracs.ot.compiled import kernel, smaller
from goracs.types import FloatArray

BIG = 1e300
CHUNK = 16  # columns looked at together: most chunks hold nothing cheap enough


class Shape(NamedTuple):
    """How a row spreads: `whole` columns of weight `weight`, then one of `rest` (0 where n divides m)."""

    whole: int
    weight: float
    rest: float

    @property
    def length(self) -> int:
        """R = ceil(m/n): the columns that count."""
        return self.whole + (self.rest > 0)


def shape(budget: int, target: int) -> Shape:
    """The spread of a row when n = budget rows serve m = target columns."""
    whole, left = divmod(target, budget)
    return Shape(whole, budget / target, left / target)


def shares(costs: FloatArray, prices: FloatArray, spread: Shape) -> FloatArray:
    """rho_i [k]: what each row of costs [k, m] ships at least at prices [m], as a mean over its mass."""
    values = np.empty((len(costs), spread.length))
    cheapest_of_all(costs, prices, values, np.empty(values.shape, np.int32))
    found: FloatArray = spread.weight * values[:, : spread.whole].sum(axis=1)
    if spread.rest > 0:
        found += spread.rest * values[:, -1]
    return found


@kernel
def lowest(row, prices, values, columns):  # type: ignore[no-untyped-def]
    """The len(values) smallest of row - prices, ascending, and their columns; ties by column."""
    count, m = len(values), len(row)
    values[:] = BIG
    worst = BIG
    for first in range(0, m, CHUNK):
        costs, free = row[first : first + CHUNK], prices[first : first + CHUNK]
        least = BIG
        for x in range(len(costs)):  # from 0: with another first index LLVM does not vectorise it
            least = smaller(least, costs[x] - free[x])
        if least < worst:
            for x in range(len(costs)):
                value = costs[x] - free[x]
                if value < worst:
                    place = count - 1
                    while place > 0 and values[place - 1] > value:
                        values[place] = values[place - 1]
                        columns[place] = columns[place - 1]
                        place -= 1
                    values[place] = value
                    columns[place] = first + x
                    worst = values[count - 1]


@kernel
def units(values, s, t):  # type: ignore[no-untyped-def]
    """The cost of s units, t to each of the ascending values."""
    found, left = 0.0, s
    for value in values:
        amount = min(t, left)
        found += amount * value
        left -= amount
    return found


@numba.njit(cache=True, parallel=True)
def cheapest_of_all(costs, prices, values, columns):  # type: ignore[no-untyped-def]
    """`lowest` for every row of costs [N, m], into values and columns [N, L]."""
    for i in numba.prange(len(costs)):
        lowest(costs[i], prices, values[i], columns[i])
