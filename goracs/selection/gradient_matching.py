"""Gradient matching: rows whose mean gradient comes nearest to the mean gradient of validation.

Problem    min over S of | mean_{i in S} g_i - mean_j g_j |, g the sketch of a gradient, by greedy picks
           (`goracs.search.toward_mean`): a step along the first is then nearly a step along the second.
Cost       O(N k) a pick, for sketches of k numbers.
Not here   weights: each row of a coreset is trained on as often. GradMatch and CRAIG have the same aim with
           free weights, and match the mean gradient of the pool or of validation.
Source     the error term of Killamsetty et al. (GradMatch, ICML 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.part import whole
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import toward_mean
from goracs.selection.alignment import both_sides
from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class GradientMatching:
    """The rows that greedy picks bring nearest; ties go by the canonical order. Deterministic.

    Args:
        by_class: matched in each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the `distance` of the two means, that of the whole pool's (`distance_of_pool`), and the
        norm of validation's (`target_norm`), in the unit of the sketches.

        Raises:
            InvalidInput: no `sketch` of both sides in one width.
        """
        pool, target = both_sides(problem, "sketch", "selector gradient_matching")
        order = canonical_order(problem)
        rows, goal = pool[order].astype(np.float64), target.mean(axis=0, dtype=np.float64)
        picked = toward_mean(whole(rows), goal, budget)
        report = {
            "distance": float(np.linalg.norm(rows[picked].mean(axis=0) - goal)),
            "distance_of_pool": float(np.linalg.norm(rows.mean(axis=0) - goal)),
            "target_norm": float(np.linalg.norm(goal)),
            "warnings": [] if (rows != rows[0]).any() else ["all sketches are equal: no row is likelier."],
        }
        return Coreset(order[picked], budget, problem.pool_size, report)
