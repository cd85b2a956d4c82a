"""k-means: as many clusters as the budget, and the row nearest to each centre.

Problem    min over n centres of the sum of squared distances to the nearest: seeds by k-means++, then Lloyd's
           steps until no centre moves. A cluster that loses all its rows keeps its centre.
Rows       each centre in turn takes its nearest row that is not taken.
Target     not read.
Cost       O(N n d) for each of Lloyd's steps, distances by blocks; O(N d) for a seed; 4 N d bytes.
Own code   scipy's kmeans2 measures all earlier seeds again for each seed and holds N n distances; here a seed
           costs O(N d), and distances are formed by blocks.
Source     Arthur & Vassilvitskii (SODA 2007); Lloyd (1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot import sums
from goracs.ot.lots import KEYS
from goracs.ot.part import Passes, inertia, passes
from goracs.search.canonical import canonical_order
from goracs.search.in_turn import in_turn
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class KMeans:
    """The rows nearest to the centres of n clusters.

    Args:
        iterations: of Lloyd's, at most; >= 1.
        by_class: clusters of each label.
    """

    iterations: int
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = True
    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`.

        The report has `inertia`, the mean squared distance to the nearest centre in squared feature units,
        and `iterations`, how many were made.

        Raises:
            InvalidInput: iterations out of range; embeddings without columns, or too far
                apart for float64.
        """
        if not isinstance(self.iterations, int) or isinstance(self.iterations, bool) or self.iterations < 1:
            raise InvalidInput(
                f"selector kmeans: iterations must be a whole number >= 1, got {self.iterations!r}."
            )
        order = canonical_order(problem)
        rows = passes(problem, order)
        centres, made, settled = lloyd(rows, seeds(rows, budget, rng), self.iterations)
        picked, _ = in_turn(rows, centres, budget)
        report = {
            "inertia": inertia(rows, centres),
            "iterations": made,
            "warnings": [] if settled else [f"clusters still changed after {made} iterations; allow more."],
        }
        return Coreset(order[picked], budget, problem.pool_size, report)


def seeds(rows: Passes, count: int, rng: np.random.Generator) -> FloatArray:
    """The first centres: rows drawn in proportion to the squared distance to the nearest one drawn before.

    Args:
        rows: N of them.
        count: 1..N; where fewer rows differ, some centres are the same.
        rng: draws the first, and a key of the lots by which each other is drawn (`goracs.ot.lots`).

    Returns:
        [count, d] float64.
    """
    picked = np.empty(count, np.int64)
    picked[0] = rng.integers(rows.size)
    for place in range(1, count):
        picked[place], _ = rows.drawn(picked[:place], int(rng.integers(KEYS)))
    return rows.at(picked).astype(np.float64)


def lloyd(rows: Passes, centres: FloatArray, iterations: int) -> tuple[FloatArray, int, bool]:
    """Means of the rows nearest to each centre, again and again.

    Args:
        rows: N of them.
        centres: [k, d] float64.
        iterations: at most so many.

    Returns:
        [k, d] the last centres; how many iterations were made; whether the last one moved no centre.
    """
    above = sums.exponents(rows.largest())
    for made in range(1, iterations + 1):
        counts, totals = rows.clusters(centres, above)
        means = sums.mean(totals, np.maximum(counts, 1)[:, None], above)
        moved = np.where(counts[:, None] > 0, means, centres)
        if np.array_equal(moved, centres):
            return centres, made, True
        centres = moved
    return centres, iterations, False
