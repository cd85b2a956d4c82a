"""Herding: the row that brings the sum of the chosen nearest to as many times the pool's mean.

Problem    t-th pick = argmin over the rows left of |t mu - sum of the chosen - x|.
Target     not read.
Cost       O(N d) a pick, in float32; 4 N d bytes.
Golden     deepcore.npz.
Source     Welling (ICML 2009); Chen, Welling & Smola (UAI 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.part import mean, passes
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import toward_mean
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class Herding:
    """The coreset whose mean follows the pool's. Deterministic; ties go by canonical order.

    Args:
        by_class: one herd for each label.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False
    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `mean_error`, how far the means of coreset and pool are apart, in feature units.

        Raises:
            InvalidInput: embeddings without columns, or too far apart for float64.
        """
        order = canonical_order(problem)
        rows = passes(problem, order)
        goal = mean(rows)
        picked = toward_mean(rows, goal, budget)
        off = (rows.at(picked) - goal).mean(axis=0)
        report = {"mean_error": float(np.linalg.norm(off)), "warnings": []}
        return Coreset(order[picked], budget, problem.pool_size, report)
