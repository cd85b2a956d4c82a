"""What passes over the features of a pool find, of some of its rows or of all.

Exact      each figure is exact of the rows of a part and those of all parts merge exactly, ties by the pool's
           order: what comes of it depends neither on how rows are cut into parts, nor on blocks.
Remembered what a part knows of the rows that were picked only saves time: it is told all of them each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from goracs.ot import sums
from goracs.ot.distance import distances, refuse_no_columns
from goracs.ot.lots import exponential
from goracs.ot.neighbours import owners
from goracs.ot.one_point import NONE, Away, Mask, Rows, parts
from goracs.types import FloatArray, IndexArray, SelectionProblem

Closest = tuple[IndexArray, IndexArray, FloatArray]  # [k] rows, which point is nearest, and how far it is


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
        """[PARTS, d] the sums of each column, whose entries are below 2^above [d] (`goracs.ot.sums`)."""

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """The row nearest to a point [d] but for those picked [k], and how far it is; or NONE."""

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """The row farthest from the nearest of those picked [k], which are left out, and how far; or NONE."""

    def drawn(self, picked: IndexArray, key: int) -> tuple[int, float]:
        """The same in a race by the lots of a key: rows have chances by the squares of those distances."""

    def closest(self, points: FloatArray, count: int) -> Closest:
        """The `count` rows that are closest to the nearest of some points [k, d], ties to the smaller row."""

    def clusters(self, centres: FloatArray, above: IndexArray) -> tuple[IndexArray, IndexArray]:
        """[k] of how many rows each centre [k, d] is the nearest, and [PARTS, k, d] sums as in `sums`."""

    def reach(self, centres: FloatArray) -> float:
        """The largest distance of a row to the nearest of some centres [k, d]."""

    def squares(self, centres: FloatArray, above: int) -> IndexArray:
        """[PARTS, 1] the sum of the squares of those distances, in the unit 2^above, which is above them."""


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
        found = [np.abs(rows).max(axis=0) for rows in self._blocks()]
        largest: FloatArray = np.max(found, axis=0).astype(np.float64)
        return largest

    def sums(self, above: IndexArray) -> IndexArray:
        """See `Passes`."""
        found = np.zeros((sums.PARTS, len(above)), np.int64)
        for rows in self._blocks():
            found += sums.digits(rows, above).sum(axis=1)
        return found

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """See `Passes`."""
        place, away = self.rows.nearest(point, self._free(picked))
        return self._number(place), away

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """See `Passes`."""
        place, away = self._away_from(picked).farthest(self._free(picked))
        return self._number(place), away

    def drawn(self, picked: IndexArray, key: int) -> tuple[int, float]:
        """See `Passes`."""
        lots = exponential(key, self.numbers)
        place, figure = self._away_from(picked).farthest(self._free(picked), lots)
        return self._number(place), figure

    def closest(self, points: FloatArray, count: int) -> Closest:
        """See `Passes`."""
        owner, away = map(np.concatenate, zip(*self._to_nearest(points), strict=True))
        return first_closest(self.numbers, owner[self.order], away[self.order], count)

    def clusters(self, centres: FloatArray, above: IndexArray) -> tuple[IndexArray, IndexArray]:
        """See `Passes`."""
        from scipy.sparse import csr_array

        counts, totals = np.zeros(len(centres), np.int64), np.zeros((sums.PARTS, *centres.shape), np.int64)
        for rows in self._blocks():
            owner = owners(rows, centres)
            counts += np.bincount(owner, minlength=len(centres))
            ones = np.ones(len(rows), np.int64)
            members = csr_array((ones, (owner, np.arange(len(rows)))), (len(centres), len(rows)))
            for total, digits in zip(totals, sums.digits(rows, above), strict=True):
                total += members @ digits
        return counts, totals

    def reach(self, centres: FloatArray) -> float:
        """See `Passes`."""
        return max(float(away.max()) for _, away in self._to_nearest(centres))

    def squares(self, centres: FloatArray, above: int) -> IndexArray:
        """See `Passes`."""
        found = np.zeros((sums.PARTS, 1), np.int64)
        for _, away in self._to_nearest(centres):
            found += sums.digits(np.ldexp(away, -above)[:, None] ** 2, np.zeros(1, np.int64)).sum(axis=1)
        return found

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

    def _blocks(self) -> Iterator[FloatArray]:
        for part in parts(self.features):
            yield self.features[part]

    def _to_nearest(self, centres: FloatArray) -> Iterator[tuple[IndexArray, FloatArray]]:
        """The centre nearest to each row, and how far it is, block by block."""
        for rows in self._blocks():
            owner, away = owners(rows, centres), np.empty(len(rows))
            for centre in np.unique(owner):
                mine = np.flatnonzero(owner == centre)
                away[mine] = distances(rows[mine], centres[centre : centre + 1])[:, 0]
            yield owner, away

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


def first_closest(rows: IndexArray, nearest: IndexArray, away: FloatArray, count: int) -> Closest:
    """The `count` closest of rows [k], with what is nearest to each and how far; ties to the smaller row."""
    first = np.lexsort((rows, away))[:count]
    return rows[first], nearest[first], away[first]


def mean(rows: Passes) -> FloatArray:
    """[d] float64 mean of all rows, the same in any order of them."""
    above = sums.exponents(rows.largest())
    return sums.mean(rows.sums(above), np.array([rows.size]), above)


def inertia(rows: Passes, centres: FloatArray) -> float:
    """The mean squared distance of a row to the nearest of some centres [k, d], in any order of rows."""
    above = int(sums.exponents(np.array(rows.reach(centres))))
    mean_square = sums.mean(rows.squares(centres, above), np.array([rows.size]), np.zeros(1, np.int64))
    return float(np.ldexp(mean_square[0], 2 * above))
