"""Scores of the pool, one number a row: read, put in order, measured. What methods share that go by them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from goracs.search.canonical import canonical_order
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem

Keep = Literal["largest", "smallest", "middle"]


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


def matrix(problem: SelectionProblem, name: str, reader: str) -> FloatArray:
    """[N, k] the pool's score `name`, k >= 1, for a method that `reader` names.

    Raises:
        InvalidInput: no such score, or one of another shape.
    """
    score = problem.score(name, reader)
    if score.ndim != 2 or not score.shape[1]:
        raise InvalidInput(
            f"{reader} needs the score '{name}' as [rows, k], k >= 1, got shape {score.shape}."
        )
    return score


def dynamics(problem: SelectionProblem, name: str, reader: str, least: int) -> FloatArray:
    """[N, c] float64; the pool's score `name` at c checkpoints, the earliest first, for a method.

    Raises:
        InvalidInput: no such score, or fewer checkpoints than it takes at `least`.
    """
    score = problem.score(name, reader)
    if score.ndim != 2 or score.shape[1] < least:
        raise InvalidInput(
            f"{reader} takes the score '{name}' at {least} checkpoints at least, one column each, got shape "
            f"{score.shape}: raise adapter.checkpoints, which the warm-up needs as many steps for."
        )
    return score.astype(np.float64)


def losses(problem: SelectionProblem, name: str, reader: str, least: int) -> FloatArray:
    """[N, c] float64; `dynamics` of a score that is a loss.

    Raises:
        InvalidInput: as `dynamics`, or numbers below 0.
    """
    found = dynamics(problem, name, reader, least)
    if (found < 0).any():
        raise InvalidInput(f"{reader} takes chances, exp(-loss): the score '{name}' must be numbers >= 0.")
    return found


def ranked(problem: SelectionProblem, values: FloatArray, keep: Keep, budget: int, reader: str) -> IndexArray:
    """[n] int64; rows of neighbouring ranks of their values [N], ties by the canonical order.

    Raises:
        InvalidInput: another word for `keep`.
    """
    match keep:
        case "largest":
            return ascending(problem, -values)[:budget]
        case "smallest":
            return ascending(problem, values)[:budget]
        case "middle":
            below = (problem.pool_size - budget) // 2
            return ascending(problem, values)[below : below + budget]
    raise InvalidInput(f"{reader}: keep must be largest, smallest or middle, got {keep!r}.")


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
