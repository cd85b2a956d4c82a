"""Moderate: the rows that lie neither near the middle of their class nor far from it.

Problem    delta_i = distance of row i to the median (of each coordinate) of its class; keep the middle n of
           the pool by delta: those whose rank is nearest the median's.
Classes    the labels; one class where there are none.
Target     not read.
Cost       O(N d), and a sort.
Golden     d2_moderate.npz.
Source     Xia et al. (ICLR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.distance import distances
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, SelectionProblem


@dataclass(frozen=True)
class Moderate:
    """The rows of middling distance to their class. Deterministic; ties go by canonical order.

    Args:
        by_class: the middle of each class; else of the pool.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the distances kept and their median in the pool.

        Raises:
            InvalidInput: embeddings without columns.
        """
        order = canonical_order(problem)
        away = _to_medians(problem)[order]
        start = (problem.pool_size - budget) // 2
        rows = np.argsort(away, kind="stable")[start : start + budget]
        report = {
            "smallest_kept": float(away[rows[0]]),
            "largest_kept": float(away[rows[-1]]),
            "median_distance": float(np.median(away)),
            "warnings": [],
        }
        return Coreset(order[rows], budget, problem.pool_size, report)


def _to_medians(problem: SelectionProblem) -> FloatArray:
    """[N] float64; how far each row is from the median of its class."""
    labels = np.zeros(problem.pool_size, np.int64) if problem.labels is None else problem.labels
    away = np.empty(problem.pool_size)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        members = problem.features[rows].astype(np.float64)
        away[rows] = distances(members, np.median(members, axis=0, keepdims=True))[:, 0]
    return away
