"""The work of one stage done by several processes, the ranks, on as many devices.

Start    `run` starts the ranks and does no work itself; each does the whole stage with its share of the
         batches (`Rank.share`), and they meet where all need what each has found (`gather`, `total`, `meet`).
Files    rank 0 writes to the stage's folder, the others beside it, to folders that are removed; the
         checkpoint is one for all.
Numbers  a batch is the same whoever reads it. A step's gradient is the sum of the ranks' parts.
End      where one rank ends otherwise than well, the others are ended too, and the stage with an error that
         names it. Ranks whose starter is gone end themselves.
Source   SPMD over gloo, on one machine; only LoRA's gradients travel, which are small.
"""

from __future__ import annotations

import logging
import multiprocessing as mp
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import torch
import torch.distributed as dist
from torch import Tensor

from goracs import memory
from goracs.llm.settings import LIVE, Runtime
from goracs.types import GoracsError, IndexArray, InvalidInput

Build = Callable[[Path, Mapping[str, Path]], None]
T = TypeVar("T")
LOGS = ("goracs", LIVE)
PATIENCE = timedelta(days=30)  # of a rank for the others: whether they live is the starter's to see
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
TERMINATED = 143  # the shell's code for a process ended by SIGTERM
FAREWELL = 60.0  # seconds for a rank that is told to end


@dataclass(frozen=True)
class Rank:
    """One of `count` processes that do the same stage."""

    number: int
    count: int

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


_here = Rank(0, 1)


def here() -> Rank:
    """This process."""
    return _here


