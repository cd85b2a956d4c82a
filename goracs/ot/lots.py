"""Lots by which one row is drawn, the same whoever looks at which rows.

Race       row i has a lot E_i, exponential of mean 1; the row of smallest E_i / w_i is drawn, with a chance
           of w_i / (sum of all w), and where rows are looked at apart the smallest of all is the one.
Lots       are those of a row's number and a key: numbers key + 1, key + 2, ... of SplitMix64.
Source     Steele, Lea & Flood, Fast splittable pseudorandom number generators (OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, IndexArray

GAMMA, FIRST, SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
KEYS = 2**63  # as many there are


def exponential(key: int, rows: IndexArray) -> FloatArray:
    """[k] float64 > 0; the lots of rows [k] >= 0."""
    uniform = ((_mixed(key, rows) >> np.uint64(12)) + 0.5) * 2.0**-52  # within 0 and 1, never one of them
    found: FloatArray = -np.log(uniform)
    return found


def _mixed(key: int, rows: IndexArray) -> np.typing.NDArray[np.uint64]:
    state = np.uint64(key) + (rows.astype(np.uint64) + np.uint64(1)) * GAMMA  # it goes round
    state = (state ^ (state >> np.uint64(30))) * FIRST
    state = (state ^ (state >> np.uint64(27))) * SECOND
    return state ^ (state >> np.uint64(31))
