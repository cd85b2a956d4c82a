"""A draw that spreads its budget over groups of rows as evenly as their sizes allow.

Rule       the smallest group first: each gets min(size, floor(rest / groups left)), drawn uniformly. So a
           small group is taken whole, and what it leaves free goes to the larger ones.
Source     Zheng et al. (ICLR 2023), Algorithm 1; the draw of DEALRec (SIGIR 2024) is the same.
"""

from __future__ import annotations

import numpy as np

from goracs.types import IndexArray


def budgets(sizes: IndexArray, budget: int) -> IndexArray:
    """How many rows each group gives.

    Args:
        sizes: [K] int64, >= 0; rows in each group.
        budget: n, 0..sum of the sizes.

    Returns:
        [K] int64; n in all, never more than a group has; of equal groups a later one gets what is left over.
    """
    given, rest = np.zeros(len(sizes), np.int64), budget
    for done, group in enumerate(np.argsort(sizes, kind="stable")):
        given[group] = min(sizes[group], rest // (len(sizes) - done))
        rest -= given[group]
    return given


def draw(of: IndexArray, budget: int, rng: np.random.Generator) -> IndexArray:
    """Distinct positions [n] int64 in 0..M-1, spread over the groups.

    Args:
        of: [M] int64; the group of each row.
        budget: n, 1..M.
        rng: what draws.
    """
    _, sizes = np.unique(of, return_counts=True)
    groups = np.split(np.argsort(of, kind="stable"), np.cumsum(sizes)[:-1])
    taken = zip(groups, budgets(sizes, budget), strict=True)
    return np.concatenate([rng.choice(group, share, replace=False) for group, share in taken])
