"""Stage 1: greedy facility location, the start of the exchanges.

Problem    min over S of (1/m) sum_j min_{i in S} C_ij: transport without the marginal of S, so a lower bound.
Rule       first the row of smallest mean cost, then always the row of largest gain. A picked row that is no
           longer the nearest of any column counts for nothing: it gives up its place, unless the whole pool
           cannot fill n places with nearest rows.
Source     GORACS (KDD 2025), Eq. 14, with the stopping rule of its code.
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, IndexArray


def greedy(costs: FloatArray, budget: int) -> IndexArray:
    """The rows that greedy descent of the relaxed transport picks.

    Args:
        costs: [N, m] float64; any unit.
        budget: n, 1..N.

    Returns:
        [n] int64 distinct rows in the order of picking. Ties, and picks that gain nothing, go to the first
        row left.

    Cost: at least n passes over [N, m].
    """
    enough = len(np.unique(costs.argmin(axis=0))) > budget
    kept = [int(costs.mean(axis=1).argmin())]
    nearest, owner = costs[kept[0]].copy(), np.full(costs.shape[1], kept[0])
    drop = np.empty(costs.shape)
    while len(kept) < budget:
        np.maximum(np.subtract(nearest, costs, out=drop), 0.0, out=drop)
        gains = drop.sum(axis=1)
        gains[kept] = -1.0
        kept.append(int(gains.argmax()))
        closer = costs[kept[-1]] < nearest
        nearest[closer], owner[closer] = costs[kept[-1]][closer], kept[-1]
        if enough and closer.any():
            kept = [row for row in kept if row in owner]
    return np.array(kept, dtype=np.int64)
