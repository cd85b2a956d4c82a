"""A draw that spreads its budget over groups of rows as evenly as their sizes allow.

Rule       the smallest group first: each gets min(size, floor(rest / groups left)), drawn uniformly. So a
           small group is taken whole, and what it leaves free goes to the larger ones.
Source     Zheng et al. (ICLR 2023), Algorithm 1; the draw of DEALRec (SIGIR 2024) is the same.
"""

from __future__ import annotations

import numpy as np

from goracs.types import IndexArray, InvalidInput


def without_hardest(hardest_first: IndexArray, beta: float, budget: int) -> tuple[IndexArray, int, list[str]]:
    """The rows that are left when a share of the hardest goes, ascending; how many went, and what to tell.

    Args:
        hardest_first: [N] int64; all rows.
        beta: the share that is to go, 0 <= beta < 1; never more than the budget leaves.
        budget: n, 1..N.

    Raises:
        InvalidInput: a share outside its range.
    """
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 <= beta < 1:
        raise InvalidInput(f"selector.beta must be a share, 0 <= beta < 1, got {beta!r}.")
    asked = int(beta * len(hardest_first))
    gone = min(asked, len(hardest_first) - budget)
    told = [f"{gone} of the {asked} hardest rows are left out: the budget takes the rest."]
    return np.sort(hardest_first[gone:]), gone, told if gone < asked else []


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
