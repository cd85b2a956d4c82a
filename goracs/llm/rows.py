"""Numbers of many examples from one job, in files that an interrupted job goes on from.

Files   folder/<side>_<name>.npy, float32 [count, ...], memory-mapped, and folder/<side>.json: of which job
        they are, how many of its batches are in them, and a digest of these batches' values.
Ranks   several write their batches into the same arrays, each with a note of its own.
Law     a batch counts once its rows are on disk: the arrays are flushed, then the note of the count is
        replaced by one rename. So a job that is killed at any moment goes on from whole batches, and since
        batches do not touch each other it ends with the arrays of an undisturbed one, byte by byte.
Anew    what is not as it was written, or cannot be read, is told and not used.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from goracs.data.tokens import batches
from goracs.llm.batch import Texts
from goracs.llm.jobs import Batches, Job, predict_own, refuse_non_finite
from goracs.llm.ranks import here
from goracs.types import GoracsError, IndexArray

log = logging.getLogger("goracs")


class RowWriter(BasePredictionWriter):
    """Writes what a job predicts, (rows, {name: values}) per batch, and keeps count of the batches.

    Args:
        folder: where the files are, or an interrupted job left them.
        side: the first part of their names.
        shapes: of each array by name.
        groups: the rows of each batch.
        job: anything that tells this job from others that could have left files there.
        every: seconds between two counts.
    """

    def __init__(
        self,
        folder: Path,
        side: str,
        shapes: Mapping[str, tuple[int, ...]],
        groups: Sequence[IndexArray],
        job: str,
        every: float,
    ) -> None:
        super().__init__(write_interval="batch")
        folder.mkdir(exist_ok=True)
        self.notes = [folder / f"{side}{_of(rank, here().count)}.json" for rank in range(here().count)]
        self.note, self.job, self.every = self.notes[here().number], job, every
        self.groups, self.kept_at = groups, time.monotonic()
        files = {folder / f"{side}_{name}.npy": shape for name, shape in shapes.items()}
        there = all(_is_whole(file, shape) for file, shape in files.items())
        if here().first and not (there and any(map(self._noted, self.notes))):
            for note in folder.glob(f"{side}.*json"):
                note.unlink()  # before the arrays that it tells of are emptied
            for file, shape in files.items():
                _make(file, shape)
        here().meet()
        arrays = [np.lib.format.open_memmap(file, mode="r+") for file in files]
        self.arrays = dict(zip(shapes, arrays, strict=True))
        self.done, self.digest = self._taken_up()

    def write_on_batch_end(self, _trainer: Any, _module: Any, prediction: Any, *_: Any) -> None:
        """Store the values of one batch at their rows."""
        rows, values = prediction
        for name, value in values.items():
            self.arrays[name][rows.cpu().numpy()] = value.float().cpu().numpy()
        self._add(self.digest, self.groups[self.done])
        self.done += 1
        if time.monotonic() - self.kept_at >= self.every:
            self.keep()

    def keep(self) -> None:
        """Bring the arrays to the disk, then the count of the batches in them."""
        for array in self.arrays.values():
            array.flush()
        partial = self.note.with_suffix(".partial")
        with partial.open("w") as file:
            told = {"job": self.job, "batches": self.done, "digest": self.digest.hexdigest()}
            file.write(json.dumps(told))
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
            for file in (*self.notes, *(Path(str(array.filename)) for array in self.arrays.values())):
                file.unlink(missing_ok=True)
            if not any(self.note.parent.iterdir()):
                self.note.parent.rmdir()
            raise

    def _noted(self, note: Path) -> dict[str, Any] | None:
        """What a note of this job says, of at least one batch."""
        if not note.exists():
            return None
        try:
            noted: dict[str, Any] = json.loads(note.read_text())
            ours = noted["job"] == self.job and int(noted["batches"]) > 0
        except (ValueError, KeyError, TypeError) as error:
            self._tell_anew(f"cannot be read ({type(error).__name__}: {error})")
            return None
        return noted if ours else None

    def _taken_up(self) -> tuple[int, Any]:
        """How many batches are there as they were noted, and the digest of their values."""
        noted, found = self._noted(self.note), hashlib.sha256()
        if noted is None:
            return 0, found
        for group in self.groups[: int(noted["batches"])]:
            self._add(found, group)
        if found.hexdigest() == noted.get("digest"):
            return int(noted["batches"]), found
        self._tell_anew("is not what was written")
        return 0, hashlib.sha256()

    def _add(self, found: Any, group: IndexArray) -> None:
        for name in sorted(self.arrays):
            found.update(self.arrays[name][group].tobytes())

    def _tell_anew(self, why: str) -> None:
        log.warning("  what an interrupted run kept by %s %s: it starts anew", self.note, why)


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
    groups = here().share(batches(texts.lengths, job.batch_tokens))
    whole = {name: (len(texts), *shape) for name, shape in shapes.items()}
    writer = RowWriter(folder, side, whole, groups, _name(texts, whole, job), job.runtime.keep_every)
    if writer.done:
        rows = sum(map(len, groups[: writer.done]))
        of = sum(map(len, groups))
        log.info("  %s: going on after %s of %s examples", job.name, f"{rows:,}", f"{of:,}")
    try:
        predict_own(module, Batches(texts, groups[writer.done :]), job, writer)
    finally:
        writer.keep()
    job.agree()
    if here().first:
        writer.refuse_non_finite(f"{side} examples")
    here().meet()


def _name(texts: Texts, shapes: Mapping[str, tuple[int, ...]], job: Job) -> str:
    """A digest of what the batches of a job and its arrays follow from."""
    parts = [texts.lengths.tolist(), job.batch_tokens, sorted(shapes.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _of(rank: int, count: int) -> str:
    """What tells the notes of several ranks apart, and from those of another number of them."""
    return "" if count == 1 else f".{rank}of{count}"


def _is_whole(file: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file is an array of this shape; one that was cut numpy would fill up with zeros."""
    told = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(told, header)
    size = len(told.getvalue()) + 4 * math.prod(shape)
    if not file.exists() or file.stat().st_size != size:
        return False
    with file.open("rb") as opened:
        return opened.read(len(told.getvalue())) == told.getvalue()


def _make(file: Path, shape: tuple[int, ...]) -> None:
    """An array on disk; a row that nobody writes is found by refuse_non_finite.

    Raises:
        OSError: there is no room for it: without blocks of its own a mapped file ends the process there.
    """
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    array[:] = np.nan
    array.flush()
