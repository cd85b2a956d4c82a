"""Scores of the pool, one number a row: read, put in order, measured. What methods share that go by them."""

from __future__ import annotations

import numpy as np

from goracs.search.canonical import canonical_order
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem


def numbers(problem: SelectionProblem, name: str, reader: str) -> FloatArray:
    """[N] float64; the pool's score `name`, for a method that `reader` names.

    Raises:
        InvalidInput: no such score, or more than one number for a row.
    """
    score = problem.score(name, reader)
    if score.ndim != 1:
        raise InvalidInput(
            f"the score '{name}' must be one number for each pool row, got shape {score.shape}."
        )
    return score.astype(np.float64)


def ascending(problem: SelectionProblem, values: FloatArray) -> IndexArray:
    """[N] int64; the pool's rows by their values [N], the smallest first; ties by the canonical order."""
    order = canonical_order(problem)
    return order[np.argsort(values[order], kind="stable")]


def width(values: FloatArray) -> float:
    """max - min.

    Raises:
        InvalidInput: more than float64 holds.
    """
    with np.errstate(over="ignore"):  # said below, in words
        found = float(values.max() - values.min())
    if not np.isfinite(found):
        raise InvalidInput(
            f"a score from {values.min()} to {values.max()} spans more than float64 holds: rescale it."
        )
    return found


def constant_warnings(name: str, values: FloatArray) -> list[str]:
    """What to tell of a score that is equal for all rows; nothing where it varies."""
    if values.min() < values.max():
        return []
    return [f"the score '{name}' is equal for all rows: it tells none from another."]
