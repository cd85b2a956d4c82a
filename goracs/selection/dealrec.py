"""DEALRec: rows of influence and of effort, without the hardest, spread over the whole range of both.

Score      influence / [0, 1] + lam * effort / [0, 1], each by min-max: influence on a small model of the next
           item (`goracs.surrogate`), effort the norm of the LLM's gradient.
Draw       the share `beta` of largest score is left out; the others fall into strata of equal width, and the
           budget goes to the smallest one first (`goracs.selection.strata`).
Here       exactly n rows: of the hardest so many are taken back as n needs, the least hard first; the
           authors' code returns fewer.
Target     not read.
Cost       O(N log N), and a surrogate's training.
Golden     dealrec.npz.
Source     Lin et al., Data-efficient fine-tuning for LLM-based recommendation (SIGIR 2024), with their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.selection import strata
from goracs.selection.blend import rescaled
from goracs.selection.scores import ascending, constant_warnings, numbers, width
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

INFLUENCE, EFFORT = "influence", "gradient_norm"


@dataclass(frozen=True)
class DealRec:
    """A draw over strata of the two scores' sum.

    Args:
        lam: weight of the effort, >= 0.
        beta: share of the pool of largest sum that is left out, 0 <= beta < 1.
        strata: how many, >= 1.
        by_class: drawn in each class.
    """

    lam: float
    beta: float
    strata: int
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({INFLUENCE, EFFORT})
    seeded: ClassVar[bool] = True

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`; the report has `left_out` and `strata`.

        They count the rows that were too hard, and the strata that hold the others.

        Raises:
            InvalidInput: a field outside its range, no such score, or more than one number for a row.
        """
        self._checked()
        influence, effort = (numbers(problem, name, "selector dealrec") for name in (INFLUENCE, EFFORT))
        values = rescaled(influence, "minmax") + self.lam * rescaled(effort, "minmax")
        kept, left_out, told = strata.without_hardest(ascending(problem, -values), self.beta, budget)
        of = closed_above(values[kept], self.strata)
        warnings = constant_warnings(INFLUENCE, influence) + constant_warnings(EFFORT, effort) + told
        report = {"left_out": left_out, "strata": len(np.unique(of)), "warnings": warnings}
        return Coreset(kept[strata.draw(of, budget, rng)], budget, problem.pool_size, report)

    def _checked(self) -> None:
        if isinstance(self.lam, bool) or not isinstance(self.lam, (int, float)) or not 0 <= self.lam < np.inf:
            raise InvalidInput(f"selector dealrec: lam must be a number >= 0, got {self.lam!r}.")
        if isinstance(self.strata, bool) or not isinstance(self.strata, int) or self.strata < 1:
            raise InvalidInput(f"selector dealrec: strata must be a whole number >= 1, got {self.strata!r}.")


def closed_above(values: FloatArray, count: int) -> IndexArray:
    """[M] int64; the stratum 0..count-1 of each value [M], closed above; the first where all are equal."""
    span = width(values)
    if span == 0:
        return np.zeros(len(values), np.int64)
    of: IndexArray = np.ceil((values - values.min()) / span * count).astype(np.int64) - 1
    return of.clip(0, count - 1)
