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


class Rows:
    """Rows that points are compared with.

    Args:
        rows: [N, d] float; finite.

    Raises:
        InvalidInput: no columns, or rows too far apart for float64.

    Memory: 4 N d bytes beside the rows.
    """

    def __init__(self, rows: FloatArray) -> None:
        refuse_no_columns(rows)
        self.rows = rows
        self._centre, self.unit = _ball(rows)
        self._scaled = np.empty(rows.shape, np.float32)  # norms <= 1
        for part in _parts(rows):
            self._scaled[part] = (rows[part] - self._centre) / self.unit
        self._own = np.einsum("ij,ij->i", self._scaled, self._scaled)
        self._rounding = (rows.shape[1] / 2 + 8) * ROUNDING  # of an inner product of norms 1, as in a block

    def squares(self, place: int) -> tuple[FloatArray, float]:
        """[N] float32 squares of the distances to a row, in `unit` squared, and how far off one can be."""
        found = self._own - 2 * (self._scaled @ self._scaled[place]) + self._own[place]
        return found, 4 * self._rounding

    def nearest(self, point: FloatArray, free: np.typing.NDArray[np.bool_]) -> tuple[int, float]:
        """The free row nearest to a point [d], and how far it is, in feature units."""
        with np.errstate(over="ignore", invalid="ignore"):
            aim = (point - self._centre) / self.unit
            size = np.linalg.norm(aim)
        rows = np.flatnonzero(free)
        if size < FAR:
            below = (self._own - 2 * (self._scaled @ aim.astype(np.float32)))[
                rows
            ]  # the square but for |aim|^2
            rows = rows[below <= below.min() + 2 * self._rounding * (1 + 2 * size)]
        away = distances(self.rows[rows], point[None])[:, 0]
        first = away.argmin()
        return int(rows[first]), float(away[first])


class Farthest:
    """How far each row is from those chosen so far; exact of the rows that could be the farthest.

    Args:
        rows: [N, d] float; finite.
        start: the first chosen.
    """

    def __init__(self, rows: FloatArray, start: int) -> None:
        self.among = Rows(rows)
        self.chosen = list[int]()
        self._squares = np.full(len(rows), np.inf, np.float32)
        self._exact = np.full(len(rows), np.inf)
        self._counted = np.zeros(len(rows), np.int64)  # of the chosen, in `_exact`
        self._error = 0.0
        self.choose(start)

    def choose(self, row: int) -> None:
        """One more."""
        found, self._error = self.among.squares(row)
        np.minimum(self._squares, found, out=self._squares)
        self.chosen.append(row)
        self._squares[self.chosen] = -np.inf

    def farthest(self) -> tuple[int, float]:
        """The row farthest from the nearest chosen one, and how far; 0 of any where all are chosen."""
        if len(self.chosen) == len(self._exact):
            return self.chosen[0], 0.0
        rows = np.flatnonzero(self._squares >= self._squares.max() - 2 * self._error)
        self._measure(rows)
        row = int(rows[self._exact[rows].argmax()])
        return row, float(self._exact[row])

    def _measure(self, rows: IndexArray) -> None:
        for counted in np.unique(self._counted[rows]):
            some = rows[self._counted[rows] == counted]
            new = distances(self.among.rows[some], self.among.rows[self.chosen[counted:]])
            self._exact[some] = np.minimum(self._exact[some], new.min(axis=1))
        self._counted[rows] = len(self.chosen)


def _ball(rows: FloatArray) -> tuple[FloatArray, np.float64]:
    """The mean [d] of the rows, float64, and the largest distance to it; 1 where that is 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # said below, in words
        centre = rows.mean(axis=0, dtype=np.float64)
        away = [np.linalg.norm(rows[part] - centre, axis=1).max() for part in _parts(rows)]
    if not np.isfinite(away).all():
        raise InvalidInput("embeddings lie too far apart for float64: rescale them.")
    return centre, np.float64(max(away) or 1.0)


def _parts(rows: FloatArray) -> list[slice]:
    size = max(1, distance.BLOCK_BYTES // (8 * rows.shape[1]))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
