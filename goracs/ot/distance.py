"""Euclidean distances: exact ones of given rows, and bounds for all rows by blocks.

A block is a float32 product; its squared distances are off by less than a proven error, so it gives bounds on
both sides. What they leave open is decided by exact distances, so neither the block, the device nor the
number of threads moves a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from goracs.types import FloatArray, IndexArray, InvalidInput, numbers

BLOCK_BYTES = 8 * 2**20  # of one float32 block: it stays in the cache
ROUNDING = 2.0**-24  # of float32
BELOW, ABOVE = 1 - 4 * ROUNDING, 1 + 4 * ROUNDING  # a root and what follows round


def distances(pool: FloatArray, target: FloatArray) -> FloatArray:
    """Euclidean distances between two sets of embeddings.

    Args:
        pool: [N, d] float; finite.
        target: [m, d] float; same space.

    Returns:
        [N, m] float64, in feature units; computed in float64 from the differences, so exact near 0 too.

    Raises:
        InvalidInput: what are no two matrices of one width, embeddings without columns, or too far apart
            for float64.
    """
    pool, target = numbers("embeddings", pool), numbers("embeddings", target)
    if pool.ndim != 2 or target.ndim != 2 or pool.shape[1] != target.shape[1]:
        raise InvalidInput(
            f"distances need two matrices of one width, got shapes {pool.shape} and {target.shape}."
        )
    refuse_no_columns(pool)
    from scipy.spatial.distance import cdist

    with np.errstate(over="ignore"):  # long doubles beyond float64: told below
        found: FloatArray = cdist(*(np.asarray(side, np.float64) for side in (pool, target)))
    if not np.isfinite(found).all():
        raise InvalidInput("embeddings lie too far apart for float64: rescale them.")
    return found


def refuse_no_columns(features: FloatArray) -> None:
    """Raise InvalidInput for embeddings [N, 0]: between them there is nothing to measure."""
    if features.shape[1] == 0:
        raise InvalidInput("distances need embeddings, and these have no columns: give features with d >= 1.")


def directions(features: FloatArray) -> FloatArray:
    """[N, d] float64 rows of length 1; where there are rows of zeros, they get a column of their own.

    Raises:
        InvalidInput: embeddings without columns.
    """
    refuse_no_columns(features)
    units = features.astype(np.float64)
    peak = np.abs(units).max(axis=1, keepdims=True)
    zero = peak == 0
    units /= np.where(zero, 1, peak)  # so that no square overflows
    if zero.any():
        units = np.hstack([units, zero])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return units


def largest_distance(features: FloatArray, target: FloatArray) -> float:
    """max d over pool x target, exactly, by one pass and the distances of the rows that could hold it."""
    above = np.concatenate(
        [block.unit * block.high(block.squares().max(axis=1)) for block in blocks(features, target)]
    )
    rows = decided(-above, 1, lambda rows: -distances(features[rows], target).max(axis=1))
    return -float(rows[1][0])


@dataclass(frozen=True, eq=False)
class Block:
    """Distances of B rows, up to a proven error.

    Args:
        products: [B, m] float32; inner products of points centred on the target's mean, scaled to norms <= 1.
        own: [B] float32; the rows' squared norms.
        others: [m] float32; the target's.
        unit: what the points were scaled by, in feature units: of any size, so never cast to float32.
        error: of a square: with d terms in float32, at most 4 (d/2 + 8) 2^-24.
    """

    products: FloatArray
    own: FloatArray
    others: FloatArray
    unit: np.float64
    error: np.float32

    def squares(self) -> FloatArray:
        """[B, m] float32 squared distances, in units of `unit` squared."""
        found: FloatArray = self.own[:, None] + self.others
        found -= 2 * self.products
        return found

    def low(self, squares: FloatArray) -> FloatArray:
        """Lower bounds, float32, of distances of such squares; in units of `unit`."""
        found: FloatArray = np.sqrt(np.maximum(squares - self.error, 0))
        found *= np.float32(BELOW)
        return found

    def high(self, squares: FloatArray) -> FloatArray:
        """Upper bounds, likewise."""
        found: FloatArray = np.sqrt(np.maximum(squares, 0) + self.error)
        found *= np.float32(ABOVE)
        return found


def blocks(features: FloatArray, target: FloatArray, rows: IndexArray | None = None) -> Iterator[Block]:
    """The distances of all rows, in the order of `features`, or of some."""
    from goracs.ot.scaled import centred_rows, scaled_rows

    with np.errstate(over="ignore"):  # said below, in words
        centre = target.mean(axis=0, dtype=np.float64)
    centred, lengths = centred_rows(target, centre)
    reach = lengths.max()
    error = np.float32(4 * (target.shape[1] / 2 + 8) * ROUNDING)
    size = max(1, BLOCK_BYTES // (4 * len(target)))
    for start in range(0, len(features if rows is None else rows), size):
        part = slice(start, start + size)
        own, lengths = centred_rows(features[part if rows is None else rows[part]], centre)
        unit = np.float64(max(reach, lengths.max()) or 1.0)
        if not np.isfinite(unit):
            raise InvalidInput("distances overflow float64: the embeddings are too large; rescale them.")
        (scaled, squares), (others, theirs) = scaled_rows(own, unit), scaled_rows(centred, unit)
        yield Block(scaled @ others.T, squares, theirs, unit, error)


def decided(
    below: FloatArray, count: int, measure: Callable[[IndexArray], FloatArray], limit: float = np.inf
) -> tuple[IndexArray, FloatArray]:
    """The `count` rows of smallest measure, ascending, ties by index, given lower bounds of it.

    Measures the rows of smallest bound, and then every row whose bound is not above what was found. Where a
    row above `limit` is of no use, `count` is at most the number of bounds that are not above it.
    """
    if count == 0:
        return np.empty(0, np.int64), np.empty(0)
    rows = np.argpartition(below, count - 1)[:count]
    figures = measure(rows)
    others = np.setdiff1d(np.flatnonzero(below <= min(figures.max(), limit)), rows)
    rows, figures = np.concatenate([rows, others]), np.concatenate([figures, measure(others)])
    return first_of(rows, figures, count)


def first_of(rows: IndexArray, figures: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
    """The `count` rows of smallest figure, ascending, ties by index, and their figures."""
    order = np.lexsort((rows, figures))[:count]
    return rows[order], figures[order]
