"""MiniRec without its reward: rows whose gradient is like the pool's mean, and that are unlike each other.

Score      R_i = cos(g_i, mean_j g_j) over the pool, brought to [0, 1] by min-max; g the sketch of a gradient.
Picks      the first has the largest R; then always the row of largest R_i D_i / max D, with D_i the smallest
           cosine distance of the features of row i to those of a row chosen.
Here       sketches stand for the authors' Hessian-vector products at the last hidden state, which over two
           answers have but one direction, and its opposite. The cosines of a row of zeros are 0.
Not here   what they take from rewards: how learnable a row is, and an order of training from easy to hard.
Target     not read.
Cost       O(N k) once for sketches of k numbers, O(N d) a pick.
Golden     minirec.npz.
Source     Wang et al. (MiniRec, 2026, arXiv 2602.04278) and their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot.distance import refuse_no_columns
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

READER = "selector minirec"
ROUNDING = 1e-12  # of a cosine: what is less apart is alike


@dataclass(frozen=True)
class MiniRec:
    """The rows that max-min diversity picks by their score. Deterministic; ties by canonical order.

    Args:
        by_class: picked in each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features", "sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the `smallest_kept` and the `mean_kept` score.

        Raises:
            InvalidInput: embeddings without columns; no score `sketch` of k >= 1 numbers a row, or sums of
                sketches beyond float64.
        """
        refuse_no_columns(problem.features)
        sketches = problem.score("sketch", READER)
        if sketches.ndim != 2 or not sketches.shape[1]:
            raise InvalidInput(
                f"{READER} needs the score 'sketch' as [rows, k], k >= 1, got {sketches.shape}."
            )
        order = canonical_order(problem)
        score = representativeness(sketches[order].astype(np.float64))
        picked = diverse(directions(problem.features[order].astype(np.float64)), score, budget)
        kept = score[picked]
        report = {
            "smallest_kept": float(kept.min()),
            "mean_kept": float(kept.mean()),
            "warnings": [] if score.min() < 1 else ["all gradients are alike: distances alone decide."],
        }
        return Coreset(order[picked], budget, problem.pool_size, report)


def representativeness(sketches: FloatArray) -> FloatArray:
    """[N] in [0, 1]: how far each sketch [N, k] points along their mean; 1 where all do so alike.

    Raises:
        InvalidInput: sums of sketches beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # said below, in words
        mean = sketches.mean(axis=0, keepdims=True)
    if not np.isfinite(mean).all():
        raise InvalidInput(f"{READER}: sums of sketches overflow float64: rescale them.")
    cosines = np.einsum("ik,k->i", directions(sketches), directions(mean)[0])
    span = np.ptp(cosines)
    return np.asarray((cosines - cosines.min()) / span if span > ROUNDING else np.ones(len(cosines)))


def diverse(units: FloatArray, score: FloatArray, budget: int) -> IndexArray:
    """[n] rows in the order of picking.

    Args:
        units: [N, d] float64 directions.
        score: [N] float64, >= 0.
        budget: n, 1..N.
    """
    picked, free = np.empty(budget, np.int64), np.ones(len(score), np.bool_)
    away, worth = np.full(len(score), np.inf), score
    for place in range(budget):
        row = int(np.where(free, worth, -1.0).argmax())
        picked[place], free[row] = row, False
        np.minimum(away, np.maximum(1 - np.einsum("ik,k->i", units, units[row]), 0), out=away)
        away[row] = 0.0
        worth = score * (away / (away.max() or 1.0))
    return picked


def directions(values: FloatArray) -> FloatArray:
    """Rows [N, k] of length 1, but for rows of zeros, which stay."""
    peak = np.abs(values).max(axis=1, keepdims=True)
    units = values / np.where(peak > 0, peak, 1.0)  # so that no square overflows
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    return np.asarray(units / np.where(lengths > 0, lengths, 1.0))
