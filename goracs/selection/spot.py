"""SPOT: prototypes whose weights are free, so that every validation row is served by its nearest.

Problem    min over S of (1/m) sum_j min_{i in S} d_ij: transport to validation that forgets the marginal of
           S, by greedy picks (facility location): the paper's stage 1 at lam = 0.
Cost       O(N m d), and O(N m) a pick at most.
Left over  at most m rows can be nearest to anything. Rows that gain nothing fill the places, the first in
           canonical order; the report counts them.
Source     Gurumoorthy, Jawanpuria and Mishra (SPOT, ICDM 2021); GORACS (KDD 2025), Eq. 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.data.numbers import check_memory
from goracs.ot.cost import measure_scale
from goracs.ot.neighbours import nearest
from goracs.ot.pool import Dense, open_pool
from goracs.search import lazily, starts
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, IndexArray, SelectionProblem


@dataclass(frozen=True)
class Spot:
    """The rows that greedy facility location picks; ties go by the canonical order. Deterministic.

    Args:
        memory: GB for the distances of the whole pool (8 N m bytes), > 0; those of a larger pool are formed
            as they are needed, and the rows are the same.
        by_class: prototypes of each class.
    """

    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `nearest_distance` (the mean over validation rows of the distance to the nearest chosen
        row, in feature units) and `serving` (how many chosen rows are nearest to some validation row).

        Raises:
            InvalidInput: a memory that is no number > 0, features without columns.
        """
        rows = prototypes(problem, budget, self.memory, "selector spot")
        places, away = nearest(problem.target_features, problem.features[rows], 1)
        serving = len(np.unique(places))
        report = {
            "nearest_distance": float(away.mean()),
            "serving": serving,
            "warnings": _warnings(serving, budget),
        }
        return Coreset(rows, budget, problem.pool_size, report)


def prototypes(problem: SelectionProblem, budget: int, memory: float, reader: str) -> IndexArray:
    """The rows [n] that greedy facility location picks, in that order.

    Raises:
        InvalidInput: a memory that is no number > 0, features without columns.
    """
    check_memory(reader, memory)
    order = canonical_order(problem)
    scale = problem.scale or measure_scale(problem.features, problem.target_features, None)
    pool = open_pool(problem, order, None, 0.0, scale, memory)
    picked = starts.facility(pool.costs, budget) if isinstance(pool, Dense) else lazily.facility(pool, budget)
    return order[picked]


def _warnings(serving: int, budget: int) -> list[str]:
    if serving == budget:
        return []
    return [
        f"{serving} of the {budget} rows are nearest to some validation row: free weights leave the others 0."
    ]
