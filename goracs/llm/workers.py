"""The passes of a stage (`goracs.llm.rows.Pass`) made by the workers of a cluster, one a device.

Lead     the first worker begins each pass: it sees that the arrays are there, and says into how many parts
         the pass is cut. After the last it does what the stage does in the end.
Parts    are handed out one by one (`goracs.cluster.crew`), each with a note of its own in the checkpoint:
         what is noted is never done again, whether a worker is lost or the command.
Told     each question holds the whole stage: a worker that is started anew opens it again.
Numbers  a batch is the same whoever reads it; so are the arrays.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from goracs import memory, progress
from goracs.cluster.crew import Crew, Hands
from goracs.cluster.joined import SHARDS
from goracs.cluster.on_ray import Post, on_ray
from goracs.cluster.settings import Ray
from goracs.llm.halving import BOUND
from goracs.llm.precision import has_gpu
from goracs.llm.ranks import LOGS, Rank, be
from goracs.llm.rows import Pass, make, refuse_unwritten, write
from goracs.llm.seen import Sign, blind, signed, unseen
from goracs.llm.settings import Runtime
from goracs.llm.starter import Told
from goracs.types import InvalidInput

Passes = Callable[[Path, Mapping[str, Path]], Iterator[Pass]]


@dataclass(frozen=True, eq=False)
class Asked:
    """A stage: what yields its passes, of which folder and inputs, and a sign that all machines must see."""

    passes: Passes
    folder: Path
    inputs: Mapping[str, Path]
    sign: Sign


@dataclass(frozen=True)
class Begun:
    """A pass: the name of its job, its examples, and into how many parts it is cut."""

    name: str
    examples: int
    parts: int


@dataclass(frozen=True, eq=False)
class Begin:
    """End the pass before the one at a place, and begin that; None where there is none: the stage is done.

    `least` and `asked` are parts, as in `goracs.llm.rows.make`; `bound` holds what batches turned out to fit.
    """

    stage: Asked
    place: int
    least: int
    asked: int
    bound: Mapping[str, int]

    def of(self, worker: Worker, _number: int) -> Begun | None:  # noqa: D102
        if self.place:
            self._end(worker.at(self.stage, self.place - 1))
        one = worker.at(self.stage, self.place)
        if one is None:
            return None
        batches = max(1, len(one.groups))
        parts = make(one, min(self.least, batches), min(self.asked, batches))
        return Begun(one.job.name, len(one.texts), parts)

    def _end(self, one: Pass | None) -> None:
        assert one is not None
        one.job.told.update(self.bound)
        refuse_unwritten(one)


@dataclass(frozen=True, eq=False)
class Fill:
    """Write a part of the pass at a place: how many examples it has, and what batches turned out to fit."""

    stage: Asked
    place: int
    parts: int

    def of(self, worker: Worker, number: int) -> tuple[int, Mapping[str, int]]:  # noqa: D102
        one = worker.at(self.stage, self.place)
        assert one is not None
        write(one, number, self.parts)
        bound = {name: value for name, value in one.job.told.items() if name == BOUND}
        return sum(map(len, one.part(number, self.parts))), bound


@dataclass(frozen=True)
class Answer:
    """What a worker found, who it is, what it has logged since the last one, and its peak memory in MB."""

    found: Any
    worker: str
    said: Sequence[logging.LogRecord]
    peak_mb: float | None


class Worker:
    """One of the workers: it keeps a stage open, at one of its passes."""

    def __init__(self) -> None:
        self.word, self.place = "", -1
        self.current: Pass | None = None
        self.passes: Iterator[Pass] = iter(())
        self.said: list[logging.LogRecord] = []
        self.name = f"{socket.gethostname()}, process {os.getpid()}"

    def answers(self, _folder: str, numbers: Sequence[int], question: Begin | Fill) -> list[Answer]:
        """What it finds of each of these parts."""
        found = [question.of(self, number) for number in numbers]
        said, self.said[:] = list(self.said), []
        return [Answer(one, self.name, said, memory.peak_mb()) for one in found]

    def at(self, stage: Asked, place: int) -> Pass | None:
        """The pass at a place; None behind the last one: what the stage does in the end is done then.

        Raises:
            InvalidInput: this machine does not see the files of the command's.
        """
        if self.word != stage.sign.word or self.place > place:
            if (hidden := unseen(stage.sign, stage.inputs.values())) is not None:
                raise blind("a worker of the cluster", hidden, "the command")
            self.word, self.place, self.current = stage.sign.word, -1, None
            self.passes = stage.passes(stage.folder, stage.inputs)
        while self.place < place:
            self.current = None  # before the next is there: each holds a model
            self.current, self.place = next(self.passes, None), self.place + 1
            if self.current is not None:
                self._refuse_precision(self.current)
        return self.current

    def _refuse_precision(self, one: Pass) -> None:
        """fp16 is that of a GPU: without one it would be bf16 under its name."""
        if one.job.precision == "fp16" and not has_gpu(one.job.runtime.accelerator):
            raise InvalidInput(
                f"{one.job.name} is to be in fp16, and a worker of the cluster ({self.name}) has no CUDA "
                "GPU: take cluster.gpus_per_worker=1, or backbone.precision=bf16 or float32."
            )


class OfADevice(Worker):
    """A worker in a process of its own, on the GPU that it has, else on its core."""

    def __init__(self) -> None:
        import ray

        super().__init__()
        if not ray.get_runtime_context().get_accelerator_ids()["GPU"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        torch.set_num_threads(1)
        be(Rank(1, 2, 0))  # none that shows how far it is: the command does
        for name in LOGS:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [_Kept(self.said)], False
            logger.setLevel(logging.INFO)


class _Kept(QueueHandler):
    """Keeps log records in a list."""

    def __init__(self, kept: list[logging.LogRecord]) -> None:
        super().__init__(SimpleQueue())
        self.kept = kept

    def enqueue(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


def run(passes: Passes, folder: Path, inputs: Mapping[str, Path], cluster: Ray, runtime: Runtime) -> None:
    """Have the workers of a cluster do what a stage does that yields its passes.

    Raises:
        InvalidInput: no cluster, no room, or no GPU there; a machine that does not see the files of this one.
        GoracsError: what a worker found wrong, or that it was lost too often.
    """
    post = Post(OfADevice, runtime.threads or 1, cluster.gpus_per_worker)
    inputs = {role: place.resolve() for role, place in inputs.items()}  # a worker is in a folder of its own
    with signed(folder) as sign, on_ray(cluster, post) as hands:
        lead(Asked(passes, folder, inputs, sign), hands(), runtime.progress)


def lead(stage: Asked, hands: Hands, shown: bool) -> None:
    """Have some workers make the passes of a stage, one after the other, and its end."""
    told, bound, folder = Told(), dict[str, int](), str(stage.folder)
    for place in count():
        begin = partial(Begin, stage, place, hands.count, SHARDS * hands.count, bound)
        ((_, first),) = Crew(hands, folder, 1).passed(begin)
        _hear(first, told, logging.INFO)
        begun: Begun | None = first.found
        if begun is None:
            return
        fill = partial(Fill, stage, place, begun.parts)
        with progress.bar(begun.name, "examples", begun.examples, shown=shown) as bar:
            for _, answer in Crew(hands, folder, begun.parts).passed(fill):
                _hear(answer, told, logging.WARNING)
                examples, fits = answer.found
                bound |= {name: min(value, bound.get(name, value)) for name, value in fits.items()}
                bar.update(examples)


def _hear(answer: Answer, told: Told, least: int) -> None:
    """Tell what a worker had to say, as far as it is of some level; warnings of several once."""
    memory.also(answer.peak_mb)
    for record in answer.said:
        if record.levelno >= least:
            told.tell(answer.worker, record)
