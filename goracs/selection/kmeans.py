"""k-means: as many clusters as the budget, and the row nearest to each centre.

Problem    min over n centres of the sum of squared distances to the nearest: seeds by k-means++, then Lloyd's
           steps until no row changes its cluster. A cluster that loses all its rows keeps its centre.
Rows       each centre in turn takes its nearest row that is not taken.
Target     not read.
Cost       O(N n d) for each of Lloyd's steps, distances by blocks.
Own code   scipy's kmeans2 measures all earlier seeds again for each seed and holds N n distances; here a seed
           costs O(N d), and distances are formed by blocks.
Source     Arthur & Vassilvitskii (SODA 2007); Lloyd (1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.distance import distances
from goracs.ot.neighbours import nearest
from goracs.ot.part import whole
from goracs.search.canonical import canonical_order
from goracs.search.in_turn import in_turn
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


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

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`.

        The report has `inertia`, the mean squared distance to the nearest centre in squared feature units,
        and `iterations`, how many were made.

        Raises:
            InvalidInput: iterations out of range; embeddings without columns.
        """
        if not isinstance(self.iterations, int) or isinstance(self.iterations, bool) or self.iterations < 1:
            raise InvalidInput(
                f"selector kmeans: iterations must be a whole number >= 1, got {self.iterations!r}."
            )
        order = canonical_order(problem)
        points = problem.features[order].astype(np.float64)
        centres, made, settled = lloyd(points, seeds(points, budget, rng), self.iterations)
        rows, _ = in_turn(whole(points), centres, budget)
        report = {
            "inertia": float((nearest(points, centres, 1)[1] ** 2).mean()),
            "iterations": made,
            "warnings": [] if settled else [f"clusters still changed after {made} iterations; allow more."],
        }
        return Coreset(order[rows], budget, problem.pool_size, report)


def seeds(points: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """The first centres: rows drawn in proportion to the squared distance to the nearest one drawn before.

    Args:
        points: [N, d] float64.
        count: 1..N; where fewer rows differ, some centres are the same.
        rng: draws.

    Returns:
        [count, d] float64.
    """
    rows = [int(rng.integers(len(points)))]
    away = distances(points, points[rows])[:, 0]
    while len(rows) < count:
        weights = (away / (away.max() or 1.0)) ** 2
        chances = weights / weights.sum() if weights.any() else None
        rows.append(int(rng.choice(len(points), p=chances)))
        np.minimum(away, distances(points, points[rows[-1:]])[:, 0], out=away)
    return points[rows]


def lloyd(points: FloatArray, centres: FloatArray, iterations: int) -> tuple[FloatArray, int, bool]:
    """Means of the rows nearest to each centre, again and again.

    Args:
        points: [N, d] float64.
        centres: [k, d] float64.
        iterations: at most so many.

    Returns:
        [k, d] the last centres; how many iterations were made; whether the last one changed no cluster.
    """
    before = np.full(len(points), -1)
    for made in range(1, iterations + 1):
        owner = nearest(points, centres, 1)[0][:, 0]
        if np.array_equal(owner, before):
            return centres, made, True
        centres, before = _means(points, owner, centres), owner
    return centres, iterations, False


def _means(points: FloatArray, owner: IndexArray, centres: FloatArray) -> FloatArray:
    from scipy.sparse import csr_array

    members = csr_array((np.ones(len(points)), (owner, np.arange(len(points)))), (len(centres), len(points)))
    sizes = np.bincount(owner, minlength=len(centres))[:, None]
    means: FloatArray = np.where(sizes > 0, (members @ points) / np.maximum(sizes, 1), centres)
    return means
