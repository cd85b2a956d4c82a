"""What one of several processes, the ranks, does of the work of a stage.

Work     each does the whole stage with its share of the batches (`Rank.share`), and they meet where all need
         what each has found (`gather`, `total`, `meet`).
Files    rank 0 writes to the stage's folder, the others beside it, to folders that are removed; the
         checkpoint is one for all.
Numbers  a batch is the same whoever reads it. A step's gradient is the sum of the ranks' parts.
Start    on one machine or several, by `goracs.llm.starter`; ranks whose starter is gone end themselves.
Source   SPMD over gloo; only LoRA's gradients travel, which are small.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import FileStore, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from goracs import memory, signals
from goracs.llm.settings import LIVE, Runtime
from goracs.types import GoracsError, IndexArray

Build = Callable[[Path, Mapping[str, Path]], None]
T = TypeVar("T")
LOGS = ("goracs", LIVE)
PATIENCE = timedelta(days=30)  # of a rank for the others: whether they live is the starter's to see
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
TERMINATED = 143  # the shell's code for a process ended by SIGTERM


@dataclass(frozen=True)
class Rank:
    """One of `count` processes that do the same stage, on its machine the one at `place`."""

    number: int
    count: int
    place: int

    def __str__(self) -> str:
        return f"rank {self.number} of {self.count}"

    @property
    def first(self) -> bool:
        """Whether it is the one that tells, and writes for all."""
        return self.number == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of items that the ranks have in the same order."""
        return items if self.count == 1 else items[self.number :: self.count]

    def part(self, rows: IndexArray) -> IndexArray:
        """Its part of some rows."""
        return rows[self.number :: self.count]

    def gather(self, found: Sequence[T]) -> list[T]:
        """What all ranks have found."""
        if self.count == 1:
            return list(found)
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, list(found))
        return [one for part in parts for one in part]

    def total(self, weights: Sequence[Tensor]) -> None:
        """Give each weight the sum of its gradients over the ranks."""
        if self.count == 1:
            return
        parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        whole = torch.cat([part.flatten().float() for part in parts]).cpu()
        dist.all_reduce(whole)
        summed = whole.split([part.numel() for part in parts])
        for weight, part in zip(weights, summed, strict=True):
            weight.grad = part.reshape(weight.shape).to(weight.device, weight.dtype)

    def agree(self, told: dict[str, int], name: str) -> None:
        """Give each rank the smallest value that any of them has told of a name, if one has."""
        if found := self.gather([told[name]] if name in told else []):
            told[name] = min(found)

    def meet(self) -> None:
        """Wait until all ranks are here."""
        if self.count > 1:
            dist.barrier()


_here = Rank(0, 1, 0)


def here() -> Rank:
    """This process."""
    return _here


def be(rank: Rank) -> None:
    """Have this process be that one."""
    global _here
    _here = rank


@dataclass(frozen=True)
class Address:
    """Where the ranks of several machines find each other: a name in a TCP store of torch."""

    host: str
    port: int
    name: str


@dataclass(frozen=True)
class Work:
    """What each rank is handed.

    `build` is the pickled stage with its inputs and the runtime, `folder` the stage's own; the ranks find
    each other by a file, or at an address.
    """

    build: bytes
    folder: Path
    meeting: Path | Address

    def of(self, number: int) -> Path:
        """The folder of a rank: with the same checkpoint beside it as the stage's own."""
        return self.folder if number == 0 else self.folder.with_suffix(f".rank{number}")


def live(work: Work, rank: Rank, mouth: Connection) -> None:
    """The life of a rank, in a process of its own; its starter hears how it ended by the exit code."""
    signals.end_with_the_starter()
    _speak(rank, mouth)
    try:
        build, inputs, runtime = cloudpickle.loads(work.build)
        _settle(rank, runtime)
        folder = work.of(rank.number)
        if not rank.first:
            folder.mkdir(exist_ok=True)
        store = _store(work.meeting, rank.count)
        dist.init_process_group("gloo", None, PATIENCE, rank.count, rank.number, store)
        be(rank)
        build(folder, inputs)
        rank.meet()
    except Exception as error:
        mouth.send(("end", _as_told(error, rank)))
        sys.exit(1)
    mouth.send(("peak", memory.peak_mb()))


def _store(meeting: Path | Address, count: int) -> Store:
    if isinstance(meeting, Path):
        store: Store = FileStore(str(meeting), count)
    else:
        store = PrefixStore(meeting.name, TCPStore(meeting.host, meeting.port))
    store.set_timeout(PATIENCE)
    return store


def _as_told(error: Exception, rank: Rank) -> tuple[BaseException, bool]:
    """A user's error as it is, one of ours with its course; and whether the others could be reached."""
    if isinstance(error, (GoracsError, OSError)):
        return error, True
    course = "".join(traceback.format_exception(error))
    return RuntimeError(f"{rank} failed:\n{course}"), "gloo" not in str(error)


def _settle(rank: Rank, runtime: Runtime) -> None:
    """One GPU for each rank, or a share of the CPU's threads."""
    if runtime.nodes == 1 and sys.platform in LOOPBACK:  # else by the machine's name, which nobody may know
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    if torch.cuda.is_available() and runtime.accelerator != "cpu":
        torch.cuda.set_device(rank.place)
    elif runtime.threads is None:
        torch.set_num_threads(max(1, torch.get_num_threads() // runtime.devices))


def _speak(rank: Rank, mouth: Any) -> None:
    """The first rank speaks for all; of the others only warnings are heard."""
    handler = _Mouth(mouth)
    for name in LOGS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if rank.first else logging.WARNING)


class _Mouth(QueueHandler):
    """Says log records to the starter."""

    def enqueue(self, record: logging.LogRecord) -> None:
        pipe: Any = self.queue
        pipe.send(("log", record))
