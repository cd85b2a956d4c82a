"""CRAIG: the rows whose gradients lie nearest to the gradients of the whole pool.

Problem    min over S of (1/N) sum_i min_{j in S} |g_i - g_j|, g the sketch of a gradient, by greedy picks: a
           bound of how far the gradient of S, each row weighed by how many rows it is nearest to, is from the
           pool's. It is selector spot with the pool for validation and gradients for features.
Here       each row counts 1/n, as of every coreset. The report says what the weights would be at most.
Cost       O(N^2 k) for sketches of k numbers: not for a pool of a million rows.
Target     not read.
Golden     deepcore.npz.
Source     Mirzasoleiman, Bilmes and Leskovec (ICML 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.cost import CLOSEST
from goracs.ot.neighbours import nearest
from goracs.selection.scores import constant_warnings, matrix
from goracs.selection.spot import prototypes
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

SCORE = "sketch"


@dataclass(frozen=True)
class Craig:
    """The rows that greedy facility location picks; ties go by the canonical order. Deterministic.

    Args:
        memory: GB for the distances within the pool (8 N^2 bytes), > 0; those of a larger pool are formed as
            they are needed, and the rows are the same.
        by_class: one problem for each class, in the proportions of the validation labels; the authors have as
            many rows of each class as the pool's share.
    """

    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `nearest_distance`, the mean over the pool of the distance to the nearest chosen row in
        the unit of the sketches, and `largest_weight`, the largest share of the pool that is nearest to one.

        Raises:
            InvalidInput: no `sketch` of several columns, one too large or too small for float64, a memory
                that is no number > 0.
        """
        sketches = matrix(problem, SCORE, "selector craig")
        _refuse_sizes(sketches)
        others = {**problem.scores, "features": problem.features}  # for the order of rows of one sketch
        within = SelectionProblem(sketches, sketches, scores=others)
        rows = prototypes(within, budget, self.memory, "selector craig")
        places, away = nearest(sketches, sketches[rows], 1)
        report = {
            "nearest_distance": float(away.mean()),
            "largest_weight": float(np.bincount(places[:, 0]).max() / problem.pool_size),
            "warnings": constant_warnings(SCORE, sketches - sketches[:1]),
        }
        return Coreset(rows, budget, problem.pool_size, report)


def _refuse_sizes(sketches: FloatArray) -> None:
    """Where |a - b|^2 <= 4 k max^2 could overflow, or vanishes: said here of the score, not of embeddings."""
    if np.abs(sketches).max() > (np.finfo(np.float64).max / (4 * sketches.shape[1])) ** 0.5:
        raise InvalidInput(f"selector craig: distances of the score '{SCORE}' overflow float64: rescale it.")
    if 0 < np.abs(sketches - sketches[:1]).max() < CLOSEST:
        raise InvalidInput(
            f"selector craig: distances of the score '{SCORE}' are too small for float64 to square: rescale "
            "it."
        )
