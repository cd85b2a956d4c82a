"""The lab's selections in several processes, each with one thread: what it finds is the same for any number.

A process gets the bench once, when it starts; it never holds a test row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from multiprocessing import active_children, get_context
from typing import Any

from goracs.features.representation import Sides
from goracs.lab.trials import Bench, Trial, Tried, chosen
from goracs.signals import end_with_the_starter
from goracs.types import SelectionProblem

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_bench: list[Bench] = []  # of a worker


class Workers:
    """Processes that select; a context, at whose end they are gone.

    Args:
        bench: what selections see.
        count: processes, >= 1 (1: this one alone); None: as many as there are CPUs.
    """

    def __init__(self, bench: Bench, count: int | None) -> None:
        self.bench, self.count = bench, count or os.cpu_count() or 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if "_pool" in self.__dict__:
            for child in active_children() if kind else ():  # nobody waits for what it is at
                child.terminate()
            self._pool.shutdown(cancel_futures=True)

    def tried(self, todo: Sequence[Trial]) -> Iterator[Tried]:
        """What came of each trial, in their order.

        Raises:
            InvalidInput: what a selector refuses.
        """
        if self.count == 1:
            return (chosen(self.bench, trial) for trial in todo)
        with _one_thread_each():  # read when a process starts
            return self._pool.map(_tried, todo)

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        sent = _plain(self.bench.problem), dict(self.bench.features)
        return ProcessPoolExecutor(self.count, get_context("spawn"), initializer=_begin, initargs=sent)


def _plain(problem: SelectionProblem) -> dict[str, Any]:
    """Its fields as they can be sent: mappings that refuse writing cannot."""
    values = {field.name: getattr(problem, field.name) for field in fields(problem)}
    sent = {name: dict(values[name]) for name in ("scores", "target_scores") if values[name] is not None}
    return {**values, **sent}


def _begin(problem: dict[str, Any], features: dict[str, Sides]) -> None:
    end_with_the_starter()
    _bench[:] = [Bench(SelectionProblem(**problem), features)]


def _tried(trial: Trial) -> Tried:
    return chosen(_bench[0], trial)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
