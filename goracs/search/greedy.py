"""Greedy facility location with the stopping rule of the released code: the start of `goracs_released`.

Rule       rows as `goracs.search.starts.facility` picks them, until n of them are the nearest row of some
           column; those. If no more than n rows of the pool are nearest to anything, the first n picks.
Ties       can leave fewer than n nearest rows after all picks that gain, where the released code crashes:
           rows that gain nothing fill the places.
Source     GORACS (KDD 2025), Eq. 14, with the stopping rule of its code.
"""

from __future__ import annotations

import numpy as np

from goracs.search.starts import facility
from goracs.types import FloatArray, IndexArray


def greedy(costs: FloatArray, budget: int) -> IndexArray:
    """The rows that greedy descent of the relaxed transport picks.

    Args:
        costs: [N, m] float64; any unit.
        budget: n, 1..N.

    Returns:
        [n] int64 distinct rows in the order of picking. Ties, and picks that gain nothing, go to the first
        row left.
    """
    wanted, picked = budget, facility(costs, budget)
    if len(np.unique(costs.argmin(axis=0))) <= budget:
        return picked
    while True:
        near = np.unique(costs[picked].argmin(axis=0))
        if len(near) >= budget or wanted == len(costs):
            places = np.concatenate([near, np.setdiff1d(np.arange(wanted), near)])[:budget]
            kept: IndexArray = picked[np.sort(places)]
            return kept
        wanted = min(len(costs), wanted + budget - len(near))
        picked = facility(costs, wanted)
