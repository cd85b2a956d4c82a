"""Rows made ready for a float32 product: centred in float64, scaled to norms of at most 1."""

from __future__ import annotations

import numba
import numpy as np

from goracs.ot import compiled  # noqa: F401 (says where machine code is kept)
from goracs.types import FloatArray


def centred_rows(rows: FloatArray, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[B, d] float64 rows less the centre, and [B] how long they are."""
    found, lengths = np.empty(rows.shape), np.empty(len(rows))
    known = rows.dtype in (np.float32, np.float64)  # in this machine's order of bytes
    _centre(np.asarray(rows) if known else rows.astype(np.float64), centre, found, lengths)
    return found, lengths


def scaled_rows(rows: FloatArray, unit: np.float64) -> tuple[FloatArray, FloatArray]:
    """[B, d] float32 rows in that unit, and [B] their squared norms."""
    found, squares = np.empty(rows.shape, np.float32), np.empty(len(rows), np.float32)
    _scale(rows, unit, found, squares)
    return found, squares


@numba.njit(cache=True, parallel=True, fastmath={"reassoc"}, error_model="numpy")
def _centre(rows, centre, found, lengths):  # type: ignore[no-untyped-def]
    """`centred_rows`, row by row."""
    for i in numba.prange(len(rows)):
        square = 0.0
        for k in range(len(centre)):
            found[i, k] = rows[i, k] - centre[k]
            square += found[i, k] * found[i, k]
        lengths[i] = np.sqrt(square)


@numba.njit(cache=True, parallel=True, fastmath={"reassoc"}, error_model="numpy")
def _scale(rows, unit, found, squares):  # type: ignore[no-untyped-def]
    """`scaled_rows`, row by row."""
    for i in numba.prange(len(rows)):
        square = 0.0
        for k in range(rows.shape[1]):
            found[i, k] = rows[i, k] / unit
            square += np.float64(found[i, k]) * found[i, k]
        squares[i] = square
