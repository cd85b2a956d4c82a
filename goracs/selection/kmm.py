"""KMM: the rows of largest weight when the pool is weighted so that a kernel cannot tell it from validation.

Problem    min w' K w - 2 w' kappa over 0 <= w <= B / N with sum w = 1, K the gaussian kernel of the pool,
           kappa_i = mean over v of k(i, v): the squared MMD of the weighted pool to validation, less a
           constant. B = N / n: then at least n rows have weight, and the problem is that of `mmd` with whole
           rows relaxed, so that no coreset has a smaller MMD than the weights. The n of largest weight.
Solver     from the rows of `mmd`: always moves weight to the row where that lowers the objective fastest,
           from the row where it lowers it most (SMO), until no move does.
Departure  B, and the sum of exactly 1, are our choice; there the weights are what is trained with.
Cost       that of `mmd`, then O(N d) a move, O(N) where the kernel of the pool is held.
Source     Huang, Smola, Gretton, Borgwardt and Schoelkopf (NIPS 2006); the paper itself was not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from goracs.data.numbers import check_memory
from goracs.search.canonical import canonical_order
from goracs.selection.alignment import largest
from goracs.selection.mmd import herd, kernel, mean_kernel, width_of
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, SelectionProblem

SETTLED = 1e-7  # of a derivative of the objective, whose kernel is 0..1
MOST = 100_000  # moves
TINY = 1e-12  # a bend of the objective that counts as this
DIGITS = 9  # of a weight, in the largest one


@dataclass(frozen=True)
class Kmm:
    """The rows of largest weight; ties go by the canonical order. Deterministic.

    Args:
        bandwidth: of the gaussian kernel, in feature units, > 0; or median, as of `mmd`.
        memory: GB for the kernel of the pool (8 N^2 bytes), > 0; that of a larger pool is formed a row at a
            time.
        by_class: weighted in each class.
    """

    bandwidth: float | Literal["median"]
    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the `mmd` of the coreset and that of the weights (`mmd_weighted`, which no coreset of
        as many rows is below, up to what has settled), how many rows are `weighted`, how many `moves` were
        made, and the `bandwidth`.

        Raises:
            InvalidInput: a bandwidth or memory that is no number > 0, features without columns or so large
                that their distances overflow.
        """
        check_memory("selector kmm", self.memory)
        order = canonical_order(problem)
        pool = problem.features[order].astype(np.float64)
        target = problem.target_features.astype(np.float64)
        width, warnings = width_of(self.bandwidth, pool, target, "selector kmm")
        start, _ = herd(pool, target, width, budget)
        near, row_of = mean_kernel(pool, target, width), self._rows(pool, width)
        weights, moves, settled = matched(row_of, near, start)
        rows = largest(np.round(weights * budget, DIGITS), budget)
        constant = mean_kernel(target, target, width).mean()
        report = {
            "mmd": mmd(row_of, near, uniform(rows, len(pool)), constant),
            "mmd_weighted": mmd(row_of, near, weights, constant),
            "weighted": int((weights > 0).sum()),
            "moves": moves,
            "bandwidth": width,
            "warnings": warnings + ([] if settled else [f"the weights still moved after {MOST} moves."]),
        }
        return Coreset(order[rows], budget, problem.pool_size, report)

    def _rows(self, pool: FloatArray, width: float) -> Callable[[int], FloatArray]:
        """Gives a row [N] of the kernel of the pool."""

        def formed(row: int) -> FloatArray:
            return kernel(pool, pool[row : row + 1], width)[:, 0]

        if 8 * len(pool) ** 2 > self.memory * 2**30:
            return formed
        held = kernel(pool, pool, width)
        return lambda row: held[row]


def matched(
    row_of: Callable[[int], FloatArray], near: FloatArray, start: IndexArray
) -> tuple[FloatArray, int, bool]:
    """The weights of the problem above.

    Args:
        row_of: gives a row [N] of the kernel; 1 on its diagonal.
        near: [N] kappa.
        start: [n] the rows that have the weight 1/n at first, which is the largest.

    Returns:
        [N] weights; how many moves were made; whether they settled.
    """
    most, weights = 1 / len(start), uniform(start, len(near))
    half = sum(row_of(row) for row in start.tolist()) * most - near  # of the gradient
    for moves in range(MOST):
        up = int(np.where(weights < most, half, np.inf).argmin())
        slopes, rise = np.where(weights > 0, half - half[up], 0), row_of(up)
        if slopes.max() <= SETTLED or weights[up] >= most:
            return weights, moves, True
        bends = np.maximum(2 * (1 - rise), TINY)
        down = int((np.maximum(slopes, 0) ** 2 / bends).argmax())
        fall, room = row_of(down), min(most - weights[up], weights[down])
        step = min(room, slopes[down] / bends[down])
        whole_up, whole_down = step == most - weights[up], step == weights[down]
        weights[up] = most if whole_up else weights[up] + step
        weights[down] = 0.0 if whole_down else weights[down] - step
        half += step * (rise - fall)
    return weights, MOST, False


def uniform(rows: IndexArray, size: int) -> FloatArray:
    """[N] weights 1/n of n rows, 0 of the others."""
    weights = np.zeros(size)
    weights[rows] = 1 / len(rows)
    return weights


def mmd(row_of: Callable[[int], FloatArray], near: FloatArray, weights: FloatArray, constant: float) -> float:
    """The MMD of the weighted pool to validation, whose kernel has the mean `constant`."""
    within = sum(weights[row] * float(row_of(row) @ weights) for row in np.flatnonzero(weights).tolist())
    return float(np.sqrt(max(within - 2 * near @ weights + constant, 0.0)))
