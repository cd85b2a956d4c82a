"""GIST: keep the rows that align with validation within the directions in which its gradients lie.

Subspace   the first `dim` right singular vectors of validation's gradients [m, k], not centred; fewer where
           their rank is lower.
Score      of row i: the largest cosine, over tasks T, of its projection with the mean projection of T's rows.
Here       gradients are sketches, and those of several checkpoints (`score.course`) count as one long
           gradient each; the authors' scripts take a single checkpoint.
Cost       a decomposition of m x k numbers, then O(N k dim).
Rounding   a cosine is taken to 12 digits: what the order of sums in a decomposition moves decides nothing.
Source     Min et al. (ICML 2026, arXiv 2602.18584) and its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.features.representation import unit
from goracs.search.canonical import canonical_order
from goracs.selection.alignment import Per, best_aligned, both_sides, largest, products, task_means, untold
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

DIGITS = 12


@dataclass(frozen=True)
class Gist:
    """The rows of largest alignment; ties go by the canonical order. Deterministic.

    Args:
        dim: directions of validation's gradients, >= 1.
        per: what a task is: all of validation, each user, or each row of it.
        by_class: the largest of each class.
    """

    dim: int
    per: Per
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the `dim` that there is, its `share` of the squared gradients of validation, and the
        `smallest_kept` cosine.

        Raises:
            InvalidInput: a dim that is no whole number >= 1; no `sketch` of both sides in one width; tasks by
                user where no user is known.
        """
        given: object = self.dim
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise InvalidInput(f"selector gist: dim must be a whole number >= 1, got {given!r}.")
        pool, target = both_sides(problem, "sketch", "selector gist")
        axes, share = directions(target.astype(np.float64), self.dim)
        tasks = unit(task_means(problem, target, self.per, "selector gist") @ axes.T)
        order = canonical_order(problem)
        within = unit(np.concatenate(list(products(pool, order, axes))))
        cosines = np.round(best_aligned(within, np.arange(len(within)), tasks), DIGITS)
        places = largest(cosines, budget)
        report = {
            "dim": len(axes),
            "share": share,
            "smallest_kept": float(cosines[places[-1]]),
            "warnings": _warnings(len(axes)) or untold(cosines),
        }
        return Coreset(order[places], budget, problem.pool_size, report)


def directions(rows: FloatArray, dim: int) -> tuple[FloatArray, float]:
    """The first right singular vectors [r, k] of rows [m, k], r <= dim, and their share of the squared sum.

    A singular value that is rounding beside the largest counts as 0.
    """
    _, values, axes = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > values[0] * max(rows.shape) * np.finfo(np.float64).eps).sum())
    kept = min(dim, rank)
    squares = (values / (values[0] or 1.0)) ** 2
    return axes[:kept], float(squares[:kept].sum() / squares.sum()) if rank else 0.0


def _warnings(dim: int) -> list[str]:
    if dim == 0:
        return ["the gradients of validation are all 0: no row aligns with them more than another."]
    if dim == 1:
        return ["rows align with one direction by their sign alone: raise dim, if validation has more."]
    return []
