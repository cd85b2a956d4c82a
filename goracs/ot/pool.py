"""The pool's costs: as one matrix, or formed by blocks from embeddings where that matrix would be too large.

Both answer two questions, with the same numbers: the exact costs of given rows, and which rows are cheapest
at given prices. One that forms its costs also bounds those of many rows from below, by products that are
much faster than exact costs, and does not look again at rows that its last pass rules out (`goracs.ot.past`).

Symbols    rho_i(v) = what row i ships at least at prices v (`goracs.ot.cheapest`); costs in the scale's unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from goracs.ot import distance
from goracs.ot.below import shares_below
from goracs.ot.cheapest import Shape, shares
from goracs.ot.distance import blocks, decided, distances, first_of
from goracs.ot.past import SLACK, Past
from goracs.types import FloatArray, IndexArray, Scale, SelectionProblem

NEAREST = Shape(1, 1.0, 0.0)  # all that a row ships goes to one column
MOST = 0.5  # of the rows: where more are open, one pass in their order is as fast


class Pool(Protocol):
    """N rows in canonical order against m columns."""

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    @property
    def low(self) -> float: ...  # noqa: D102

    def rows(self, indices: IndexArray) -> FloatArray: ...  # noqa: D102

    def likely(self, prices: FloatArray, spread: Shape, most: float) -> IndexArray: ...  # noqa: D102

    def cheapest(  # noqa: D102
        self, prices: FloatArray, spread: Shape, count: int, limit: float = np.inf
    ) -> tuple[IndexArray, FloatArray]: ...


@dataclass(frozen=True, eq=False)
class Dense:
    """A pool whose costs [N, m] are all there."""

    costs: FloatArray

    @property
    def size(self) -> int:
        """N."""
        return len(self.costs)

    @property
    def width(self) -> int:
        """m."""
        return int(self.costs.shape[1])

    @cached_property
    def low(self) -> float:
        """The smallest cost."""
        return float(self.costs.min())

    def rows(self, indices: IndexArray) -> FloatArray:
        """[k, m] float64 costs of k rows."""
        return self.costs[indices]

    def likely(self, prices: FloatArray, spread: Shape, most: float) -> IndexArray:
        """Ascending rows, all whose rho at prices [m] is no more than `most` among them."""
        return np.flatnonzero(shares(self.costs, prices, spread) <= most)

    def cheapest(
        self,
        prices: FloatArray,
        spread: Shape,
        count: int,
        limit: float = np.inf,  # noqa: ARG002
    ) -> tuple[IndexArray, FloatArray]:
        """The `count` rows of smallest rho at prices [m], ascending, ties by index, and their rho.

        Where it is known that so many are not above `limit`, a pool is spared others.
        """
        return first_of(np.arange(self.size), shares(self.costs, prices, spread), count)


@dataclass(frozen=True, eq=False)
class Streamed:
    """A pool whose costs are formed as they are needed.

    Args:
        features: [N, d] float, as stored (may be memory-mapped).
        target: [m, d] float.
        order: [N] int64; the stored row of each row of the pool.
        offset: [N] float64; lam g / max g of each stored row.
        scale: what distances are divided by.
        past: what is known of all rows from the last pass.
    """

    features: FloatArray
    target: FloatArray
    order: IndexArray
    offset: FloatArray
    scale: float
    past: Past = field(default_factory=Past)

    @property
    def size(self) -> int:
        """N."""
        return len(self.features)

    @property
    def width(self) -> int:
        """m."""
        return len(self.target)

    @cached_property
    def low(self) -> float:
        """The smallest cost."""
        below = self.below(np.zeros(self.width), NEAREST)
        return float(
            decided(below, 1, lambda rows: self.measured(rows, lambda costs: costs.min(axis=1)))[1][0]
        )

    def rows(self, indices: IndexArray) -> FloatArray:
        """[k, m] float64 costs of k rows."""
        stored = self.order[indices]
        costs = distances(self.features[stored], self.target)
        costs /= self.scale
        costs -= self.offset[stored, None]
        return costs

    def cheapest(
        self, prices: FloatArray, spread: Shape, count: int, limit: float = np.inf
    ) -> tuple[IndexArray, FloatArray]:
        """As `Dense.cheapest`, by one pass over the features; those above `limit` are left out."""
        below = self._bounds(prices, spread, limit)
        count = min(count, int((below <= limit).sum()))
        return decided(
            below, count, lambda rows: self.measured(rows, lambda costs: shares(costs, prices, spread)), limit
        )

    def likely(self, prices: FloatArray, spread: Shape, most: float) -> IndexArray:
        """As `Dense.likely`, by one pass; and some that its error leaves open."""
        return np.flatnonzero(self._bounds(prices, spread, most) <= most)

    def _bounds(self, prices: FloatArray, spread: Shape, limit: float) -> FloatArray:
        """[N] lower bounds of rho, in pool order; those above `limit` may be what the last pass says."""
        found = self.past.at(prices, spread)
        which = None if found is None else np.flatnonzero(found <= limit)
        if found is None or which is None or len(which) > MOST * self.size:
            found = self.below(prices, spread)
        else:
            found[which] = self.below(prices, spread, which)
        self.past.keep(prices, spread, found)
        return found

    def measured(self, rows: IndexArray, measure: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """[k] a figure of each of k rows, of its exact costs; so many at a time as fit into a block."""
        found, size = np.empty(len(rows)), max(1, distance.BLOCK_BYTES // (8 * self.width))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            found[part] = measure(self.rows(rows[part]))
        return found

    def costs_below(self, rows: IndexArray) -> Iterator[FloatArray]:
        """Lower bounds of the costs of k rows: [b, m] float64, block after block."""
        stored, start = self.order[rows], 0
        for block in blocks(self.features, self.target, stored):
            costs = block.low(block.squares()) * (block.unit / self.scale * (1 - SLACK))
            costs -= self.offset[stored[start : start + len(costs)], None] * (1 + SLACK)
            start += len(costs)
            yield costs

    def below(self, prices: FloatArray, spread: Shape, rows: IndexArray | None = None) -> FloatArray:
        """[k] lower bounds of the rho of k rows; [N] of all, in pool order.

        Where a distance is 0 its bound is exact: then only the slack makes up for the order of the roundings.
        """
        stored = None if rows is None else np.sort(self.order[rows])  # as the features lie
        passes = [
            block.unit * shares_below(block, prices * (self.scale / block.unit), spread)
            for block in blocks(self.features, self.target, stored)
        ]
        offset = self.offset if stored is None else self.offset[stored]
        found: FloatArray = np.concatenate([np.empty(0), *passes]) / self.scale - offset
        found -= SLACK * (np.abs(found) + offset + np.abs(prices).max())
        return found[self.order if stored is None else np.searchsorted(stored, self.order[rows])]


def fits(problem: SelectionProblem, memory: float) -> bool:
    """Whether the costs of all rows fit into `memory` GB."""
    return 8 * problem.pool_size * problem.target_size <= memory * 2**30


def open_pool(
    problem: SelectionProblem,
    order: IndexArray,
    norms: FloatArray | None,
    lam: float,
    scale: Scale,
    memory: float,
) -> Dense | Streamed:
    """The costs of the pool in that order, held at once if they fit into `memory` GB."""
    offset = np.zeros(problem.pool_size) if norms is None else lam / scale.gradient * norms
    streamed = Streamed(problem.features, problem.target_features, order, offset, scale.distance)
    return Dense(streamed.rows(np.arange(problem.pool_size))) if fits(problem, memory) else streamed
