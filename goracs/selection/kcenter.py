"""K-center greedy: start somewhere, add the row farthest from those chosen.

Problem    min over S of max_i min_{s in S} d(i, s), within a factor of 2.
Target     not read.
Cost       O(n N d): a float32 product with one vector for each row chosen; 4 N d bytes.
Golden     deepcore.npz.
Source     Sener & Savarese (ICLR 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.part import passes
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class KCenter:
    """The coreset of small covering radius that farthest-first traversal finds.

    Args:
        start: the pool row to begin with; None draws one.
        by_class: one traversal for each label; needs start = None.
    """

    start: int | None
    by_class: ByClass

    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    @property
    def needs(self) -> frozenset[str]:
        """Embeddings."""
        return frozenset({"features"})

    @property
    def seeded(self) -> bool:
        """Drawn where no start is given."""
        return self.start is None

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`; the report has the covering `radius` in feature units.

        Raises:
            InvalidInput: a start outside the pool, or one together with by_class.
        """
        order = canonical_order(problem)
        rows, picked = passes(problem, order), np.empty(budget, np.int64)
        picked[0] = self._first(problem.pool_size, order, rng)
        for place in range(1, budget):
            picked[place], _ = rows.farthest(picked[:place])
        report = {"radius": rows.farthest(picked)[1], "warnings": []}
        return Coreset(order[picked], budget, problem.pool_size, report)

    def _first(self, pool_size: int, order: IndexArray, rng: np.random.Generator) -> int:
        if self.start is None:
            return int(rng.integers(pool_size))
        if self.by_class:
            raise InvalidInput(
                "selector kcenter: start names a row of the whole pool; with by_class=true leave it null."
            )
        if not isinstance(self.start, int) or isinstance(self.start, bool) or not 0 <= self.start < pool_size:
            raise InvalidInput(
                f"selector kcenter: start must be a row in 0..{pool_size - 1}, got {self.start!r}."
            )
        return int(np.flatnonzero(order == self.start)[0])
