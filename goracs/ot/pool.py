"""The pool's costs: as one matrix, or formed by blocks from embeddings where that matrix would be too large.

Both answer two questions, with the same numbers: the exact costs of given rows, and which rows are cheapest
at given prices. One that forms its costs also bounds those of many rows from below, by products that are
much faster than exact costs.

Symbols    rho_i(v) = what row i ships at least at prices v (`goracs.ot.cheapest`); costs in the scale's unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from goracs.ot import distance
from goracs.ot.below import shares_below
from goracs.ot.cheapest import Shape, shares
from goracs.ot.distance import blocks, decided, distances, first_of
from goracs.types import FloatArray, IndexArray, Scale, SelectionProblem

NEAREST = Shape(1, 1.0, 0.0)  # all that a row ships goes to one column
SLACK = 1e-12  # of the terms of a figure: far above its rounding, and hardly a row more to measure


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

    def cheapest(self, prices: FloatArray, spread: Shape, count: int) -> tuple[IndexArray, FloatArray]: ...  # noqa: D102


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

    def cheapest(self, prices: FloatArray, spread: Shape, count: int) -> tuple[IndexArray, FloatArray]:
        """The `count` rows of smallest rho at prices [m], ascending, ties by index, and their rho."""
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
    """

    features: FloatArray
    target: FloatArray
    order: IndexArray
    offset: FloatArray
    scale: float

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

    def cheapest(self, prices: FloatArray, spread: Shape, count: int) -> tuple[IndexArray, FloatArray]:
        """As `Dense.cheapest`, by one pass over the features."""
        return self.cheapest_within(prices, spread, count, np.inf)

    def cheapest_within(
        self, prices: FloatArray, spread: Shape, count: int, limit: float
    ) -> tuple[IndexArray, FloatArray]:
        """As `cheapest`, at least those of them whose rho is not above `limit`."""
        below = self.below(prices, spread)
        count = min(count, int((below <= limit).sum()))
        return decided(
            below, count, lambda rows: self.measured(rows, lambda costs: shares(costs, prices, spread)), limit
        )

    def likely(self, prices: FloatArray, spread: Shape, most: float) -> IndexArray:
        """As `Dense.likely`, by one pass; and some that its error leaves open."""
        return np.flatnonzero(self.below(prices, spread) <= most)

    def measured(self, rows: IndexArray, measure: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """[k] a figure of each of k rows, of its exact costs; so many at a time as fit into a block."""
        found, size = np.empty(len(rows)), max(1, distance.BLOCK_BYTES // (8 * self.width))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            found[part] = measure(self.rows(rows[part]))
        return found

    def costs_below(self, rows: IndexArray) -> Iterator[FloatArray]:
        """Lower bounds of the costs of k rows: [b, m] float64, block after block."""
        size = max(1, distance.BLOCK_BYTES // (4 * self.width))
        for start in range(0, len(rows), size):
            stored = self.order[rows[start : start + size]]
            for block in blocks(self.features[stored], self.target):
                costs = block.low(block.squares()) * (block.unit / self.scale * (1 - SLACK))
                costs -= self.offset[stored, None] * (1 + SLACK)
                yield costs

    def below(self, prices: FloatArray, spread: Shape) -> FloatArray:
        """[N] lower bounds of rho, in pool order.

        Where a distance is 0 its bound is exact: then only the slack makes up for the order of the roundings.
        """
        passes = [
            block.unit * shares_below(block, prices * (self.scale / block.unit), spread)
            for block in blocks(self.features, self.target)
        ]
        found: FloatArray = np.concatenate(passes) / self.scale - self.offset
        found -= SLACK * (np.abs(found) + self.offset + np.abs(prices).max())
        return found[self.order]


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
