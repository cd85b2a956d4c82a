"""Sums over rows that do not depend on the order of their terms, nor on who adds which of them.

Rule       an entry of a column is cut to 2^-60 of a power of two that is above all its entries: two whole
           numbers of 30 bits, whose sums are exact. So a mean is nearer to the true one than float64's sums
           are, but where float64 holds smaller digits of smaller entries.
Sums       [2, ..., d] int64: of the high parts, and of the low ones; of up to 2^32 rows.
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, IndexArray

BITS = 30


def exponents(largest: FloatArray) -> IndexArray:
    """[d] the powers of two above entries of at most this size [d]."""
    return np.frexp(largest)[1].astype(np.int64)


def digits(values: FloatArray, above: IndexArray) -> IndexArray:
    """[2, k, d] the high and the low parts of values [k, d] below 2^above [d]."""
    scaled = np.ldexp(values.astype(np.float64), BITS - above)
    high = np.floor(scaled)
    return np.stack([high, np.rint(np.ldexp(scaled - high, BITS))]).astype(np.int64)


def mean(sums: IndexArray, counts: IndexArray, above: IndexArray) -> FloatArray:
    """[..., d] float64 means of as many rows as `counts` [..., 1], whose sums [2, ..., d] these are."""
    high, low = sums / counts
    means: FloatArray = np.ldexp(high + np.ldexp(low, -BITS), above - BITS)
    return means
