"""An order of the pool that does not depend on how the pool happens to be stored.

Rule         lexicographic by features, then by scores in the order of their names, then by index.
Use          a selector that breaks ties works on the ordered problem and maps its rows back: so the same rows
             are chosen however they are shuffled, up to rows that are equal in everything.
"""

from __future__ import annotations

import numpy as np

from goracs.types import IndexArray, SelectionProblem


def canonical_order(problem: SelectionProblem) -> IndexArray:
    """The pool's rows in canonical order.

    Args:
        problem: N pool rows; labels and the target are not looked at.

    Returns:
        [N] int64; a permutation of 0..N-1.
    """
    tables = [problem.features, *(problem.scores[name] for name in sorted(problem.scores))]
    columns = [column for table in tables for column in table.reshape(len(table), -1).T]
    if not columns:
        return np.arange(problem.pool_size)
    return np.lexsort(columns[::-1]).astype(np.int64)