def run(build: Build, folder: Path, inputs: Mapping[str, Path], runtime: Runtime) -> None:
    """Have `runtime.devices` processes do what `build(folder, inputs)` would do.

    Raises:
        InvalidInput: more devices than this machine has.
        GoracsError: what a rank found wrong, or that one ended in the middle.
    """
    _refuse_absent(runtime)
    context, count = mp.get_context("spawn"), runtime.devices
    work = cloudpickle.dumps((build, inputs, runtime))
    with tempfile.TemporaryDirectory() as place:
        ranks: list[Any] = []
        ear = _Ear()
        try:
            with _terminable():
                for number in range(count):
                    ear.pipes[number], mouth = context.Pipe(duplex=False)
                    args = (
                        work,
                        Rank(number, count),
                        _folder(folder, number),
                        Path(place) / "meeting",
                        mouth,
                    )
                    ranks.append(context.Process(target=_rank, args=args, name=f"rank {number} of {count}"))
                    ranks[-1].start()
                    mouth.close()  # else its end would not be heard
                _wait(ranks, ear)
        finally:
            _end(ranks)
            for number in range(1, count):
                shutil.rmtree(_folder(folder, number), ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """End as Lightning does, by an exit, when the process is told to terminate: the ranks are ended then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_absent(runtime: Runtime) -> None:
    gpus = 0 if runtime.accelerator == "cpu" else torch.cuda.device_count()
    if gpus and runtime.devices > gpus:
        raise InvalidInput(
            f"runtime.devices={runtime.devices}, and this machine has {gpus} GPUs: lower it, or take "
            "runtime.accelerator=cpu."
        )


def _folder(folder: Path, number: int) -> Path:
    """Of a rank: with the same checkpoint beside it as the stage's own."""
    return folder if number == 0 else folder.with_suffix(f".rank{number}")


class _Ear:
    """What the ranks say: log records, their peak memory, and what ended them."""

    def __init__(self) -> None:
        self.pipes: dict[int, Connection] = {}
        self.ends: dict[int, tuple[BaseException, bool]] = {}
        self.warned: dict[str, int] = {}  # the rank that did

    def hear(self, number: int) -> None:
        """All that a rank has said by now."""
        try:
            while number in self.pipes and self.pipes[number].poll():
                kind, said = self.pipes[number].recv()
                if kind == "log":
                    self._repeat(number, said)
                elif kind == "peak":
                    memory.also(said)
                else:
                    self.ends[number] = said
        except (EOFError, OSError):  # it is gone, perhaps in the middle of a word
            self.pipes.pop(number).close()

    def _repeat(self, number: int, record: logging.LogRecord) -> None:
        """Hand a record to the logger that it was meant for; what several warn of is heard of one."""
        warning = record.levelno >= logging.WARNING
        if warning and self.warned.setdefault(record.getMessage(), number) != number:
            return
        logging.getLogger(record.name).handle(record)


class _Mouth(QueueHandler):
    """Says log records to the starter."""

    def enqueue(self, record: logging.LogRecord) -> None:
        pipe: Any = self.queue
        pipe.send(("log", record))


def _wait(ranks: Sequence[Any], ear: _Ear) -> None:
    """Until all ranks have ended well.

    Raises:
        BaseException: what one of them found wrong, or that it has not.
    """
    running, lost = dict(enumerate(ranks)), list[BaseException]()
    while running:
        sentinels = [rank.sentinel for rank in running.values()]
        if not wait([*sentinels, *ear.pipes.values()], FAREWELL if lost else None):
            raise lost[0]
        ended = {number: rank for number, rank in running.items() if rank.exitcode is not None}
        for number in range(len(ranks)):
            ear.hear(number)
        for number, rank in sorted(ended.items(), key=lambda item: item[1].exitcode):  # killed ones first
            if rank.exitcode != 0:
                error, touch = ear.ends.get(number, (_vanished(rank), True))
                if touch:
                    raise error
                lost.append(error)  # it only lost touch with the one that is the cause, which comes next
        running = {number: rank for number, rank in running.items() if number not in ended}
    if lost:
        raise lost[0]


def _vanished(rank: Any) -> GoracsError:
    how = f"signal {-rank.exitcode}" if rank.exitcode < 0 else f"exit code {rank.exitcode}"
    return GoracsError(
        f"{rank.name} ended in the middle ({how}), so the others were ended too. Where the system ran out of "
        "memory, lower runtime.devices or backbone.batch_tokens; the same command goes on from what was kept."
    )


def _end(ranks: Sequence[Any]) -> None:
    """Have those end that are still running."""
    alive = [rank for rank in ranks if rank.pid is not None and rank.is_alive()]
    for rank in alive:
        rank.terminate()
    for rank in alive:
        rank.join(FAREWELL)
        rank.kill()
        rank.join()


def _rank(work: bytes, rank: Rank, folder: Path, meeting: Path, mouth: Connection) -> None:
    """The life of a rank."""
    global _here
    _end_with_the_starter()
    _speak(rank, mouth)
    build, inputs, runtime = cloudpickle.loads(work)
    _settle(rank, runtime)
    if not rank.first:
        folder.mkdir(exist_ok=True)
    dist.init_process_group("gloo", f"file://{meeting}", PATIENCE, rank=rank.number, world_size=rank.count)
    _here = rank
    try:
        build(folder, inputs)
        rank.meet()
    except Exception as error:
        mouth.send(("end", _as_told(error, rank)))
        sys.exit(1)
    mouth.send(("peak", memory.peak_mb()))


def _as_told(error: Exception, rank: Rank) -> tuple[BaseException, bool]:
    """A user's error as it is, one of ours with its course; and whether the others could be reached."""
    if isinstance(error, (GoracsError, OSError)):
        return error, True
    course = "".join(traceback.format_exception(error))
    return RuntimeError(f"rank {rank.number} of {rank.count} failed:\n{course}"), "gloo" not in str(error)


def _settle(rank: Rank, runtime: Runtime) -> None:
    """One GPU for each rank, or a share of the CPU's threads."""
    if sys.platform in LOOPBACK:  # gloo looks for the machine's name otherwise, which may be known nowhere
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    if torch.cuda.is_available() and runtime.accelerator != "cpu":
        torch.cuda.set_device(rank.number)
    elif runtime.threads is None:
        torch.set_num_threads(max(1, torch.get_num_threads() // rank.count))


def _speak(rank: Rank, mouth: Any) -> None:
    """The first rank speaks for all; of the others only warnings are heard."""
    handler = _Mouth(mouth)
    for name in LOGS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if rank.first else logging.WARNING)


def _end_with_the_starter() -> None:
    """Ctrl-C goes to the starter, which ends its ranks; one that dies without a word takes them along."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = mp.parent_process()
    assert starter is not None

    def watch() -> None:
        wait([starter.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
