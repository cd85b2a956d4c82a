"""Rows whose mean comes near a goal: one after another, each the best for the mean of those so far.

Rule       the t-th row is the one left whose mean with the t - 1 before it is nearest to the goal: the row
           nearest to t goal - (sum of those before), found by exact Euclidean distances.
Ties       go to the smaller index.
Cost       O(N k) for each row, in float32; 4 N k bytes.
Source     herding (Welling, ICML 2009), without replacement and for any goal.
"""

from __future__ import annotations

import numpy as np

from goracs.ot.one_point import Rows
from goracs.types import FloatArray, IndexArray


def toward_mean(rows: FloatArray, goal: FloatArray, budget: int) -> IndexArray:
    """[n] int64 distinct rows in the order of picking.

    Args:
        rows: [N, k] float64.
        goal: [k] float64.
        budget: n, 1..N.
    """
    picked, among = np.empty(budget, np.int64), Rows(rows, np.arange(len(rows)))
    free = np.ones(len(rows), np.bool_)
    total = np.zeros(len(goal))
    for place in range(budget):
        picked[place], _ = among.nearest((place + 1) * goal - total, free)
        free[picked[place]] = False
        total += rows[picked[place]]
    return picked


def lowest(figures: FloatArray, free: np.typing.NDArray[np.bool_]) -> int:
    """The free row of smallest figure, ties to the smaller index."""
    left = np.flatnonzero(free)
    return int(left[figures[left].argmin()])
