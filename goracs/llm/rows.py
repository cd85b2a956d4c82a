"""Numbers of many examples from one job, in files that an interrupted job goes on from.

Files   folder/<side>_<name>.npy, float32 [count, ...], memory-mapped, and folder/<side>.json: of which job
        they are, and how many of its batches are in them.
Law     a batch counts once its rows are on disk: the arrays are flushed, then the note of the count is
        replaced by one rename. So a job that is killed at any moment goes on from whole batches, and since
        batches do not touch each other it ends with the arrays of an undisturbed one, byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from goracs.data.tokens import batches
from goracs.llm.batch import Texts
from goracs.llm.jobs import Batches, Job, predict, refuse_non_finite
from goracs.types import GoracsError

log = logging.getLogger("goracs")


class RowWriter(BasePredictionWriter):
    """Writes what a job predicts, (rows, {name: values}) per batch, and keeps count of the batches.

    Args:
        folder: where the files are, or an interrupted job left them.
        side: the first part of their names.
        shapes: of each array by name.
        job: anything that tells this job from others that could have left files there.
        every: seconds between two counts.
    """

    def __init__(
        self, folder: Path, side: str, shapes: Mapping[str, tuple[int, ...]], job: str, every: float
    ) -> None:
        super().__init__(write_interval="batch")
        folder.mkdir(exist_ok=True)
        self.note, self.job, self.every = folder / f"{side}.json", job, every
        files = {folder / f"{side}_{name}.npy": shape for name, shape in shapes.items()}
        self.done = self._noted() if all(file.exists() for file in files) else 0
        if not self.done:
            self.note.unlink(missing_ok=True)  # before the arrays that it tells of are emptied
        arrays = [_mapped(file, None if self.done else shape) for file, shape in files.items()]
        self.arrays, self.kept_at = dict(zip(shapes, arrays, strict=True)), time.monotonic()

    def write_on_batch_end(self, _trainer: Any, _module: Any, prediction: Any, *_: Any) -> None:
        """Store the values of one batch at their rows."""
        rows, values = prediction
        for name, value in values.items():
            self.arrays[name][rows.cpu().numpy()] = value.float().cpu().numpy()
        self.done += 1
        if time.monotonic() - self.kept_at >= self.every:
            self.keep()

    def keep(self) -> None:
        """Bring the arrays to the disk, then the count of the batches in them."""
        for array in self.arrays.values():
            array.flush()
        partial = self.note.with_suffix(".partial")
        with partial.open("w") as file:
            file.write(json.dumps({"job": self.job, "batches": self.done}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.note)
        self.kept_at = time.monotonic()

    def refuse_non_finite(self, what: str) -> None:
        """Raise GoracsError naming the rows of `what` that are not finite; then nothing is kept of them."""
        try:
            for name, array in self.arrays.items():
                refuse_non_finite(array, f"The {name.replace('_', ' ')} of {what}")
        except GoracsError:
            for file in (self.note, *(Path(array.filename) for array in self.arrays.values())):
                file.unlink()
            if not any(self.note.parent.iterdir()):
                self.note.parent.rmdir()
            raise

    def _noted(self) -> int:
        if not self.note.exists():
            return 0
        noted = json.loads(self.note.read_text())
        return int(noted["batches"]) if noted["job"] == self.job else 0


def fill(
    module: pl.LightningModule,
    texts: Texts,
    shapes: Mapping[str, tuple[int, ...]],
    job: Job,
    folder: Path,
    side: str,
) -> None:
    """Write folder/<side>_<name>.npy, float32 [len(texts), *shape], of what a module predicts of texts.

    What an interrupted call left in the folder is not predicted again.

    Raises:
        GoracsError: a number is not finite; the rows are named.
    """
    groups = batches(texts.lengths, job.batch_tokens)
    whole = {name: (len(texts), *shape) for name, shape in shapes.items()}
    writer = RowWriter(folder, side, whole, _name(texts, whole, job), job.runtime.keep_every)
    if writer.done:
        rows = sum(map(len, groups[: writer.done]))
        log.info("  %s: going on after %s of %s examples", job.name, f"{rows:,}", f"{len(texts):,}")
    try:
        if writer.done < len(groups):
            predict(module, Batches(texts, groups[writer.done :]), job, writer)
    finally:
        writer.keep()
    writer.refuse_non_finite(f"{side} examples")


def _name(texts: Texts, shapes: Mapping[str, tuple[int, ...]], job: Job) -> str:
    """A digest of what the batches of a job and its arrays follow from."""
    parts = [texts.lengths.tolist(), job.batch_tokens, sorted(shapes.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _mapped(file: Path, shape: tuple[int, ...] | None) -> Any:
    """An array on disk: the one that is there, or one of the given shape."""
    if shape is None:
        return np.lib.format.open_memmap(file, mode="r+")
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    array[:] = np.nan  # a row that nobody writes is found by refuse_non_finite
    return array
