"""Ranked: keep the rows of largest, smallest or middle value of one score.

Methods    largest entropy, smallest confidence (least confidence), smallest lead (margin sampling): what the
           model is least sure of; largest loss; a band of `answer_loss`, which is the logarithm of the
           answer's perplexity; largest `ifd`: answers that the prompt helps least with.
Target     not read.
Cost       O(N log N).
Here       EL2N and GraNd are files of their own (el2n, grand).
Source     Settles, Active learning literature survey (2009), for the first three; Marion et al., When less is
           more (2023), for the bands; Li et al. (NAACL 2024) for IFD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.selection.scores import Keep, constant_warnings, numbers, ranked
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class Ranked:
    """Neighbouring ranks of one score; ties go by the canonical order. Deterministic.

    Args:
        score: one number a row.
        keep: the largest, the smallest, or the middle: as many rows left out above as below, one more above
            where their number is odd.
        by_class: within each class.
    """

    score: str
    keep: Keep
    by_class: ByClass

    @property
    def needs(self) -> frozenset[str]:
        """The score it ranks by."""
        return frozenset({self.score})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the `smallest_kept` and `largest_kept` value.

        Raises:
            InvalidInput: another word for `keep`, no such score, or more than one number for a row.
        """
        values = numbers(problem, self.score, "selector ranked")
        rows = ranked(problem, values, self.keep, budget, "selector ranked")
        report = {
            "smallest_kept": float(values[rows].min()),
            "largest_kept": float(values[rows].max()),
            "warnings": constant_warnings(self.score, values),
        }
        return Coreset(rows, budget, problem.pool_size, report)
