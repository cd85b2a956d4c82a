"""A pool whose passes are made by workers, shard by shard.

Exact      each shard tells its cheapest rows with their exact rho, so the cheapest of all are among them;
           what comes of it depends neither on how rows are cut into shards, nor on who looks at which.
Told       in a pass: the prices to each shard, and `count` rows and figures at most from each.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from goracs.cluster.crew import Crew
from goracs.cluster.questions import Cheapest, Likely, Low, Next
from goracs.ot.cheapest import Shape
from goracs.ot.distance import first_of
from goracs.ot.pool import Streamed
from goracs.search.lazily import Keys
from goracs.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Sharded:
    """`goracs.ot.pool.Pool` of a crew.

    Args:
        here: the same pool in this process, which looks at single rows alone.
        crew: the workers that have its shards.
    """

    here: Streamed
    crew: Crew

    @property
    def size(self) -> int:
        """N."""
        return self.here.size

    @property
    def width(self) -> int:
        """m."""
        return self.here.width

    @cached_property
    def low(self) -> float:
        """The smallest cost."""
        return float(min(found for _, found in self.crew.passed(Low)))

    def rows(self, indices: IndexArray) -> FloatArray:
        """[k, m] float64 costs of k rows."""
        return self.here.rows(indices)

    def cheapest(
        self, prices: FloatArray, spread: Shape, count: int, limit: float = np.inf
    ) -> tuple[IndexArray, FloatArray]:
        """As `goracs.ot.pool.Streamed.cheapest`, by one pass."""
        rows: IndexArray = np.empty(0, np.int64)
        found: FloatArray = np.empty(0)

        def question() -> Cheapest:
            return Cheapest(prices, spread, count, float(found[-1]) if len(found) == count else limit)

        for _, (more, figures) in self.crew.passed(question):
            rows, found = first_of(np.concatenate([rows, more]), np.concatenate([found, figures]), count)
        return rows, found

    def likely(self, prices: FloatArray, spread: Shape, most: float) -> IndexArray:
        """As `goracs.ot.pool.Dense.likely`, by one pass; what is told grows with the rows that are found."""
        found = [rows for _, rows in self.crew.passed(lambda: Likely(prices, spread, most))]
        return np.sort(np.concatenate(found))

    def lazy(self) -> Apart:
        """The keys of a start."""
        return Apart(self.crew)


class Apart:
    """`goracs.search.lazily.Smallest` of a crew: a smallest key of each shard, known as far as it takes."""

    def __init__(self, crew: Crew) -> None:
        self.crew, self.start = crew, uuid.uuid4().hex
        self.least = np.full(crew.shards, -np.inf)  # no key of the shard is smaller: keys only grow
        self.picked = np.empty(0, np.int64)

    def smallest(self, keys: Keys) -> tuple[int, float]:
        """The row of smallest key, ties to the smaller index, and that key."""
        best = (np.inf, -1)

        def question() -> Next:
            return Next(self.start, keys, self.picked, best[0])

        nearest, asked = np.flatnonzero(self.least <= self.least.min()), set[int]()
        for shards in (nearest, range(self.crew.shards)):  # who may have it, and who must be ruled out
            left = [int(shard) for shard in shards if shard not in asked and self.least[shard] <= best[0]]
            asked.update(left)
            for shard, (row, key, least) in self.crew.remembered(left, question):
                self.least[shard] = least
                best = min(best, (key, row)) if row >= 0 else best
        return best[1], best[0]

    def drop(self, row: int) -> None:
        """Leave out a row that was picked."""
        self.picked = np.append(self.picked, row)
