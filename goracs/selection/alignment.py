"""How pool rows align with what validation asks for: the part that methods on gradients share.

Tasks      `all`: validation is one task; `user`: each validation user is one; `row`: each row.
Numbers    inner products in float64 by plain sums, in canonical order, a block of rows at a time: neither the
           order of the pool, nor the number of threads, nor the size of a block moves one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem

Per = Literal["all", "user", "row"]
BLOCK_BYTES = 32 * 2**20  # of the rows of one block


def both_sides(problem: SelectionProblem, name: str, reader: str) -> tuple[FloatArray, FloatArray]:
    """A score of pool [N, k] and validation [m, k].

    Raises:
        InvalidInput: a side without it, of another shape, or with numbers whose squares overflow float64.
    """
    pool, target = problem.score(name, reader), problem.target_score(name, reader)
    if pool.ndim != 2 or target.ndim != 2 or pool.shape[1] != target.shape[1] or not pool.shape[1]:
        raise InvalidInput(
            f"{reader} needs the score '{name}' as [rows, k], one k >= 1 for pool and validation set, got "
            f"shapes {pool.shape} and {target.shape}."
        )
    with np.errstate(over="ignore"):
        squares = (
            4 * np.float64(max(np.abs(pool).max(), np.abs(target).max())) ** 2 * (pool.size + target.size)
        )
    if not np.isfinite(squares):
        raise InvalidInput(f"{reader}: squares of the score '{name}' overflow float64: rescale it.")
    return pool, target


def task_means(problem: SelectionProblem, target: FloatArray, per: Per, reader: str) -> FloatArray:
    """[T, k] float64: the mean of the validation rows [m, k] of each task.

    Raises:
        InvalidInput: another `per`; tasks by user where no user is known.
    """
    if per not in get_args(Per):
        raise InvalidInput(f"{reader}: per must be one of {', '.join(get_args(Per))}, got {per!r}.")
    rows = target.astype(np.float64)
    if per == "all":
        return np.asarray(rows.mean(axis=0, keepdims=True))
    if per == "row":
        return rows
    if problem.target_users is None:
        raise InvalidInput(f"{reader} with per=user needs target_users; or take per=all.")
    users = problem.target_users
    return np.stack([rows[users == user].mean(axis=0) for user in np.unique(users)])


def products(pool: FloatArray, order: IndexArray, vectors: FloatArray) -> Iterator[FloatArray]:
    """[B, T] float64 inner products of pool rows [N, k], taken in that order, with vectors [T, k]."""
    size = max(1, BLOCK_BYTES // (8 * max(pool.shape[1], len(vectors))))
    for start in range(0, len(order), size):
        yield np.einsum("ik,tk->it", pool[order[start : start + size]].astype(np.float64), vectors)


def best_aligned(pool: FloatArray, order: IndexArray, vectors: FloatArray) -> FloatArray:
    """[N] float64: of each pool row, in that order, the largest of its products with the vectors."""
    return np.concatenate([block.max(axis=1) for block in products(pool, order, vectors)])


def largest(score: FloatArray, count: int) -> IndexArray:
    """[count] places of the largest scores, ties to the smaller place."""
    return np.argsort(-score, kind="stable")[:count]


def untold(alignment: FloatArray) -> list[str]:
    """What to tell where all rows [N] align alike; nothing where they do not."""
    if alignment.min() < alignment.max():
        return []
    return ["all rows align with validation alike: the first in canonical order are kept."]
