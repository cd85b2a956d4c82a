"""A pool in shards on a shared file system: how it is laid out in a folder, and how a worker opens one.

Folder     plan.json (the shards) and place.npy [N] int64, the row of the pool that each stored row is; of a
           pool with costs target.npy [m, d] and offset.npy [N] float64, as in `goracs.ot.pool.Streamed`,
           of one without order.npy [N] int64, the stored row of each row.
Features   lie where they lie, as .npy files, and are memory-mapped; only arrays without a file are written.
Nothing    is told to a worker but the folder and a number: one that is started anew opens the shard again.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from goracs.ot.part import Part
from goracs.ot.pool import Streamed
from goracs.search.lazily import Lazy
from goracs.types import FloatArray, IndexArray, InvalidInput

PLAN, TARGET, PLACE, OFFSET, ORDER = "plan.json", "target.npy", "place.npy", "offset.npy", "order.npy"


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `stop` of a file of `rows`, which are the stored rows from `first` on."""

    file: str
    rows: int
    start: int
    stop: int
    first: int

    @property
    def part(self) -> slice:
        """Of the stored rows."""
        return slice(self.first, self.first + self.stop - self.start)


@dataclass(frozen=True)
class Plan:
    """The shards of a pool of `width` columns of type `dtype`, and what distances are divided by in costs."""

    shards: tuple[Shard, ...]
    width: int
    dtype: str
    scale: float


@dataclass(eq=False)
class Held:
    """A shard that is open.

    Args:
        folder: where its pool is laid out.
        plan: of the pool.
        number: of the shard.
        features: [k, d]; memory-mapped.
        order: [k] int64; the stored row of each row, in the pool's order.
        rows: [k] int64; the row of the pool that each of them is; ascending.
        lazy: the keys of the start that was asked for last, by its name.
    """

    folder: Path
    plan: Plan
    number: int
    features: FloatArray
    order: IndexArray
    rows: IndexArray
    lazy: dict[str, Lazy] = field(default_factory=dict)

    @cached_property
    def pool(self) -> Streamed:
        """Its rows with their costs, in the pool's order."""
        target = np.load(_seen(self.folder / TARGET))
        offset = np.load(_seen(self.folder / OFFSET), mmap_mode="r")[self.plan.shards[self.number].part]
        return Streamed(self.features, target, self.order, offset, self.plan.scale)

    @cached_property
    def part(self) -> Part:
        """Its rows without."""
        return Part(self.features, self.order, self.rows, self._read)

    def _read(self, rows: IndexArray) -> FloatArray:
        """[k, d] the features of any rows of the pool."""
        stored = np.load(_seen(self.folder / ORDER), mmap_mode="r")[rows]
        first = [shard.first for shard in self.plan.shards]
        number = np.searchsorted(first, stored, side="right") - 1
        found = np.empty((len(rows), self.plan.width), self.plan.dtype)
        for one in np.unique(number):
            there = number == one
            found[there] = _features(self.plan.shards[one], self.plan)[stored[there] - first[one]]
        return found


def cut(files: Sequence[tuple[Path, int]], count: int) -> tuple[Shard, ...]:
    """About `count` shards of files of so many rows each; none reaches over the end of a file."""
    size, found, first = max(1, -(-sum(rows for _, rows in files) // count)), list[Shard](), 0
    for file, rows in files:
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            found.append(Shard(str(file), rows, start, stop, first))
            first += stop - start
    return tuple(found)


def lay_out(folder: Path, plan: Plan, streamed: Streamed) -> None:
    """Write all that a worker needs of a pool with costs, the features' files apart."""
    _lay_out(folder, plan, streamed.order, {TARGET: streamed.target, OFFSET: streamed.offset})


def lay_out_rows(folder: Path, plan: Plan, order: IndexArray) -> None:
    """The same of a pool without, of which `order` [N] are the stored rows."""
    _lay_out(folder, plan, order, {ORDER: order})


def _lay_out(folder: Path, plan: Plan, order: IndexArray, arrays: Mapping[str, Any]) -> None:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for name, values in {PLACE: place, **arrays}.items():
        np.save(folder / name, values)
    (folder / PLAN).write_text(json.dumps(asdict(plan)))


def read_plan(folder: Path) -> Plan:
    """The plan that lies in a folder."""
    told = json.loads(_seen(folder / PLAN).read_text())
    return Plan(**{**told, "shards": tuple(Shard(**shard) for shard in told["shards"])})


def open_shard(folder: Path, number: int) -> Held:
    """One shard of the pool that is laid out in a folder.

    Raises:
        InvalidInput: a file that this machine does not see, or that is not what the plan says.
    """
    plan = read_plan(folder)
    shard = plan.shards[number]
    features = _features(shard, plan)
    place = np.load(_seen(folder / PLACE), mmap_mode="r")[shard.part]
    order = np.argsort(place)
    return Held(folder, plan, number, features, order, np.asarray(place[order]))


def _features(shard: Shard, plan: Plan) -> FloatArray:
    """The rows of a shard, memory-mapped."""
    try:
        whole: FloatArray = np.load(_seen(Path(shard.file)), mmap_mode="r")
    except ValueError as error:  # shorter than its own header says, or no such file at all
        raise InvalidInput(
            f"the shard {shard.file} cannot be read on {platform.node()} ({error}): it was shortened or "
            "written over; make it again."
        ) from error
    if (whole.shape, whole.dtype.str) != ((shard.rows, plan.width), plan.dtype):
        raise InvalidInput(
            f"the shard {shard.file} holds {whole.dtype.str} of shape {whole.shape} on {platform.node()}, "
            f"and the pool has {plan.dtype} of shape ({shard.rows}, {plan.width}) there: it was written "
            "over; make it again."
        )
    return whole[shard.start : shard.stop]


def _seen(file: Path) -> Path:
    if not file.exists():
        raise InvalidInput(
            f"the machine {platform.node()} does not see {file}: features and cluster.folder must lie on a "
            "file system that all machines of the cluster have under the same path."
        )
    return file
