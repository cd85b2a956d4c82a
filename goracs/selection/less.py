"""LESS: keep the rows whose gradient points most where the gradients of validation point.

Influence  of row i on task T: the mean over its validation rows j of sum_c w_c cos(g_i,c, g_j,c), over the
           checkpoints c of a warm-up with their shares w_c of the learning rate. A row counts by its largest.
Score      `unit_sketch` (`goracs.llm.course`): gradients divided by their norms at each checkpoint, times the
           root of w_c, side by side. The weights are within, and the sum over c is one inner product.
Adam       with `score.adam=true` the pool's gradients are Adam's steps, as LESS has them.
Cost       O(N m k) for sketches of k numbers.
Golden     less.npz.
Source     Xia et al. (ICML 2024) and its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.search.canonical import canonical_order
from goracs.selection.alignment import Per, best_aligned, both_sides, largest, task_means, untold
from goracs.types import ByClass, Coreset, SelectionProblem

SCORE = "unit_sketch"


@dataclass(frozen=True)
class Less:
    """The rows of largest influence; ties go by the canonical order. Deterministic.

    Args:
        per: what a task is: all of validation, each user, or each row of it.
        by_class: the largest of each class.
    """

    per: Per
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the `smallest_kept` and the `mean_kept` influence.

        Raises:
            InvalidInput: no `unit_sketch` of both sides in one width; tasks by user where no user is known.
        """
        pool, target = both_sides(problem, SCORE, "selector less")
        order = canonical_order(problem)
        influence = best_aligned(pool, order, task_means(problem, target, self.per, "selector less"))
        places = largest(influence, budget)
        kept = influence[places]
        report = {
            "smallest_kept": float(kept[-1]),
            "mean_kept": float(kept.mean()),
            "warnings": untold(influence),
        }
        return Coreset(order[places], budget, problem.pool_size, report)
