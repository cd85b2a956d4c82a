"""How the selection methods grow with the pool: seconds, peak memory, exponent in N. A Markdown table.

`python -m experiments.speed_methods [methods=a,b] [sizes=2000,20000,200000] [budget=1024] [limit=600]`

Each method chooses from pools of N random points of 384 numbers against 500 others, with random scores and
two labels, in a process of its own with one thread, which ends after `limit` seconds. Seconds are the CPU's,
so that other work on the machine hardly counts. The exponent is that of N between the last two sizes it came
through. `products` is what k-center cannot do without: the pool times a vector for each row chosen.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from math import log
from multiprocessing.connection import Connection

import numpy as np

import goracs
from goracs import api, memory
from goracs.lab.workers import ONE_THREAD
from goracs.report.methods import names
from goracs.stages.score import DYNAMICS
from goracs.types import GoracsError, SelectionProblem

WIDTH, TARGET = 384, 500
MATRICES = ("sketch", "unit_sketch", "hidden")  # scores of several numbers a row
CHECKPOINTS = 5  # of training dynamics
PRODUCTS = "products"
HEAD = ("method", "CPU seconds", "exponent", "peak GB")
Told = tuple[float, float | None] | str


def problem(size: int, needs: frozenset[str]) -> SelectionProblem:
    """A random pool and target with what a method needs."""
    rng = np.random.default_rng(0)
    target_labels = (np.arange(TARGET) % 5 < 3).astype(np.int64)

    def matrix(rows: int, wanted: bool) -> np.ndarray:
        return rng.standard_normal((rows, WIDTH if wanted else 0), dtype=np.float32)

    return SelectionProblem(
        features=matrix(size, "features" in needs),
        target_features=matrix(TARGET, "features" in needs),
        scores={name: _score(rng, name, size) for name in sorted(needs - {"features"})},
        target_scores={name: _score(rng, name, TARGET) for name in sorted(needs & set(MATRICES))},
        labels=(rng.random(size) < 0.5).astype(np.int64),
        target_labels=target_labels,
    )


def _score(rng: np.random.Generator, name: str, rows: int) -> np.ndarray:
    if name in MATRICES:
        return rng.standard_normal((rows, WIDTH), dtype=np.float32)
    return rng.random((rows, CHECKPOINTS) if name in DYNAMICS else rows, dtype=np.float32)


def work(method: str, size: int, budget: int) -> Callable[[], object]:
    """One choice, its problem made."""
    if method == PRODUCTS:
        pool = problem(size, frozenset({"features"})).features
        return lambda: [(pool @ pool[place])[0] for place in range(budget)]
    given = problem(size, api.build(method, {}).needs)
    return lambda: goracs.select(given, budget, method)


def timed(method: str, size: int, budget: int) -> tuple[float, float | None]:
    """CPU seconds of one choice, and the peak memory of the process in GB."""
    choose = work(method, size, budget)
    memory.forget_peak()
    started = time.process_time()
    choose()
    seconds, peak = time.process_time() - started, memory.peak_mb()
    return seconds, None if peak is None else peak / 1024


def alone(method: str, size: int, budget: int, limit: float) -> Told:
    """As `timed`, in a process of its own; why not, where it did not end well."""
    ear, mouth = mp.get_context("spawn").Pipe(duplex=False)
    process = mp.get_context("spawn").Process(target=_child, args=(method, size, budget, limit, mouth))
    process.start()
    mouth.close()
    try:
        return ear.recv()  # type: ignore[no-any-return]
    except EOFError:
        process.join()
        return f"> {limit:.0f} s" if process.exitcode == -signal.SIGXCPU else "killed"
    finally:
        process.kill()
        process.join()


def _child(method: str, size: int, budget: int, limit: float, mouth: Connection) -> None:
    try:
        timed(method, min(size, 2000), min(budget, 100))  # compiles what has to be
        last = int(time.process_time() + limit)
        resource.setrlimit(resource.RLIMIT_CPU, (last, last + 1))
        mouth.send(timed(method, size, budget))
    except GoracsError as error:
        mouth.send(f"refused: {error}")


def row(method: str, sizes: Sequence[int], budget: int, limit: float) -> list[str]:
    """A method's line; a size is not tried once a smaller one took too long."""
    found = list[Told]()
    for size in sizes:
        found.append(
            found[-1] if found and isinstance(found[-1], str) else alone(method, size, budget, limit)
        )
    ended = [(size, one) for size, one in zip(sizes, found, strict=True) if not isinstance(one, str)]
    seconds = " / ".join(one if isinstance(one, str) else f"{one[0]:.2f}" for one in found)
    (small, short), (large, long) = ended[-2:] if len(ended) > 1 else ((0, (0.0, None)), (0, (0.0, None)))
    exponent = f"{log(long[0] / short[0]) / log(large / small):.2f}" if small else "-"
    peak = ended[-1][1][1] if ended else None
    return [method, seconds, exponent, "-" if peak is None else f"{peak:.2f}"]


def main(words: Sequence[str]) -> None:
    """Print the table."""
    asked = dict(word.partition("=")[::2] for word in words)
    chosen = asked["methods"].split(",") if "methods" in asked else [*names(), PRODUCTS]
    sizes = [int(size) for size in asked.get("sizes", "2000,20000,200000").split(",")]
    budget, limit = int(asked.get("budget", 1024)), float(asked.get("limit", 600))
    shown = " / ".join(f"{size:,}" for size in sizes)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read when a process starts
    print(f"{budget} rows of pools of {shown}\n\n| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for method in chosen:
        if method != "full":
            print(f"| {' | '.join(row(method, sizes, budget, limit))} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
