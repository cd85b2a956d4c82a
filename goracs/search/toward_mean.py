"""Rows whose mean comes near a goal: one after another, each the best for the mean of those so far.

Rule       the t-th row is the one left whose mean with the t - 1 before it is nearest to the goal: the row
           nearest to goal - (sum of those before, each less the goal), found by exact Euclidean distances.
Ties       go to the smaller index.
Cost       O(N k) for each row, in float32; 4 N k bytes.
Source     herding (Welling, ICML 2009), without replacement and for any goal.
"""

from __future__ import annotations

import numpy as np

from goracs.ot.part import Passes
from goracs.types import FloatArray, IndexArray


def toward_mean(rows: Passes, goal: FloatArray, budget: int) -> IndexArray:
    """[n] int64 distinct rows in the order of picking.

    Args:
        rows: N of them, of k numbers.
        goal: [k] float64.
        budget: n, 1..N.
    """
    picked, beyond = np.empty(budget, np.int64), np.zeros(len(goal))  # by how much their sum is
    for place in range(budget):
        picked[place], _ = rows.nearest(goal - beyond, picked[:place])
        beyond += rows.at(picked[place : place + 1])[0] - goal
    return picked


def lowest(figures: FloatArray, free: np.typing.NDArray[np.bool_]) -> int:
    """The free row of smallest figure, ties to the smaller index."""
    left = np.flatnonzero(free)
    return int(left[figures[left].argmin()])
