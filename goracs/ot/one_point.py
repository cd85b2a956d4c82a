"""Distances of all rows to one point after another, each for the price of a float32 matrix-vector product.

A product leaves open which of a few rows is the nearest, or the farthest: their exact distances decide, ties
by index (see `goracs.ot.distance`).
"""

from __future__ import annotations

import numpy as np

from goracs.ot import distance
from goracs.ot.distance import ROUNDING, distances, refuse_no_columns
from goracs.types import FloatArray, IndexArray, InvalidInput

FAR = 1e30  # units; from farther off a float32 product tells nothing
SQUARED = 1e15  # units; the square of what is farther off could overflow float32
NONE = -1  # no row

Mask = np.typing.NDArray[np.bool_]


class Rows:
    """Rows that points are compared with.

    Args:
        features: [N, d] float; finite; as stored.
        order: [N] int64; the stored row of each row.

    Raises:
        InvalidInput: no columns, or rows too far apart for float64.

    Memory: 4 N d bytes beside the features.
    """

    def __init__(self, features: FloatArray, order: IndexArray) -> None:
        refuse_no_columns(features)
        self.features, self.order = features, order
        self._centre, self.unit = _ball(features)
        self._scaled = np.empty(features.shape, np.float32)  # norms <= 1
        for part in parts(features):
            self._scaled[part] = (features[order[part]] - self._centre) / self.unit
        self._own = np.einsum("ij,ij->i", self._scaled, self._scaled)
        # of an inner product of norms 1, as in a block
        self._rounding = (features.shape[1] / 2 + 8) * ROUNDING

    def squares(self, point: FloatArray) -> tuple[FloatArray, float]:
        """[N] float32 squares of the distances to a point [d], in `unit` squared, and the error of each."""
        aim, size = self._aim(point)
        if not size < SQUARED:
            return np.zeros(len(self._own), np.float32), np.inf
        found = self._own - 2 * (self._scaled @ aim.astype(np.float32)) + np.float32(size**2)
        return found, self._rounding * (1 + size) ** 2

    def nearest(self, point: FloatArray, free: Mask) -> tuple[int, float]:
        """The free row nearest to a point [d], and how far, in feature units; NONE where none is free."""
        aim, size = self._aim(point)
        rows = np.flatnonzero(free)
        if not len(rows):
            return NONE, np.inf
        if size < FAR:
            below = self._own - 2 * (self._scaled @ aim.astype(np.float32))  # the square but for |aim|^2
            below = below[rows]
            rows = rows[below <= below.min() + 2 * self._rounding * (1 + 2 * size)]
        away = self.distances(rows, point[None])[:, 0]
        first = away.argmin()
        return int(rows[first]), float(away[first])

    def distances(self, rows: IndexArray, points: FloatArray) -> FloatArray:
        """[k, p] exact distances of k rows to points [p, d], in feature units."""
        return distances(self.features[self.order[rows]], points)

    def _aim(self, point: FloatArray) -> tuple[FloatArray, np.float64]:
        """A point as the scaled rows are, [d] float64, and its norm."""
        with np.errstate(over="ignore", invalid="ignore"):
            aim = (point - self._centre) / self.unit
            return aim, np.float64(np.linalg.norm(aim))


class Away:
    """How far each row is from the nearest of some points; exact of the rows that could be the farthest."""

    def __init__(self, among: Rows) -> None:
        self.among, size = among, len(among.order)
        self.points = list[FloatArray]()
        self._below, self._above = np.full((2, size), np.inf, np.float32)  # bounds of the square
        self._exact = np.full(size, np.inf)
        self._counted = np.zeros(size, np.int64)  # of the points, in `_exact`

    def add(self, points: FloatArray) -> None:
        """Some more, [p, d]."""
        for point in points:
            found, error = self.among.squares(point)
            np.minimum(self._below, found - np.float32(error), out=self._below)
            np.minimum(self._above, found + np.float32(error), out=self._above)
        self.points += list(points)

    def farthest(self, free: Mask, lots: FloatArray | None = None) -> tuple[int, float]:
        """The free row farthest from its nearest point, ties by index, and how far; or NONE.

        Where rows have lots [N] > 0, the one where the square of that, by its lot, is largest; and its root.
        """
        if not free.any():
            return NONE, 0.0
        weights = 1.0 if lots is None else 1 / lots
        least = (self._below * weights).max(where=free, initial=-np.inf)
        rows = np.flatnonzero((self._above * weights >= least) & free)
        figures = self._measured(rows) / (1.0 if lots is None else np.sqrt(lots[rows]))
        first = figures.argmax()
        return int(rows[first]), float(figures[first])

    def _measured(self, rows: IndexArray) -> FloatArray:
        """[k] exact distances of k rows to their nearest point."""
        for counted in np.unique(self._counted[rows]):
            some = rows[self._counted[rows] == counted]
            if counted < len(self.points):
                new = self.among.distances(some, np.array(self.points[counted:]))
                self._exact[some] = np.minimum(self._exact[some], new.min(axis=1))
        self._counted[rows] = len(self.points)
        return self._exact[rows]


def _ball(rows: FloatArray) -> tuple[FloatArray, np.float64]:
    """The mean [d] of the rows, float64, and the largest distance to it; 1 where that is 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # said below, in words
        centre = rows.mean(axis=0, dtype=np.float64)
        away = [np.linalg.norm(rows[part] - centre, axis=1).max() for part in parts(rows)]
    if not np.isfinite(away).all():
        raise InvalidInput("embeddings lie too far apart for float64: rescale them.")
    return centre, np.float64(max(away) or 1.0)


def parts(rows: FloatArray) -> list[slice]:
    """Rows [N, d] a block at a time."""
    size = max(1, distance.BLOCK_BYTES // (8 * rows.shape[1]))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
