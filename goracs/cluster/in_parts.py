"""Passes over the features of a pool that are made by workers, shard by shard.

Told       for each row that is picked: the rows picked so far, 8 bytes each, to each worker, and 16 bytes
           from each shard; workers read the features of those rows where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from goracs.cluster.crew import Crew
from goracs.cluster.questions import OfPart
from goracs.ot.one_point import NONE
from goracs.ot.part import Part
from goracs.types import FloatArray, IndexArray

Found = TypeVar("Found")


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
        found: FloatArray = np.max(self._by_anybody(Part.largest), axis=0)
        return found

    def sums(self, above: IndexArray) -> IndexArray:
        """See `goracs.ot.part.Passes`."""
        return self._added(Part.sums, above)

    def nearest(self, point: FloatArray, picked: IndexArray) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return min(self._by_owners(Part.nearest, point, picked), key=_nearer)

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return max(self._by_owners(Part.farthest, picked), key=_farther)

    def _added(self, figure: Callable[..., IndexArray], *args: Any) -> IndexArray:
        """The sum of whole numbers that each shard has."""
        total = np.int64(0)
        for _, found in self.crew.passed(lambda: OfPart(figure, args)):
            total = total + found
        return np.asarray(total)

    def _by_anybody(self, figure: Callable[..., Found], *args: Any) -> list[Found]:
        """What each shard answers."""
        return [found for _, found in self.crew.passed(lambda: OfPart(figure, args))]

    def _by_owners(self, figure: Callable[..., Found], *args: Any) -> list[Found]:
        """What each shard answers to whoever remembers it."""
        shards = range(self.crew.shards)
        return [found for _, found in self.crew.remembered(shards, lambda: OfPart(figure, args))]


def _nearer(found: tuple[int, float]) -> tuple[bool, float, int]:
    """Smaller is nearer; ties to the smaller row."""
    row, away = found
    return row == NONE, away, row


def _farther(found: tuple[int, float]) -> tuple[bool, float, int]:
    """Larger is farther; ties to the smaller row."""
    row, away = found
    return row != NONE, away, -row
