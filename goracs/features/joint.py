"""Two representations side by side, each divided by its mean distance: both have the same say.

Distance   sqrt(d1^2 / mean(d1)^2 + d2^2 / mean(d2)^2); means over pool x validation. One that is the same for
           all examples has no say at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.features.representation import Representation, Seen, Sides
from goracs.types import FloatArray

BLOCK = 1024  # pool rows at a time


@dataclass(frozen=True, kw_only=True)
class Joint(Representation):
    """Two in one.

    Args:
        first, second: representations, shaped by their own settings.
    """

    first: Representation
    second: Representation

    @property
    def needs(self) -> frozenset[str]:
        """What either needs."""
        return self.first.needs | self.second.needs

    def raw(self, seen: Seen) -> Sides:
        """Both sides, the columns of the first before those of the second."""
        parts = [self.first.represent(seen), self.second.represent(seen)]
        means = [mean_distance(*part) or 1.0 for part in parts]
        pool, target = (
            np.hstack([part[side].astype(np.float64) / mean for part, mean in zip(parts, means, strict=True)])
            for side in (0, 1)
        )
        return pool, target


def mean_distance(pool: FloatArray, target: FloatArray) -> float:
    """The mean Euclidean distance over pool [N, d] x target [m, d]."""
    from scipy.spatial.distance import cdist

    blocks = range(0, len(pool), BLOCK)
    return float(sum(cdist(pool[start : start + BLOCK], target).sum() for start in blocks)) / (
        len(pool) * len(target)
    )
