"""Glister: rows one step on which lowers the validation loss most.

Problem    min over S of the validation loss at theta - eta mean_{i in S} g_i, greedily: each pick is the row
           whose gradient is most along validation's where the picks so far have led.
Gradient   of validation there: b - eta F s, b the mean of its sketches g_j, s the sum over picks of g_i / n,
           F = mean_j g_j g_j', the empirical Fisher matrix in place of the curvature. The authors work out
           anew the gradient of a last layer over classes, which gradients within an LLM do not allow.
Unit       eta = `step` / mean_j |g_j|^2, at most 1 / the largest eigenvalue of F for a step of 1: a coreset
           does not change with the unit of gradients. A step of 0 keeps the rows most along b.
Defect     DeepCore never updates validation's gradient, so it keeps those.
Cost       O((N + m) k) a pick, for sketches of k numbers.
Golden     deepcore.npz.
Source     Killamsetty et al. (AAAI 2021) and their code (naive greedy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.data.numbers import is_number
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import lowest
from goracs.selection.alignment import both_sides, untold
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Glister:
    """The rows that greedy picks lead downhill; ties go by the canonical order. Deterministic.

    Args:
        step: >= 0; how far the coreset's mean gradient is followed, see Unit.
        by_class: one problem for each class.
    """

    step: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the norm of validation's mean gradient at the start (`target_norm`) and what the model
        of it says is `left` after the step.

        Raises:
            InvalidInput: no `sketch` of both sides in one width, a `step` that is no number >= 0.
        """
        if not is_number(self.step) or self.step < 0:
            raise InvalidInput(f"selector glister: step must be a number >= 0, got {self.step!r}.")
        pool, target = both_sides(problem, "sketch", "selector glister")
        order = canonical_order(problem)
        rows, goals = pool[order].astype(np.float64), target.astype(np.float64)
        picked, left = led(rows, goals, self.step, budget)
        report = {
            "left": float(np.linalg.norm(left)),
            "target_norm": float(np.linalg.norm(goals.mean(axis=0))),
            "warnings": untold(_along(rows, goals.mean(axis=0))),
        }
        return Coreset(order[picked], budget, problem.pool_size, report)


def led(rows: FloatArray, goals: FloatArray, step: float, budget: int) -> tuple[IndexArray, FloatArray]:
    """[n] int64 distinct rows in the order of picking, and [k] validation's gradient where they lead.

    Args:
        rows: [N, k] float64; gradients of the pool.
        goals: [m, k] float64; of validation.
        step: >= 0.
        budget: n, 1..N.
    """
    picked, free = np.empty(budget, np.int64), np.ones(len(rows), np.bool_)
    eta = step / (float((goals**2).sum(axis=1).mean()) or 1.0)
    gone, gradient = np.zeros(rows.shape[1]), goals.mean(axis=0)
    for place in range(budget):
        picked[place] = row = lowest(-_along(rows, gradient), free)
        free[row] = False
        gone += eta * rows[row] / budget
        curved = np.einsum("j,jk->k", _along(goals, gone), goals) / len(goals)
        gradient = goals.mean(axis=0) - curved
    return picked, gradient


def _along(rows: FloatArray, direction: FloatArray) -> FloatArray:
    """[N] float64 inner products of rows [N, k] with a direction [k], by plain sums: threads move no pick."""
    return np.asarray(np.einsum("ij,j->i", rows, direction))
