"""GraNd: keep the rows with the largest gradient at the start (the ones the loss pulls at hardest).

Score      norm of the gradient of a row's loss, computed by the score stage.
Here       it is also the ablation of GORACS that looks at no transport at all.
Target     not read.
Cost       O(N log N).
Source     Paul et al. (NeurIPS 2021), with the gradient of one matrix (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.selection.scores import ascending, numbers
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class GraNd:
    """The rows of largest `gradient_norm`; ties go by the canonical order. Deterministic.

    Args:
        by_class: the largest of each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"gradient_norm"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        Raises:
            InvalidInput: no score `gradient_norm`, or more than one number for a row.
        """
        score = numbers(problem, "gradient_norm", "selector grand")
        rows = ascending(problem, -score)[:budget]
        return Coreset(
            rows, budget, problem.pool_size, {"smallest_kept": float(score[rows[-1]]), "warnings": []}
        )
