"""k-medoids: the pool rows to which all others are nearest on average.

Problem    min over S of (1/N) sum_i min_{j in S} d_ij over the pool.
Start      greedy (the BUILD of PAM): facility location on distances, `goracs.search.starts`.
Exchanges  every row in turn is tried in the place of each medoid, all places at once in O(N); the best of
           these is made if it gains more than rounding. A round without one ends it.
Target     not read.
Cost       O(N^2 d) for the start, O(N^2) for each round of exchanges, O(N d) more for each one made.
Memory     8 N^2 bytes where `memory` allows; else blocks of distances, formed anew each round, O(N^2 d).
Source     Kaufman & Rousseeuw (1987) for PAM; Schubert & Rousseeuw (2021) for trying all places at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.data.numbers import check_memory
from goracs.ot import distance
from goracs.ot.neighbours import nearest
from goracs.ot.pool import Dense, Streamed, open_pool
from goracs.search import lazily, starts
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, Scale, SelectionProblem

ROUNDING = 1e-12  # of the sum of distances: a gain below it is none


@dataclass(frozen=True)
class KMedoids:
    """The medoids that no single exchange betters. Deterministic; ties go by canonical order.

    Args:
        memory: GB for the distances of the pool (8 N^2 bytes), > 0; those of a larger pool are formed as they
            are needed, and the rows are the same.
        by_class: medoids of each label.
    """

    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `mean_distance`, from a pool row to the nearest medoid in feature units, and `swaps`,
        the exchanges made.

        Raises:
            InvalidInput: a memory that is no number > 0; embeddings without columns, or too far apart.
        """
        check_memory("selector kmedoids", self.memory)
        order = canonical_order(problem)
        points = problem.features[order].astype(np.float64)
        itself = SelectionProblem(points, points)
        pool = open_pool(itself, np.arange(len(points)), None, 0.0, Scale(1.0, 1.0), self.memory)
        if isinstance(pool, Dense):
            begin = starts.facility(pool.costs, budget)
        else:
            begin = lazily.facility(pool, budget)
        medoids, swaps = exchanged(pool, points, begin)
        report = {
            "mean_distance": float(nearest(points, points[medoids], 1)[1].mean()),
            "swaps": swaps,
            "warnings": [],
        }
        return Coreset(order[medoids], budget, problem.pool_size, report)


def exchanged(pool: Dense | Streamed, points: FloatArray, begin: IndexArray) -> tuple[IndexArray, int]:
    """The medoids [n] that exchanges lead to, and how many were made.

    Args:
        pool: the distances [N, N] of the points.
        points: [N, d] float64.
        begin: [n] int64; distinct rows.
    """
    size, medoids, swaps, idle, row = len(points), begin.copy(), 0, 0, 0
    if len(begin) in (1, size):  # the greedy row is the best one; all rows are the only choice
        return medoids, swaps
    block = max(1, distance.BLOCK_BYTES // (8 * size))
    served = _Served(points, medoids)
    while idle < size:
        rows = np.arange(row, min(row + block, size))
        for candidate, away in zip(rows.tolist(), pool.rows(rows), strict=True):
            place, gain = served.best_place(away)
            if gain > ROUNDING * served.away[:, 0].sum():
                medoids[place] = candidate
                served.renew(place, away)
                swaps, idle = swaps + 1, 0
            idle += 1
        row = (row + len(rows)) % size
    return medoids, swaps


class _Served:
    """The two medoids nearest to every row.

    Args:
        points: [N, d] float64.
        medoids: [n] int64, n >= 2; the caller changes it, then calls `renew`.
    """

    def __init__(self, points: FloatArray, medoids: IndexArray) -> None:
        self.points, self.medoids = points, medoids
        self.place, self.away = nearest(points, points[medoids], 2)

    def best_place(self, away: FloatArray) -> tuple[int, float]:
        """The place where a row at distances [N] gains most, the first of equal ones, and what it gains."""
        first, second = self.away[:, 0], self.away[:, 1]
        everywhere = np.maximum(first - away, 0).sum()  # whichever medoid goes
        where_served = np.where(away < first, 0, first - np.minimum(away, second))
        gains = everywhere + np.bincount(self.place[:, 0], where_served, minlength=len(self.medoids))
        place = int(gains.argmax())
        return place, float(gains[place])

    def renew(self, place: int, away: FloatArray) -> None:
        """After the medoid in a place was replaced by a row at distances [N]."""
        rows = np.flatnonzero((self.place == place).any(axis=1) | (away <= self.away[:, 1]))
        self.place[rows], self.away[rows] = nearest(self.points[rows], self.points[self.medoids], 2)
