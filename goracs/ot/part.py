"""What passes over the features of a pool find, of some of its rows or of all.

Exact      each figure is exact of the rows of a part and those of all parts merge exactly, ties by the pool's
           order: what comes of it depends neither on how rows are cut into parts, nor on blocks.
Remembered what a part knows of the rows that were picked only saves time: it is told all of them each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from goracs.ot.one_point import NONE, Away, Mask, Rows
from goracs.types import FloatArray, IndexArray, SelectionProblem


class Passes(Protocol):
    """All rows of a pool, by their numbers in its order."""

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """The row farthest from the nearest of those picked [k], which are left out, and how far; or NONE."""


@dataclass(eq=False)
class Part:
    """`Passes` of some rows of a pool, or of all.

    Args:
        features: [k, d] float; finite; as stored (may be memory-mapped).
        order: [k] int64; the stored row of each row.
        numbers: [k] int64; which row of the pool each is; ascending.
        read: the features of any rows of the pool.
    """

    features: FloatArray
    order: IndexArray
    numbers: IndexArray
    read: Callable[[IndexArray], FloatArray]
    known: IndexArray = field(default_factory=lambda: np.empty(0, np.int64))  # picked, and in `away`

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """See `Passes`."""
        place, away = self._away_from(picked).farthest(self._free(picked))
        return self._number(place), away

    @cached_property
    def rows(self) -> Rows:
        """Made ready to be compared with points."""
        return Rows(self.features, self.order)

    @cached_property
    def away(self) -> Away:
        """From the rows that were picked."""
        return Away(self.rows)

    def _away_from(self, picked: IndexArray) -> Away:
        if not np.array_equal(picked[: len(self.known)], self.known):  # another traversal
            self.known, self.away = picked[:0], Away(self.rows)
        self.away.add(self.read(picked[len(self.known) :]))
        self.known = picked.copy()
        return self.away

    def _free(self, picked: IndexArray) -> Mask:
        free = np.ones(len(self.numbers), np.bool_)
        places = np.minimum(np.searchsorted(self.numbers, picked), len(free) - 1)
        free[places[self.numbers[places] == picked]] = False
        return free

    def _number(self, place: int) -> int:
        return NONE if place == NONE else int(self.numbers[place])


def passes(problem: SelectionProblem, order: IndexArray) -> Passes:
    """The pool's rows in that order, in this process or with the workers that the problem has.

    Raises:
        InvalidInput: at the first pass: embeddings without columns, or too far apart for float64.
    """
    features = problem.features
    if problem.spread is not None:
        found: Passes = problem.spread.passes(features, order)
        return found
    return Part(features, order, np.arange(len(order)), lambda rows: features[order[rows]])
