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

import numpy as np

from goracs.ot.cost import measure_scale
from goracs.ot.pool import Dense, open_pool
from goracs.search import lazily, starts
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, InvalidInput, SelectionProblem


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

    @property
    def needs(self) -> frozenset[str]:
        """Embeddings."""
        return frozenset({"features"})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `nearest_distance` (the mean over validation rows of the distance to the nearest chosen
        row, in feature units) and `serving` (how many chosen rows are nearest to some validation row).

        Raises:
            InvalidInput: a memory that is no number > 0, features without columns.
        """
        given: object = self.memory
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < np.inf:
            raise InvalidInput(f"selector spot: memory must be a number > 0, in GB; got {given!r}.")
        order = canonical_order(problem)
        scale = problem.scale or measure_scale(problem.features, problem.target_features, None)
        pool = open_pool(problem, order, None, 0.0, scale, self.memory)
        if isinstance(pool, Dense):
            picked = starts.facility(pool.costs, budget)
        else:
            picked = lazily.facility(pool, budget)
        found = pool.rows(picked)
        serving = len(np.unique(found.argmin(axis=0)))
        report = {
            "nearest_distance": float(found.min(axis=0).mean() * scale.distance),
            "serving": serving,
            "warnings": _warnings(serving, budget),
        }
        return Coreset(order[picked], budget, problem.pool_size, report)


def _warnings(serving: int, budget: int) -> list[str]:
    if serving == budget:
        return []
    return [
        f"{serving} of the {budget} rows are nearest to some validation row: free weights leave the others 0."
    ]
