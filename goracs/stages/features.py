"""What distances are taken on: a representation of pool and validation set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goracs.features.representation import Representation, Seen
from goracs.stages.common import SIDES, examples, labels, spec
from goracs.store import Stage
from goracs.types import FloatArray

EMBEDDING = "embedding"  # the one array that comes from the encoder


def stage(inputs: Mapping[str, Stage], features: Representation) -> Stage:
    """pool.npy [N, d] and target.npy [m, d], float32.

    Args:
        inputs: prepare, and embed or score where the representation needs them.
        features: how to represent.
    """

    def build(folder: Path, found: Mapping[str, Path]) -> None:
        sides = {side: examples(found, part) for side, part in SIDES.items()}
        marked = labels(sides["pool"]), labels(sides["target"])
        arrays = {name: _arrays(found, name) for name in features.needs}
        known = None if marked[0] is None or marked[1] is None else (marked[0], marked[1])
        seen = Seen(arrays, known, lambda: (sides["pool"], sides["target"]))
        for side, matrix in zip(SIDES, features.represent(seen), strict=True):
            np.save(folder / f"{side}.npy", matrix)

    return Stage("features", 1, {"features": spec(features)}, dict(inputs), build)


def _arrays(found: Mapping[str, Path], name: str) -> tuple[FloatArray, FloatArray]:
    place = found["embed" if name == EMBEDDING else "score"]
    pool, target = (np.load(place / f"{side}_{name}.npy", mmap_mode="r") for side in SIDES)
    return pool, target


def scores_of(features: Representation) -> frozenset[str]:
    """The names of the scores that a representation is made of."""
    needs: frozenset[Any] = features.needs
    return needs - {EMBEDDING}
