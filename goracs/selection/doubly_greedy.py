"""Doubly greedy: the rows that lie nearest to any validation row at all.

Problem    the pair of least distance again and again, of a pool row not taken and any validation row: the n
           rows whose distance to their nearest validation row is smallest. One validation row may have all.
Cost       O(N m d), a block of distances at a time.
Source     Nayak et al. (arXiv 2602.14696) and its code, by cosine (here features.scale=unit).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.part import passes
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class DoublyGreedy:
    """The rows of smallest distance to validation; ties go by the canonical order. Deterministic.

    Args:
        by_class: rows are near to validation rows of their own label.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False
    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the `mean_distance` of the chosen rows to their nearest validation rows, the
        `largest_distance`, in feature units, and `served`, how many validation rows are the nearest of one.

        Raises:
            InvalidInput: embeddings without columns, or too large for float64.
        """
        order = canonical_order(problem)
        rows, targets, away = passes(problem, order).closest(problem.target_features, budget)
        report = {
            "mean_distance": float(away.mean()),
            "largest_distance": float(away[-1]),
            "served": len(np.unique(targets)),
            "warnings": [],
        }
        return Coreset(order[rows], budget, problem.pool_size, report)
