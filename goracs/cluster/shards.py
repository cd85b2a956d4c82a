"""A pool in shards on a shared file system: how it is laid out in a folder, and how a worker opens one.

Folder     plan.json (the shards), target.npy [m, d], and of a pool with costs place.npy [N] int64, the row of
           the pool that each stored row is, and offset.npy [N] float64, as in `goracs.ot.pool.Streamed`.
Features   lie where they lie, as .npy files, and are memory-mapped; only arrays without a file are written.
Nothing    is told to a worker but the folder and a number: one that is started anew opens the shard again.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from goracs.ot.pool import Streamed
from goracs.search.lazily import Lazy
from goracs.types import FloatArray, IndexArray, InvalidInput

PLAN, TARGET, PLACE, OFFSET = "plan.json", "target.npy", "place.npy", "offset.npy"


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
    """The shards of a pool of `width` columns of type `dtype`, and what distances are divided by."""

    shards: tuple[Shard, ...]
    width: int
    dtype: str
    scale: float


@dataclass(eq=False)
class Held:
    """A shard that is open.

    Args:
        pool: its rows, in the pool's order.
        rows: [k] int64; the row of the pool that each of them is; ascending.
        lazy: the keys of the start that was asked for last, by its name.
    """

    pool: Streamed
    rows: IndexArray
    lazy: dict[str, Lazy] = field(default_factory=dict)


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
    """Write all that a worker needs of a pool, the features' files apart."""
    place = np.empty(streamed.size, np.int64)
    place[streamed.order] = np.arange(streamed.size)
    for name, values in ((TARGET, streamed.target), (PLACE, place), (OFFSET, streamed.offset)):
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
    target = np.load(_seen(folder / TARGET))
    place = np.load(_seen(folder / PLACE), mmap_mode="r")[shard.part]
    offset = np.load(_seen(folder / OFFSET), mmap_mode="r")[shard.part]
    order = np.argsort(place)
    return Held(Streamed(features, target, order, offset, plan.scale), np.asarray(place[order]))


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
