"""Numbers of many examples from one job, in files that an interrupted job goes on from.

Files   folder/<side>_<name>.npy, float32 [count, ...], memory-mapped, and folder/<side>.json: of which job
        they are, how many of its batches are in them, and a digest of these batches' values.
Parts   a pass may be cut into several, which ranks or workers write into the same arrays, each with a note of
        its own. An interrupted pass keeps its parts, unless there are fewer than who is to share them.
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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from goracs.data.tokens import batches
from goracs.llm.batch import Texts
from goracs.llm.jobs import Batches, Job, predict_own, refuse_non_finite
from goracs.llm.ranks import here
from goracs.types import ROWS, GoracsError, IndexArray

log = logging.getLogger("goracs")


@dataclass(frozen=True)
class Pass:
    """What a module predicts of texts: folder/<side>_<name>.npy, float32 [len(texts), *shape] for each name.

    What an interrupted call left in the folder is not predicted again.
    """

    module: pl.LightningModule
    texts: Texts
    shapes: Mapping[str, tuple[int, ...]]
    job: Job
    folder: Path
    side: str

    @cached_property
    def groups(self) -> list[IndexArray]:
        """The rows of each batch."""
        return batches(self.texts.lengths, self.job.batch_tokens)

    @cached_property
    def whole(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array by name."""
        return {name: (len(self.texts), *shape) for name, shape in self.shapes.items()}

    @cached_property
    def name(self) -> str:
        """A digest of what the batches and the arrays follow from."""
        lengths, found = self.texts.lengths, hashlib.sha256(b"[[")
        for start in range(0, len(lengths), ROWS):  # the JSON of all, of which a list takes 40 bytes a row
            some = json.dumps(lengths[start : start + ROWS].tolist())[1:-1]
            found.update(f"{', ' if start else ''}{some}".encode())
        found.update(f"], {json.dumps([self.job.batch_tokens, sorted(self.whole.items())])[1:]}".encode())
        return found.hexdigest()

    def file(self, name: str) -> Path:
        """Of an array."""
        return self.folder / f"{self.side}_{name}.npy"

    @property
    def files(self) -> dict[Path, tuple[int, ...]]:
        """Those of all arrays, with their shapes."""
        return {self.file(name): shape for name, shape in self.whole.items()}

    def note(self, number: int, parts: int) -> Path:
        """Of one of so many parts."""
        return self.folder / (f"{self.side}.json" if parts == 1 else f"{self.side}.{number}of{parts}.json")

    @property
    def notes(self) -> list[Path]:
        """All that are there, of whatever job."""
        return sorted(self.folder.glob(f"{self.side}.*json"))

    def part(self, number: int, parts: int) -> list[IndexArray]:
        """Its batches."""
        return self.groups[number::parts]


class RowWriter(BasePredictionWriter):
    """Writes what is predicted of a part of a pass, (rows, {name: values}) per batch, and counts the batches.

    The arrays are there (`make`).
    """

    def __init__(self, one: Pass, number: int, parts: int) -> None:
        super().__init__(write_interval="batch")
        self.note, self.job, self.every = one.note(number, parts), one.name, one.job.runtime.keep_every
        self.groups, self.kept_at = one.part(number, parts), time.monotonic()
        self.arrays = {name: np.lib.format.open_memmap(one.file(name), mode="r+") for name in one.whole}
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
        _write_note(self.note, self.job, self.done, self.digest.hexdigest())
        self.kept_at = time.monotonic()

    def _taken_up(self) -> tuple[int, Any]:
        """How many batches are there as they were noted, and the digest of their values."""
        noted, found = _noted(self.note, self.job), hashlib.sha256()
        if noted is None:
            return 0, found
        for group in self.groups[: int(noted["batches"])]:
            self._add(found, group)
        if found.hexdigest() == noted.get("digest"):
            return int(noted["batches"]), found
        _tell_anew(self.note, "is not what was written")
        return 0, hashlib.sha256()

    def _add(self, found: Any, group: IndexArray) -> None:
        for name in sorted(self.arrays):
            found.update(self.arrays[name][group].tobytes())


def fill(one: Pass) -> None:
    """Make a pass, of several ranks each with its share.

    Raises:
        GoracsError: a number is not finite; the rows are named.
    """
    if here().first:
        make(one, here().count, here().count)
    here().meet()
    parts = parts_there(one)
    for number in here().share(range(parts)):
        write(one, number, parts)
    one.job.agree()
    if here().first:
        refuse_unwritten(one)
    here().meet()


def make(one: Pass, least: int, asked: int) -> int:
    """See that the arrays of a pass are there; into how many parts it is cut.

    Into those of an interrupted one, where these are at least `least` or all of it is there; else it begins
    anew, in `asked` parts.
    """
    parts = parts_there(one)
    done = _rows_noted(one, parts)
    if parts < least and not (parts and done == len(one.texts)):
        one.folder.mkdir(exist_ok=True)
        for note in one.notes:
            note.unlink()  # before the arrays that it tells of are emptied
        for file, shape in one.files.items():
            _make(file, shape)
        _write_note(one.note(0, asked), one.name, 0, hashlib.sha256().hexdigest())
        return asked
    if done:
        log.info("  %s: going on after %s of %s examples", one.job.name, f"{done:,}", f"{len(one.texts):,}")
    return parts


def parts_there(one: Pass) -> int:
    """Into how many parts a pass is cut whose arrays are there; 0 where there is nothing to go on from."""
    if not all(_is_whole(file, shape) for file, shape in one.files.items()):
        return 0
    found = (note for note in one.notes if _noted(note, one.name))
    return next((int(note.stem.rpartition("of")[2]) if "." in note.stem else 1 for note in found), 0)


def write(one: Pass, number: int, parts: int) -> None:
    """Predict the batches of one of the parts of a pass, as far as they are not there."""
    writer = RowWriter(one, number, parts)
    try:
        predict_own(one.module, Batches(one.texts, writer.groups[writer.done :]), one.job, writer)
    finally:
        writer.keep()


def refuse_unwritten(one: Pass) -> None:
    """Raise GoracsError naming the rows that are not finite; then nothing is kept of the pass."""
    try:
        for name in one.whole:
            values = np.load(one.file(name), mmap_mode="r")
            refuse_non_finite(values, f"The {name.replace('_', ' ')} of {one.side} examples")
    except GoracsError:
        for file in (*one.notes, *one.files):
            file.unlink(missing_ok=True)
        if not any(one.folder.iterdir()):
            one.folder.rmdir()
        raise


def _rows_noted(one: Pass, parts: int) -> int:
    """How many rows are there, as the notes say."""
    noted = {number: _noted(one.note(number, parts), one.name) for number in range(parts)}
    there = {number: int(note["batches"]) for number, note in noted.items() if note}
    return sum(len(group) for number, done in there.items() for group in one.part(number, parts)[:done])


def _write_note(note: Path, job: str, done: int, digest: str) -> None:
    """Write how many batches of a job are there, and a digest of their values, at once or not at all."""
    partial = note.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(json.dumps({"job": job, "batches": done, "digest": digest}))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(note)


def _noted(note: Path, job: str) -> dict[str, Any] | None:
    """What a note says, if it is there and of this job."""
    if not note.exists():
        return None
    try:
        noted: dict[str, Any] = json.loads(note.read_text())
        ours = noted["job"] == job and int(noted["batches"]) >= 0
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        _tell_anew(note, f"cannot be read ({type(error).__name__}: {error})")
        return None
    return noted if ours else None


def _tell_anew(note: Path, why: str) -> None:
    log.warning("  what an interrupted run kept by %s %s: it starts anew", note, why)


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
