"""Sums over rows that do not depend on the order of their terms, nor on who adds which of them.

Rule   an entry of a column is cut to 2^-120 of a power of two that is above all its entries: `PARTS` whole
       numbers of `BITS` bits, whose sums are exact. So a mean is nearer to the true one than float64's sums
       are, also beside a row far out.
Sums   [PARTS, ..., d] int64, the highest parts first; of up to 2^32 rows.
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, IndexArray

PARTS, BITS = 4, 30


def exponents(largest: FloatArray) -> IndexArray:
    """[d] the powers of two above entries of at most this size [d]."""
    return np.frexp(largest)[1].astype(np.int64)


def digits(values: FloatArray, above: IndexArray) -> IndexArray:
    """[PARTS, k, d] the parts of values [k, d] below 2^above [d]."""
    found = np.empty((PARTS, *values.shape), np.int64)
    left = np.ldexp(values.astype(np.float64), BITS - above)
    for part in found:
        whole = np.trunc(left)
        part[...] = whole
        left = np.ldexp(left - whole, BITS)
    return found


def mean(sums: IndexArray, counts: IndexArray, above: IndexArray) -> FloatArray:
    """[..., d] float64 means of as many rows as `counts` [..., 1], whose sums [PARTS, ..., d] these are."""
    means: FloatArray = np.zeros(sums.shape[1:])
    for part in carried(sums)[::-1]:
        means = np.ldexp(means, -BITS) + part / counts
    return np.ldexp(means, above - BITS)


def carried(sums: IndexArray) -> IndexArray:
    """The same sums, no part but the highest above half a unit of the next: so that none cancels another."""
    found = sums.copy()
    for low in range(PARTS - 1, 0, -1):
        carry = (found[low] + (1 << (BITS - 1))) >> BITS
        found[low] -= carry << BITS
        found[low - 1] += carry
    return found
