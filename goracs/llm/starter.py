"""The work of one stage done by several processes, the ranks (`goracs.llm.ranks`), on as many devices.

Start    `run` starts the ranks of this machine and does no work itself. Where torchrun has started processes,
         perhaps on several machines, each has a keeper among them that starts it (`goracs.llm.group`).
End      where one rank ends otherwise than well, the others are ended too, and the stage with an error that
         names it.
"""

from __future__ import annotations

import logging
import multiprocessing as mp
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cloudpickle
import torch

from goracs import memory, signals
from goracs.llm.launched import refuse_misfit
from goracs.llm.ranks import TERMINATED, Address, Build, Rank, Work, live
from goracs.llm.seen import signed
from goracs.llm.settings import Runtime
from goracs.types import GoracsError, InvalidInput

FAREWELL = 60.0  # seconds for a rank that is told to end
LOST = -256  # in the place of an exit code: nothing is heard of it any more, nor of who started it
log = logging.getLogger("goracs")


class Started:
    """A rank as who started it sees it; `code` is its exit code, None while it runs.

    It is a process of ours, or (None) one of the keeper at the other end of `pipe`.
    """

    def __init__(self, name: str, pipe: Connection, process: Any = None) -> None:
        self.name, self.pipe, self.process = name, pipe, process
        self.code: int | None = None
        self.error: tuple[BaseException, bool] | None = None  # and whether it could reach the others

    def hear(self, tell: Callable[[str, logging.LogRecord], None]) -> None:
        """All that it has said by now."""
        try:
            while self.code is None and self.pipe.poll():
                kind, said = self.pipe.recv()
                if kind == "log":
                    tell(self.name, said)
                elif kind == "peak":
                    memory.also(said)
                elif kind == "end":
                    self.error = said
                else:
                    self.code = said
        except (EOFError, OSError):  # it is gone, perhaps in the middle of a word
            self.gone()

    def gone(self) -> None:
        """Note how it ended, now that it says nothing more."""
        if self.process is not None:
            self.process.join()
        self.pipe.close()
        self.code = LOST if self.process is None else self.process.exitcode

    def stop(self) -> None:
        """Tell it to end."""
        if self.process is not None:
            self.process.terminate()
        else:
            with suppress(OSError):
                self.pipe.send(("stop", None))

    def part(self) -> None:
        """Wait until it has ended, and end it where it does not."""
        if self.process is not None:
            self.process.join(FAREWELL)
            self.process.kill()
            self.gone()
        until = time.monotonic() + 2 * FAREWELL  # its keeper does the same
        while self.code is None and self.pipe.poll(max(0.0, until - time.monotonic())):
            self.hear(lambda *_: None)
        if self.code is None:
            self.gone()


@dataclass(frozen=True)
class Keeper:
    """A process, often on another machine, that starts one rank of a stage when it is told to."""

    rank: Rank
    host: str
    pipe: Connection


@dataclass
class Group:
    """The keepers of ranks 1.., and where their ranks find that of rank 0 and each other."""

    keepers: Sequence[Keeper]
    host: str
    port: int


group: list[Group] = []  # that this process leads: one, or none


def run(build: Build, folder: Path, inputs: Mapping[str, Path], runtime: Runtime) -> None:
    """Have `runtime.ranks` processes do what `build(folder, inputs)` would do.

    Raises:
        InvalidInput: more devices than this machine has, or others than torchrun has started; a machine that
            does not see the files of another.
        GoracsError: what a rank found wrong, or that one ended in the middle.
    """
    refuse_misfit(runtime)
    _refuse_absent(runtime)
    ranks: list[Started] = []
    with terminable(), _meeting(folder) as (meeting, seen):
        work = Work(cloudpickle.dumps((build, inputs, runtime)), folder, meeting)
        try:
            _start(ranks, work, [seen, *inputs.values()], runtime)
            _wait(ranks)
        finally:
            try:
                end(ranks)
            finally:
                for number in range(1, runtime.ranks):
                    shutil.rmtree(work.of(number), ignore_errors=True)


