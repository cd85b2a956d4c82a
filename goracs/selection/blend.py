"""Blend: two scores, each brought to [0, 1], added with a weight; keep the largest sums.

Objective  first / [0, 1] + weight * second / [0, 1].
Target     not read.
Cost       O(N log N).
Source     as DEALRec (SIGIR 2024) adds its two scores, by min-max.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from goracs.selection.scores import ascending, constant_warnings, numbers, width
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Blend:
    """The rows of largest weighted sum of two scores; ties go by the canonical order. Deterministic.

    Args:
        first: a score, one number a row.
        second: another.
        weight: of the second, any finite number; a negative one asks for small values of it.
        scale: minmax: 0 is the smallest and 1 the largest value; rank: their ranks, ties the mean of theirs.
        by_class: scaled and kept within each class.
    """

    first: str
    second: str
    weight: float
    scale: Literal["minmax", "rank"]
    by_class: ByClass

    @property
    def needs(self) -> frozenset[str]:
        """Both scores."""
        return frozenset({self.first, self.second})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has `smallest_kept` and `correlation`.

        The one is a sum, the other that of the two scaled scores, None where one is constant.

        Raises:
            InvalidInput: a field outside its range, no such score, or more than one number for a row.
        """
        self._checked()
        first, second = (numbers(problem, name, "selector blend") for name in (self.first, self.second))
        scaled = rescaled(first, self.scale), rescaled(second, self.scale)
        values = scaled[0] + self.weight * scaled[1]
        rows = ascending(problem, -values)[:budget]
        vary = first.min() < first.max() and second.min() < second.max()
        report = {
            "smallest_kept": float(values[rows[-1]]),
            "correlation": float(np.corrcoef(*scaled)[0, 1]) if vary else None,
            "warnings": constant_warnings(self.first, first) + constant_warnings(self.second, second),
        }
        return Coreset(rows, budget, problem.pool_size, report)

    def _checked(self) -> None:
        number = isinstance(self.weight, (int, float)) and not isinstance(self.weight, bool)
        if not number or not np.isfinite(self.weight):
            raise InvalidInput(f"selector blend: weight must be a finite number, got {self.weight!r}.")
        if self.scale not in ("minmax", "rank"):
            raise InvalidInput(f"selector blend: scale must be minmax or rank, got {self.scale!r}.")


def rescaled(values: FloatArray, scale: str) -> FloatArray:
    """[N] float64 in [0, 1]; equal values are all 0.

    Raises:
        InvalidInput: values that span more than float64 holds.
    """
    from scipy.stats import rankdata

    if scale == "rank":
        values = rankdata(values)
    span = width(values)
    return (values - values.min()) / span if span else np.zeros(len(values))
