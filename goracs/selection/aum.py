"""AUM: rows by the mean margin of their right answer over the warm-up.

Score      area under the margin: the mean over checkpoints of the logit of the right answer less that of the
           other. Mislabelled rows have the smallest: other rows pull their answer to the other side.
Use        the largest are what is surely labelled right, the smallest the hardest, the middle neither.
Dynamics   `right_margins`, at each of adapter.checkpoints.
Target     not read.
Cost       O(N c), and a sort.
Golden     ccs.npz.
Source     Pleiss et al. (NeurIPS 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.selection.scores import Keep, constant_warnings, dynamics, ranked
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

SCORE = "right_margins"


@dataclass(frozen=True)
class Aum:
    """Neighbouring ranks of the mean margin; ties go by the canonical order. Deterministic.

    Args:
        keep: the largest, the smallest, or the middle, as of selector ranked.
        by_class: within each class.
    """

    keep: Keep
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the `smallest_kept` and `largest_kept` mean margin.

        Raises:
            InvalidInput: another word for `keep`, no `right_margins`, of one checkpoint alone, or with sums
                beyond float64.
        """
        margins = _means(dynamics(problem, SCORE, "selector aum", 2))
        rows = ranked(problem, margins, self.keep, budget, "selector aum")
        report = {
            "smallest_kept": float(margins[rows].min()),
            "largest_kept": float(margins[rows].max()),
            "warnings": constant_warnings("mean margin", margins),
        }
        return Coreset(rows, budget, problem.pool_size, report)


def _means(margins: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):  # said below, in words
        means: FloatArray = margins.mean(axis=1)
    if not np.isfinite(means).all():
        raise InvalidInput(f"selector aum: sums of the score '{SCORE}' overflow float64: rescale it.")
    return means
