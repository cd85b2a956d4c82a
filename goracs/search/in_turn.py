"""Each of some points in turn takes the row nearest to it that is not taken."""

from __future__ import annotations

import numpy as np

from goracs.ot.part import Passes
from goracs.types import FloatArray, IndexArray


def in_turn(rows: Passes, points: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
    """Until `count` rows are taken.

    Args:
        rows: N of them.
        points: [m, d] float; same space; after the last the first has its turn again.
        count: 1..N.

    Returns:
        [count] int64 rows in the order of taking, ties by index, and how far each is from who took it.

    Raises:
        InvalidInput: embeddings too far apart for float64.

    Cost: O(N d) a row, in float32.
    """
    taken, away = np.empty(count, np.int64), np.empty(count)
    for place in range(count):
        taken[place], away[place] = rows.nearest(points[place % len(points)], taken[:place])
    return taken, away
