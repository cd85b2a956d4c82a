"""The lab's selections in several processes, each with one thread: what it finds is the same for any number.

A process gets the bench once, when it starts; it never holds a test row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from multiprocessing import get_context
from typing import Any

from goracs.features.representation import Sides
from goracs.lab import Bench, Trial, Tried, chosen
from goracs.types import SelectionProblem

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_bench: list[Bench] = []  # of a worker


def tried(bench: Bench, todo: Sequence[Trial], workers: int | None) -> Iterator[tuple[Trial, Tried]]:
    """Each trial with what came of it, in their order.

    Args:
        bench: what selections see.
        todo: the trials.
        workers: processes, >= 1 (1: this one alone); None: as many as there are CPUs.

    Raises:
        InvalidInput: what a selector refuses.
    """
    count = min(workers or os.cpu_count() or 1, len(todo))
    if count == 1:
        yield from ((trial, chosen(bench, trial)) for trial in todo)
        return
    with _one_thread_each():  # read when a process starts
        sent = _plain(bench.problem), dict(bench.features)
        pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=sent)
        results = pool.map(_tried, todo)
    try:
        yield from zip(todo, results, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _plain(problem: SelectionProblem) -> dict[str, Any]:
    """Its fields as they can be sent: mappings that refuse writing cannot."""
    values = {field.name: getattr(problem, field.name) for field in fields(problem)}
    sent = {name: dict(values[name]) for name in ("scores", "target_scores") if values[name] is not None}
    return {**values, **sent}


def _begin(problem: dict[str, Any], features: dict[str, Sides]) -> None:
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
