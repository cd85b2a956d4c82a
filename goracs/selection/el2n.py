"""EL2N: keep the rows with the largest error of the model at the start (the hardest).

Score      norm of (softmax - one-hot), computed by the score stage.
Target     not read.
Cost       O(N log N).
Source     Paul et al. (NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.selection.scores import numbers
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class El2n:
    """The rows of largest `el2n`; ties go to the smaller index. Deterministic.

    Args:
        by_class: the largest of each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"el2n"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        Raises:
            InvalidInput: no score `el2n`, or more than one number for a row.
        """
        score = numbers(problem, "el2n", "selector el2n")
        rows = np.argsort(-score, kind="stable")[:budget]
        return Coreset(
            rows, budget, problem.pool_size, {"smallest_kept": float(score[rows[-1]]), "warnings": []}
        )
