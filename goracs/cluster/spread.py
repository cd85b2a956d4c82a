"""A problem's features laid out for workers, and the passes that they make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from goracs.cluster.crew import Crew, Hands
from goracs.cluster.in_parts import InParts
from goracs.cluster.questions import Largest
from goracs.cluster.sharded import Sharded
from goracs.cluster.shards import Plan, Shard, cut, lay_out, lay_out_rows
from goracs.ot.part import whole
from goracs.ot.pool import Streamed
from goracs.types import FloatArray, IndexArray


@dataclass(eq=False)
class Joined:
    """`goracs.types.Spread` of the workers that `hands` brings.

    `folder` is one that they see; features are cut into `shards` for each of them.
    """

    hands: Callable[[], Hands]
    folder: Path
    shards: int
    pools: int = 0
    last: FloatArray = field(
        default_factory=lambda: np.empty((0, 0))
    )  # written last; kept, lest others lie there
    files: list[tuple[Path, int]] = field(default_factory=list)

    def largest_distance(self, features: FloatArray, target: FloatArray) -> float:
        """As `goracs.ot.distance.largest_distance`, by one pass."""
        size = len(features)
        sharded = self.pool(Streamed(features, target, np.arange(size), np.zeros(size), 1.0))
        return float(max(found for _, found in sharded.crew.passed(Largest)))

    def pool(self, streamed: Streamed) -> Sharded:
        """The same pool in shards."""

        def lay(folder: Path, plan: Plan) -> None:
            lay_out(folder, replace(plan, scale=streamed.scale), streamed)

        return Sharded(streamed, self._crew(streamed.features, lay))

    def passes(self, features: FloatArray, order: IndexArray) -> InParts:
        """The rows in that order, in shards."""
        crew = self._crew(features, lambda folder, plan: lay_out_rows(folder, plan, order))
        return InParts(whole(features, order), crew)

    def _crew(self, features: FloatArray, lay: Callable[[Path, Plan], None]) -> Crew:
        hands = self.hands()
        shards = self._shards(features, self.shards * hands.count)
        self.pools += 1
        folder = self.folder / f"pool-{self.pools}"
        folder.mkdir()
        lay(folder, Plan(shards, features.shape[1], features.dtype.str, 1.0))
        return Crew(hands, str(folder), len(shards))

    def _shards(self, features: FloatArray, count: int) -> tuple[Shard, ...]:
        if (file := stored(features)) is not None:
            return cut([(file, len(features))], count)
        if features.__array_interface__ != self.last.__array_interface__:
            self.last, self.files = features, self._write(features, count)
        return cut(self.files, len(self.files))

    def _write(self, features: FloatArray, count: int) -> list[tuple[Path, int]]:
        """A file for each shard; those of features that nobody asks for any more go."""
        for file, _ in self.files:
            file.unlink()
        size, files = -(-len(features) // count), list[tuple[Path, int]]()
        for start in range(0, len(features), size):
            file, part = self.folder / f"{self.pools}-{len(files):05}.npy", features[start : start + size]
            np.save(file, part)
            files.append((file, len(part)))
        return files


def stored(features: FloatArray) -> Path | None:
    """The .npy file of which an array is the whole, memory-mapped to be read; or None."""
    held: Any = features
    while held is not None and not isinstance(held, np.memmap):
        held = getattr(held, "base", None)
    if held is None or held.mode != "r" or not str(held.filename).endswith(".npy"):
        return None
    file = Path(str(held.filename))
    whole = np.load(file, mmap_mode="r")
    begins = features.__array_interface__["data"][0] == held.__array_interface__["data"][0]
    same = (whole.shape, whole.strides, whole.dtype) == (features.shape, features.strides, features.dtype)
    return file if begins and same and whole.offset == held.offset else None
