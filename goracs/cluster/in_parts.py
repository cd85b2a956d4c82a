"""Passes over the features of a pool that are made by workers, shard by shard.

Told       for each row that is picked: the rows picked so far, 8 bytes each, to each worker, and 16 bytes
           from each shard; workers read the features of those rows where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from goracs.cluster.crew import Crew
from goracs.cluster.questions import OfPart
from goracs.ot.one_point import NONE
from goracs.ot.part import Closest, Part, first_closest
from goracs.types import FloatArray, IndexArray

Found = TypeVar("Found")
Sums = tuple[IndexArray, IndexArray]


@dataclass(frozen=True, eq=False)
class InParts:
    """`goracs.ot.part.Passes` of a crew.

    Args:
        here: the same rows in this process, which looks at single ones alone.
        crew: the workers that have its shards.
    """

    here: Part
    crew: Crew

    @property
    def size(self) -> int:
        """N."""
        return self.here.size

    def at(self, rows: IndexArray) -> FloatArray:
        """See `goracs.ot.part.Passes`."""
        return self.here.at(rows)

    def largest(self) -> FloatArray:
        """See `goracs.ot.part.Passes`."""
        return self._by_anybody(np.maximum, Part.largest)

    def sums(self, above: IndexArray) -> IndexArray:
        """See `goracs.ot.part.Passes`."""
        return self._by_anybody(np.add, Part.sums, above)

    def closest(self, points: FloatArray, count: int) -> Closest:
        """See `goracs.ot.part.Passes`."""

        def first(one: Closest, other: Closest) -> Closest:
            rows, nearest, away = (np.concatenate(both) for both in zip(one, other, strict=True))
            return first_closest(rows, nearest, away, count)

        return self._by_anybody(first, Part.closest, points, count)

    def clusters(self, centres: FloatArray, above: IndexArray) -> tuple[IndexArray, IndexArray]:
        """See `goracs.ot.part.Passes`."""
        return self._by_anybody(_added, Part.clusters, centres, above)

    def reach(self, centres: FloatArray) -> float:
        """See `goracs.ot.part.Passes`."""
        return float(self._by_anybody(max, Part.reach, centres))

    def squares(self, centres: FloatArray, above: int) -> IndexArray:
        """See `goracs.ot.part.Passes`."""
        return self._by_anybody(np.add, Part.squares, centres, above)

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return min(self._by_owners(Part.nearest, point, picked), key=_nearer)

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return max(self._by_owners(Part.farthest, picked), key=_farther)

    def drawn(self, picked: IndexArray, key: int) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return max(self._by_owners(Part.drawn, picked, key), key=_farther)

    def _by_anybody(
        self, merged: Callable[[Found, Found], Found], figure: Callable[..., Found], *args: Any
    ) -> Found:
        """What the shards' answers make together."""
        answers = self.crew.passed(lambda: OfPart(figure, args))
        found: Found = reduce(merged, (answer for _, answer in answers))
        return found

    def _by_owners(self, figure: Callable[..., Found], *args: Any) -> list[Found]:
        """What each shard answers, by whoever remembers it."""
        shards = range(self.crew.shards)
        return [found for _, found in self.crew.remembered(shards, lambda: OfPart(figure, args))]


def _added(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1]


def _nearer(found: tuple[int, float]) -> tuple[bool, float, int]:
    """Smaller is nearer; ties to the smaller row."""
    row, away = found
    return row == NONE, away, row


def _farther(found: tuple[int, float]) -> tuple[bool, float, int]:
    """Larger is farther; ties to the smaller row."""
    row, away = found
    return row != NONE, away, -row
