"""GradMatch: rows whose gradients, freely weighed, add up to the mean gradient of validation.

Problem    min over S and weights w of |sum_{i in S} w_i g_i - mean_j g_j|^2 + ridge |w|^2, g the sketch of a
           gradient, by orthogonal matching pursuit: each pick is the row most along what is left of the goal
           once the rows picked so far are weighed at their best, its sign counted.
Left       of the goal b after rows A: b - A' w = ridge (ridge I + A' A)^-1 b, so each pick changes one k x k
           matrix by a term of rank one.
Unit       ridge is in mean squared norms of the pool's sketches: a coreset does not change with the unit of
           gradients. The authors' lam is in that unit itself, and no part of their first step.
Here       each row counts 1/n, as of every coreset: weights only say which row comes next. The authors stop
           where little is left and drop rows of weight 0; here are n. With equal weights: gradient_matching.
Cost       O(N k + k^2) a pick, for sketches of k numbers.
Golden     deepcore.npz.
Source     Killamsetty et al. (ICML 2021), Algorithm 2, and their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.data.numbers import is_number
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import lowest
from goracs.selection.alignment import both_sides
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class GradMatch:
    """The rows that the pursuit picks; ties go by the canonical order. Deterministic.

    Args:
        ridge: > 0; what weights cost, in mean squared norms of the pool's sketches.
        by_class: matched in each class.
    """

    ridge: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has what is `left` of the goal when the coreset is weighed at its best, the `distance` of
        its plain mean to the goal, and the goal's norm (`target_norm`), in the unit of the sketches.

        Raises:
            InvalidInput: no `sketch` of both sides in one width, a `ridge` that is no number > 0.
        """
        if not is_number(self.ridge) or self.ridge <= 0:
            raise InvalidInput(f"selector gradmatch: ridge must be a number > 0, got {self.ridge!r}.")
        pool, target = both_sides(problem, "sketch", "selector gradmatch")
        order = canonical_order(problem)
        rows, goal = pool[order].astype(np.float64), target.mean(axis=0, dtype=np.float64)
        size = float((rows**2).sum(axis=1).mean()) or 1.0  # where all are 0 no row matches anything
        picked, left = pursued(rows, goal, self.ridge * size, budget)
        report = {
            "left": float(np.linalg.norm(left)),
            "distance": float(np.linalg.norm(rows[picked].mean(axis=0) - goal)),
            "target_norm": float(np.linalg.norm(goal)),
            "warnings": [] if (rows != rows[0]).any() else ["all sketches are equal: no row is likelier."],
        }
        return Coreset(order[picked], budget, problem.pool_size, report)


def pursued(rows: FloatArray, goal: FloatArray, ridge: float, budget: int) -> tuple[IndexArray, FloatArray]:
    """[n] int64 distinct rows in the order of picking, and [k] what is left of the goal; ties to the first.

    Args:
        rows: [N, k] float64.
        goal: [k] float64.
        ridge: > 0, in the unit of a squared row.
        budget: n, 1..N.
    """
    picked, free = np.empty(budget, np.int64), np.ones(len(rows), np.bool_)
    shrinks, left = np.eye(rows.shape[1]), goal  # ridge (ridge I + A' A)^-1, of no row yet
    for place in range(budget):
        along = np.einsum("ij,j->i", rows, left)  # by plain sums: threads move no pick
        picked[place] = row = lowest(-along, free)
        free[row] = False
        turned = np.einsum("ij,j->i", shrinks, rows[row])
        shrinks -= np.outer(turned, turned / (ridge + rows[row] @ turned))
        left = np.einsum("ij,j->i", shrinks, goal)
    return picked, left
