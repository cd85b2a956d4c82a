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

from goracs.ot import sums
from goracs.ot.distance import refuse_no_columns
from goracs.ot.one_point import NONE, Away, Mask, Rows, parts
from goracs.types import FloatArray, IndexArray, SelectionProblem


class Passes(Protocol):
    """All rows of a pool, by their numbers in its order."""

    @property
    def size(self) -> int:
        """N."""

    def at(self, rows: IndexArray) -> FloatArray:
        """[k, d] the features of k rows."""

    def largest(self) -> FloatArray:
        """[d] the largest size of an entry of each column."""

    def sums(self, above: IndexArray) -> IndexArray:
        """[2, d] the sums of each column, whose entries are below 2^above [d] (`goracs.ot.sums`)."""

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """The row nearest to a point [d] but for those picked [k], and how far it is; or NONE."""

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

    @property
    def size(self) -> int:
        """Of the part."""
        return len(self.order)

    def at(self, rows: IndexArray) -> FloatArray:
        """See `Passes`."""
        return self.read(rows)

    def largest(self) -> FloatArray:
        """See `Passes`."""
        found = [np.abs(self.features[part]).max(axis=0) for part in parts(self.features)]
        largest: FloatArray = np.max(found, axis=0).astype(np.float64)
        return largest

    def sums(self, above: IndexArray) -> IndexArray:
        """See `Passes`."""
        found = np.zeros((2, len(above)), np.int64)
        for part in parts(self.features):
            found += sums.digits(self.features[part], above).sum(axis=1)
        return found

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """See `Passes`."""
        place, away = self.rows.nearest(point, self._free(picked))
        return self._number(place), away

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
        InvalidInput: embeddings without columns; at a pass that compares them, embeddings too far apart for
            float64.
    """
    refuse_no_columns(problem.features)
    if problem.spread is None:
        return whole(problem.features, order)
    found: Passes = problem.spread.passes(problem.features, order)
    return found


def whole(features: FloatArray, order: IndexArray | None = None) -> Part:
    """All rows [N, d] in that order, or as they are."""
    kept = np.arange(len(features)) if order is None else order
    return Part(features, kept, np.arange(len(kept)), lambda rows: features[kept[rows]])


def mean(rows: Passes) -> FloatArray:
    """[d] float64 mean of all rows, the same in any order of them."""
    above = sums.exponents(rows.largest())
    return sums.mean(rows.sums(above), np.array([rows.size]), above)
