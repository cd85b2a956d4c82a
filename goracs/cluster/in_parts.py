"""Passes over the features of a pool that are made by workers, shard by shard.

Told       for each row that is picked: the rows picked so far, 8 bytes each, to each worker, and 16 bytes
           from each shard; workers read the features of those rows where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from goracs.cluster.crew import Crew
from goracs.cluster.questions import OfPart
from goracs.ot.one_point import NONE
from goracs.ot.part import Part
from goracs.types import IndexArray

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class InParts:
    """`goracs.ot.part.Passes` of a crew."""

    crew: Crew

    def farthest(self, picked: IndexArray) -> tuple[int, float]:
        """See `goracs.ot.part.Passes`."""
        return max(self._by_owners(Part.farthest, picked), key=_farther)

    def _by_owners(self, figure: Callable[..., Found], *args: Any) -> list[Found]:
        """What each shard answers to whoever remembers it."""
        shards = range(self.crew.shards)
        return [found for _, found in self.crew.remembered(shards, lambda: OfPart(figure, args))]


def _farther(found: tuple[int, float]) -> tuple[bool, float, int]:
    """Larger is farther; ties to the smaller row."""
    row, away = found
    return row != NONE, away, -row
