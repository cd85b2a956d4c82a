"""An order of the pool that does not depend on how the pool happens to be stored.

Rule         lexicographic by features, then by scores in the order of their names, then by index.
Use          a selector that breaks ties works on the ordered problem and maps its rows back: so the same rows
             are chosen however they are shuffled, up to rows that are equal in everything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goracs.types import FloatArray, IndexArray, SelectionProblem


def canonical_order(problem: SelectionProblem) -> IndexArray:
    """The pool's rows in canonical order.

    Args:
        problem: N pool rows; labels and the target are not looked at.

    Returns:
        [N] int64; a permutation of 0..N-1.

    Cost: a column is looked at only for the rows that the columns before it leave tied.
    """
    order = np.arange(problem.pool_size)
    group = np.zeros(problem.pool_size, np.int64)  # of each place in `order`: rows alike so far, ascending
    for column in _columns(problem):
        tied = np.flatnonzero(_shared(group))
        if not len(tied):
            break
        values = np.asarray(column[order[tied]])
        by = np.lexsort((values, group[tied]))
        order[tied] = order[tied][by]
        ordered, of = values[by], group[tied]
        new = np.concatenate([[True], (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])])
        group[tied] = tied[np.maximum.accumulate(np.where(new, np.arange(len(tied)), 0))]
    return order


def _columns(problem: SelectionProblem) -> Iterator[FloatArray]:
    for table in (problem.features, *(problem.scores[name] for name in sorted(problem.scores))):
        yield from table.reshape(len(table), -1).T


def _shared(group: IndexArray) -> np.typing.NDArray[np.bool_]:
    """Which places have a neighbour in the same group."""
    same = group[1:] == group[:-1]
    shared: np.typing.NDArray[np.bool_] = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    return shared
