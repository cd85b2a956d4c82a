"""CCS, coverage-centric selection: without the hardest rows, spread over the whole range of a score.

Strata     of equal width between the smallest and the largest score that are left, the top edge 1e-4 times
           the largest score above it, as in the authors' code. Theirs lies below a largest score that is
           negative, and loses its row; here every row has a stratum.
Target     not read.
Cost       O(N log N).
Golden     ccs.npz.
Source     Zheng et al., Coverage-centric coreset selection for high pruning rates (ICLR 2023); their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from goracs.selection import strata
from goracs.selection.scores import ascending, constant_warnings, numbers, width
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Ccs:
    """A draw over strata of a score.

    Args:
        score: one number a row: how hard it is, or how easy.
        hardest: which end of the score is hard: the largest of el2n, loss, entropy or gradient_norm, the
            smallest of confidence or lead.
        beta: share of the pool that is too hard to be drawn, 0 <= beta < 1; a larger budget takes of it what
            it needs, the least hard first.
        strata: how many, >= 1.
        by_class: drawn in each class.
    """

    score: str
    hardest: Literal["largest", "smallest"]
    beta: float
    strata: int
    by_class: ByClass

    @property
    def needs(self) -> frozenset[str]:
        """The score that says how hard a row is."""
        return frozenset({self.score})

    @property
    def seeded(self) -> bool:
        """Drawn."""
        return True

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`; the report has `left_out` and `strata`.

        They count the rows that were too hard, and the strata that hold the others.

        Raises:
            InvalidInput: a field outside its range, no such score, or more than one number for a row.
        """
        self._checked()
        values = numbers(problem, self.score, "selector ccs")
        hardest_first = ascending(problem, -values if self.hardest == "largest" else values)
        kept, left_out, told = strata.without_hardest(hardest_first, self.beta, budget)
        of = equal_width(values[kept], self.strata)
        warnings = constant_warnings(self.score, values) + told
        report = {"left_out": left_out, "strata": len(np.unique(of)), "warnings": warnings}
        return Coreset(kept[strata.draw(of, budget, rng)], budget, problem.pool_size, report)

    def _checked(self) -> None:
        if self.hardest not in ("largest", "smallest"):
            raise InvalidInput(f"selector ccs: hardest must be largest or smallest, got {self.hardest!r}.")
        if isinstance(self.strata, bool) or not isinstance(self.strata, int) or self.strata < 1:
            raise InvalidInput(f"selector ccs: strata must be a whole number >= 1, got {self.strata!r}.")


def equal_width(values: FloatArray, count: int) -> IndexArray:
    """[M] int64; the stratum 0..count-1 of each value [M]; all in the first where they are equal.

    Raises:
        InvalidInput: values that span more than float64 holds.
    """
    stretched = width(values) + 1e-4 * abs(float(values.max()))
    if stretched == 0:
        return np.zeros(len(values), np.int64)
    of: IndexArray = ((values - values.min()) / stretched * count).astype(np.int64)
    return np.minimum(of, count - 1)
