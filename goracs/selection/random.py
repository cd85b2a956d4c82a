"""Random: uniform without replacement. Strong everywhere, so it stands in every table.

Target     not read.
Cost       O(N).
Source     none: what every method is measured against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.types import ByClass, Coreset, SelectionProblem


@dataclass(frozen=True)
class Random:
    """A uniformly drawn coreset.

    Args:
        by_class: drawn in each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset()
    seeded: ClassVar[bool] = True

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`."""
        rows = rng.choice(problem.pool_size, budget, replace=False)
        return Coreset(rows, budget, problem.pool_size, {"warnings": []})
