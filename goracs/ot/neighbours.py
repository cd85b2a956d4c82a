"""Nearest rows of every row, by blocks.

All that is decided is decided by exact float64 distances, ties by index (see `goracs.ot.distance`).
"""

from __future__ import annotations

import numpy as np

from goracs.ot.distance import blocks, distances, first_of, refuse_no_columns
from goracs.types import FloatArray, IndexArray


def owners(features: FloatArray, target: FloatArray) -> IndexArray:
    """[N] int64; the row of target [m, d] nearest to each row [N, d], ties by index; else as `nearest`."""
    found, row = np.empty(len(features), np.int64), 0
    for block in blocks(features, target):
        squares = block.squares()
        could_be = block.low(squares) <= block.high(squares.min(axis=1))[:, None]
        owner = could_be.argmax(axis=1)
        for open_row in np.flatnonzero(could_be.sum(axis=1) > 1):
            columns = np.flatnonzero(could_be[open_row])
            exact = distances(features[row + open_row][None], target[columns])[0]
            owner[open_row] = columns[exact.argmin()]
        found[row : row + len(owner)] = owner
        row += len(owner)
    return found


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