@contextmanager
def _meeting(folder: Path) -> Iterator[tuple[Path | Address, Path]]:
    """Where the ranks find each other, and a file that all of them must see."""
    if not group:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place) / "meeting", Path(place)
        return
    with signed(folder) as sign:
        yield Address(group[0].host, group[0].port, sign.word), sign.file


def _start(ranks: list[Started], work: Work, places: Sequence[Path], runtime: Runtime) -> None:
    """Add each rank as it is started."""
    if not group:
        each = (Rank(number, runtime.ranks, number) for number in range(runtime.ranks))
        ranks.extend(begin(work, rank) for rank in each)
        return
    for keeper in group[0].keepers:
        ranks.append(Started(f"{keeper.rank} (on {keeper.host})", keeper.pipe))
        if keeper.pipe.closed:  # by an earlier stage, which it was lost in
            raise _vanished(ranks[-1].name, LOST)
        with suppress(OSError):  # then that is what is heard of it
            keeper.pipe.send(("work", (work, places)))
    ranks.insert(0, begin(work, Rank(0, runtime.ranks, 0)))


def begin(work: Work, rank: Rank) -> Started:
    """Start a rank as a process of this machine."""
    context = mp.get_context("spawn")
    pipe, mouth = context.Pipe(duplex=False)
    process = context.Process(target=live, args=(work, rank, mouth), name=str(rank))
    process.start()
    mouth.close()  # else its end would not be heard
    return Started(str(rank), pipe, process)


@contextmanager
def terminable() -> Iterator[None]:
    """End as Lightning does, by an exit, when the process is told to terminate: the ranks are ended then.

    torchrun tells it to as soon as one of the others is gone: what was found wrong is told before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: Any) -> None:
        signals.note(number)
        if isinstance(error := sys.exception(), GoracsError):
            log.error("error: %s", error)
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
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


def _wait(ranks: Sequence[Started]) -> None:
    """Until all ranks have ended well.

    Raises:
        BaseException: what one of them found wrong, or that it has not.
    """
    running, lost, told = list(ranks), list[BaseException](), Told()
    while running:
        if not wait([rank.pipe for rank in running], FAREWELL if lost else None):
            raise lost[0]
        for rank in running:
            rank.hear(told.tell)
        ended = [(rank.code, rank) for rank in running if rank.code is not None]
        for code, rank in sorted(ended, key=lambda one: one[0]):  # killed ones first
            if code != 0:
                error, touch = rank.error or (_vanished(rank.name, code), True)
                if touch:
                    raise error
                lost.append(error)  # it only lost touch with the one that is the cause, which comes next
        running = [rank for rank in running if rank.code is None]
    if lost:
        raise lost[0]


class Told:
    """What the ranks had to tell; what several warn of is told once."""

    def __init__(self) -> None:
        self.warned: dict[str, str] = {}  # the rank that did

    def tell(self, rank: str, record: logging.LogRecord) -> None:
        """Hand a record to the logger that it was meant for."""
        warning = record.levelno >= logging.WARNING
        if warning and self.warned.setdefault(record.getMessage(), rank) != rank:
            return
        logging.getLogger(record.name).handle(record)


def _vanished(name: str, code: int) -> GoracsError:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    how = "nothing is heard of its machine or process" if code == LOST else how
    return GoracsError(
        f"{name} ended in the middle ({how}), so the others were ended too. Where the system ran out of "
        "memory, lower runtime.devices or backbone.batch_tokens; the same command goes on from what was kept."
    )


def end(ranks: Sequence[Started]) -> None:
    """Have those end that are still running."""
    running = [rank for rank in ranks if rank.code is None]
    for rank in running:
        rank.stop()
    for rank in running:
        rank.part()
