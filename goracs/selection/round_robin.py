"""Round-robin: each validation row in turn takes its nearest unused pool row.

Order      of the turns: drawn, since with fewer pool rows to choose than validation rows only some have one.
Cost       O(N d) a pick, in float32; 4 N d bytes.
Source     Nayak et al. (arXiv 2602.14696): best on average at small budgets, with gradient features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.part import passes
from goracs.search.canonical import canonical_order
from goracs.search.in_turn import in_turn
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class RoundRobin:
    """The rows nearest to the validation rows, the same number for each (one more for some). O(N d) a pick.

    Args:
        by_class: rows are taken by validation rows of their own label.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = True
    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`.

        The report has `mean_distance`, from a row to who took it, in feature units, and `served`, how many
        validation rows had a turn.

        Raises:
            InvalidInput: embeddings without columns, or too far apart for float64.
        """
        order, turns = canonical_order(problem), rng.permutation(problem.target_size)
        rows, away = in_turn(passes(problem, order), problem.target_features[turns], budget)
        report = {
            "mean_distance": float(away.mean()),
            "served": min(budget, problem.target_size),
            "warnings": [],
        }
        return Coreset(order[rows], budget, problem.pool_size, report)
