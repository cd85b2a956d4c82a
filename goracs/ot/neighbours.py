"""Nearest rows: of every row at once by blocks, or one after the other without taking a row twice.

All that is decided is decided by exact float64 distances, ties by index (see `goracs.ot.distance`).
"""

from __future__ import annotations

import numpy as np

from goracs.ot.distance import blocks, distances, first_of, refuse_no_columns
from goracs.ot.one_point import Rows
from goracs.types import FloatArray, IndexArray


def nearest(
    features: FloatArray, target: FloatArray, count: int, *, others: bool = False
) -> tuple[IndexArray, FloatArray]:
    """The `count` nearest target rows of every row.

    Args:
        features: [N, d] float; finite.
        target: [m, d] float; same space.
        count: 0..m, 0..m - 1 with `others`.
        others: target is features, and no row is its own neighbour.

    Returns:
        [N, count] int64 and float64 in feature units; nearest first, ties by index.

    Raises:
        InvalidInput: embeddings without columns, or too large for float64.

    Cost: one float32 product by blocks, then exact distances of what its error leaves open.
    """
    refuse_no_columns(features)
    rows, away = np.empty((len(features), count), np.int64), np.empty((len(features), count))
    row = 0
    for block in blocks(features, target):
        squares = block.squares()
        if others:
            np.fill_diagonal(squares[:, row:], np.inf)
        reach = block.high(np.partition(squares, count - 1, axis=1)[:, count - 1])
        for could_be in block.low(squares) <= reach[:, None]:
            columns = np.flatnonzero(could_be)
            exact = distances(features[row : row + 1], target[columns])[0]
            rows[row], away[row] = first_of(columns, exact, count)
            row += 1
    return rows, away


def in_turn(features: FloatArray, target: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
    """Each target row in turn takes the nearest row that is not taken, until `count` are taken.

    Args:
        features: [N, d] float; finite.
        target: [m, d] float; same space; after the last the first has its turn again.
        count: 1..N.

    Returns:
        [count] int64 rows in the order of taking, ties by index, and how far each is from who took it.

    Raises:
        InvalidInput: embeddings without columns.

    Cost: O(N d) a row, in float32.
    """
    points, free = Rows(features, np.arange(len(features))), np.ones(len(features), np.bool_)
    rows, away = np.empty(count, np.int64), np.empty(count)
    for place in range(count):
        rows[place], away[place] = points.nearest(target[place % len(target)], free)
        free[rows[place]] = False
    return rows, away
