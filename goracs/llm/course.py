"""Numbers over the course of a warm-up: at each checkpoint, gradients weighted by the learning rate there.

Weights   of a checkpoint the mean learning rate of the steps since the one before, as a share of their sum.
Norm      the weighted mean of the norms.
Sketch    the sketches side by side, each times the root of its weight: an inner product of two rows is the
          weighted sum of those at each checkpoint.
Unit      the same of sketches that are divided by their norms at each checkpoint: the inner product of two
          rows is the weighted sum of their cosines, which is LESS's influence of one on the other.
Adam      with `score.adam` the pool's sketches are of Adam's steps at each checkpoint
          (`goracs.llm.adam`), the target's of gradients.
Dynamics  any other number at each checkpoint, side by side, the earliest first; no weights.
Source    LESS (Xia et al. 2024), its influence over checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goracs.features.representation import unit
from goracs.types import FloatArray, InvalidInput


def weighted_checkpoints(warmed: Path) -> list[tuple[Path, float]]:
    """The checkpoints in the folder of a warm-up, earliest first, with their weights; the last is its end.

    Raises:
        InvalidInput: it left no more than its end.
    """
    steps = sorted(int(place.name) for place in (warmed / "checkpoints").iterdir())
    if len(steps) < 2:
        raise InvalidInput(
            "score.course=true and training dynamics follow the warm-up, which left its end alone: it has "
            "too few steps for adapter.checkpoints."
        )
    rates = [row["lr"] for row in json.loads((warmed / "curve.json").read_text())]
    means = [float(np.mean(rates[before:step])) for before, step in zip([0, *steps], steps, strict=False)]
    return [
        (warmed / "checkpoints" / str(s), mean / sum(means)) for s, mean in zip(steps, means, strict=True)
    ]


def mean_norm(norms: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """[N] float32 of the norms [N] at each checkpoint."""
    return np.average(np.stack(norms), axis=0, weights=weights).astype(np.float32)


def joined_sketch(sketches: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """[N, k c] float32 of the sketches [N, k] at each of c checkpoints."""
    scaled = [sketch * np.float32(weight**0.5) for sketch, weight in zip(sketches, weights, strict=True)]
    return np.concatenate(scaled, axis=1)


def joined_unit_sketch(sketches: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """[N, k c] float32 of the directions of the sketches [N, k] at each of c checkpoints."""
    return joined_sketch([unit(sketch.astype(np.float64)) for sketch in sketches], weights).astype(np.float32)


def side_by_side(numbers: Sequence[FloatArray], _weights: Sequence[float]) -> FloatArray:
    """[N, c] float32 of a number [N] at each of c checkpoints."""
    return np.stack(numbers, axis=1)
