"""What rows ship at least, from below: straight from a float32 product, without forming its distances.

Idea   d - v < w only where d^2 < (w + v)^2: with w the largest of a row's cheapest so far, few of its
       columns are left to take a root of. What is compared is widened by more than float32 rounds.
"""

from __future__ import annotations

import numba
import numpy as np

from goracs.ot.cheapest import BIG, CHUNK, Shape
from goracs.ot.compiled import inlined, kernel, smaller
from goracs.ot.distance import BELOW, Block
from goracs.types import FloatArray

# Of w and of prices: float32 loses 3 2^-24 of them in w + v, and 9 in the square and the root.
WIDER = 2.0**-20
FAR = 1e15  # the squares of larger prices could overflow float32: then every root is taken


def shares_below(block: Block, prices: FloatArray, spread: Shape) -> FloatArray:
    """[B] lower bounds of rho_i (`goracs.ot.cheapest`) of a block, at prices [m] in its unit."""
    values = np.empty((len(block.products), spread.length))
    highest = float(np.abs(prices).max())
    near = prices.astype(np.float32) if highest < FAR else np.zeros(len(prices), np.float32)
    lowest_of_each(block.products, block.own, block.others, block.error, prices, near, highest, values)
    found: FloatArray = spread.weight * values[:, : spread.whole].sum(axis=1)
    if spread.rest > 0:
        found += spread.rest * values[:, -1]
    return found


@numba.njit(cache=True, parallel=True)
def lowest_of_each(products, own, others, error, prices, near, highest, values):  # type: ignore[no-untyped-def]
    """`lowest_below` for every row."""
    for i in numba.prange(len(products)):
        lowest_below(products[i], own[i], others, error, prices, near, highest, values[i])


@kernel
def lowest_below(product, own, others, error, prices, near, highest, values):  # type: ignore[no-untyped-def]
    """As `lowest` of `goracs.ot.cheapest`, of lower bounds of the distances less their prices."""
    count = len(values)
    values[:] = BIG
    reach = np.float32(FAR)  # at least w
    for first in range(0, len(prices), CHUNK):
        part, far, v = (
            product[first : first + CHUNK],
            others[first : first + CHUNK],
            near[first : first + CHUNK],
        )
        least = np.float32(FAR)
        for x in range(len(part)):
            least = smaller(least, beyond(squared(part[x], own, far[x]), reach + v[x]))
        if least <= error:
            for x in range(len(part)):
                square = squared(part[x], own, far[x])
                if beyond(square, reach + v[x]) <= error:
                    value = root_below(square, error) - prices[first + x]
                    if value < values[count - 1]:
                        put_in(values, value)
                        worst = values[count - 1]
                        if worst < FAR and highest < FAR:
                            reach = np.float32(worst + WIDER * (abs(worst) + highest))


@inlined
def put_in(values, value):  # type: ignore[no-untyped-def]
    """In the place of the last of ascending values, and then in order."""
    place = len(values) - 1
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        place -= 1
    values[place] = value


@kernel
def squared(product, own, other):  # type: ignore[no-untyped-def]
    """The square of a distance, float32."""
    return (own + other) - np.float32(2) * product


@kernel
def beyond(square, reach):  # type: ignore[no-untyped-def]
    """How far a square is above that of a reach; a reach below 0 reaches nothing."""
    return square - reach * abs(reach)


@kernel
def root_below(square, error):  # type: ignore[no-untyped-def]
    """A lower bound of the distance."""
    return np.float64(np.sqrt(max(square - error, np.float32(0))) * np.float32(BELOW))
