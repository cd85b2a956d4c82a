"""Full: the whole pool, to compare a coreset against.

Target     not read.
Cost       O(N).
Source     none: what a coreset stands in for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.types import ByClass, Coreset, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Full:
    """Every row. Deterministic; its budget is "all".

    Args:
        by_class: accepted like everywhere; changes nothing but the report.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset()
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        Raises:
            InvalidInput: a budget other than the pool's size.
        """
        if budget != problem.pool_size:
            raise InvalidInput(
                f"selector full takes the whole pool of {problem.pool_size} rows, and the budget is "
                f"{budget}: set budget=all."
            )
        return Coreset(np.arange(budget), budget, budget, {"warnings": []})
