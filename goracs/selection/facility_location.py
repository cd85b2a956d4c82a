"""Facility location: the rows to which the pool's rows are most alike.

Problem    max over S of sum_i max_{j in S} s_ij over the pool, s = .5 + .5 cos: greedy, within 1 - 1/e.
Lazy       a gain only falls as rows are picked, so an old one bounds it: few are formed twice. Bounds are
           float64 products by blocks; what their rounding leaves open is decided by exact distances of the
           directions, s = 1 - |u_i - u_j|^2 / 4, so that threads move no decision.
Zeros      a row of zeros has no direction: such rows are alike, and at right angles to all others.
Cost       a gain is O(N d). The second pick forms nearly all, O(N^2 d); later ones some dozens each.
Target     not read.
Golden     deepcore.npz.
Memory     8 N d bytes and one block.
Source     Mirzasoleiman et al. (NeurIPS 2013) for the function and the greedy; Minoux (1978) for lazy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot import distance
from goracs.ot.distance import decided, directions, distances
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, SelectionProblem

FEW = 16  # gains that are formed at once, twice as many each time one pick needs more
ROUNDING = 2.0**-53  # of float64


@dataclass(frozen=True)
class FacilityLocation:
    """The greedy coreset that covers the pool. Deterministic; ties go by canonical order.

    Args:
        by_class: one cover for each label.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        Once no row gains more than rounding, the first left in canonical order are taken. The report has
        `similarity`, the mean over the pool of max s, and `gains`, how many were formed.

        Raises:
            InvalidInput: embeddings without columns.
        """
        order = canonical_order(problem)
        cover = _Cover(directions(problem.features[order]))
        picked: list[int] = []
        while len(picked) < budget and (row := cover.best()) is not None:
            cover.take(row)
            picked.append(row)
        left = np.setdiff1d(np.arange(problem.pool_size), picked)[: budget - len(picked)]
        report = {
            "similarity": float(1 - cover.missing.mean()),
            "gains": cover.formed,
            "warnings": _warnings(problem, len(left)),
        }
        return Coreset(order[np.append(picked, left).astype(np.int64)], budget, problem.pool_size, report)


class _Cover:
    """How well each row is covered, and what each would gain, as far as it takes to find the best.

    Args:
        units: [N, d] float64; rows of length 1.
    """

    def __init__(self, units: FloatArray) -> None:
        size, width = units.shape
        self.units = units
        self.missing = np.ones(size)  # 1 - similarity to the nearest row chosen; none so far
        self.slack = 4 * size * (width + 8) * ROUNDING  # above the error of a gain, in either form
        self.above = 0.5 * (size + units @ units.sum(axis=0)) + self.slack  # upper bounds of the gains
        self.fresh = np.ones(size, np.bool_)  # bounds that hold for the present cover, up to slack
        self.formed = 0

    def best(self) -> int | None:
        """The row of largest gain, ties to the smaller index; None where none gains more than rounding."""
        size = FEW
        while not self.fresh[self.above.argmax()]:
            rows = np.argsort(-self.above)[:size]
            rows = rows[~self.fresh[rows]]
            self.above[rows] = self._each(rows, self._product) + self.slack
            self.fresh[rows] = True
            size *= 2
        if self.above.max() <= 3 * self.slack:
            return None
        return int(decided(-self.above, 1, lambda rows: -self._each(rows, self._exact))[0][0])

    def take(self, row: int) -> None:
        """Choose a row."""
        away = distances(self.units[row : row + 1], self.units)[0]
        np.minimum(self.missing, away**2 / 4, out=self.missing)
        self.above[row] = -np.inf
        self.fresh = np.isneginf(self.above)

    def _product(self, rows: IndexArray) -> FloatArray:
        """[k, N] what k rows lack of each row's similarity, less what is missing."""
        table: FloatArray = self.units[rows] @ self.units.T
        table *= 0.5
        table += self.missing - 0.5
        return table

    def _exact(self, rows: IndexArray) -> FloatArray:
        """As `_product`, the same on every machine."""
        return self.missing - distances(self.units[rows], self.units) ** 2 / 4

    def _each(self, rows: IndexArray, table_of: Callable[[IndexArray], FloatArray]) -> FloatArray:
        """[k] the gains of k rows; so many at a time as fit into a block."""
        self.formed += len(rows)
        found, size = np.empty(len(rows)), max(1, distance.BLOCK_BYTES // (8 * len(self.units)))
        for start in range(0, len(rows), size):
            table = table_of(rows[start : start + size])
            found[start : start + size] = np.maximum(table, 0, out=table).sum(axis=1)
        return found


def _warnings(problem: SelectionProblem, filled: int) -> list[str]:
    zeros = int((~problem.features.any(axis=1)).sum())
    said = []
    if zeros:
        said.append(f"{zeros} pool rows are all zeros: they count as alike, at right angles to all others.")
    if filled:
        said.append(f"{filled} rows add nothing to the cover: the first left were taken.")
    return said
