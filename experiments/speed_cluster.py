"""How fast passes are on a cluster, and what the command itself does and holds.

Command    python -m experiments.speed_cluster [rows=N,N] [width=D] [search=false] [--out FILE]

For each number of rows (100,000 and 1,000,000; m = 1,000, n = 200, d = 64 unless said), on its own Ray:
a pricing pass by one worker of one core and by two, in turn; the bytes that it sends and brings; and a whole
selection by two, with the CPU time of the command itself and the memory that it took beyond what it had.
Prints a Markdown table. Read ratios: machines differ, and cores that others use too say little.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planted import planted
from experiments.speed_selection import table
from goracs import api
from goracs.cluster.crew import Hands
from goracs.cluster.joined import SHARDS
from goracs.cluster.on_ray import Actors
from goracs.cluster.settings import Ray
from goracs.cluster.sharded import Sharded
from goracs.cluster.spread import Joined
from goracs.ot.cheapest import shape
from goracs.ot.lagrangian import SPREAD
from goracs.ot.pool import Streamed
from goracs.selection import by_class
from goracs.types import FloatArray, SelectionProblem

TARGET, BUDGET = 1000, 200
ROWS, WIDTH = "100000,1000000", "64"
TURNS = 2  # passes of each kind
WORKER = Ray(address=None, workers=1, memory=1.0, gpus_per_worker=0, folder=None)


class Counted(Actors):
    """Workers of which it is known how many bytes were sent to them, and came back."""

    sent = brought = 0

    def send(self, worker: int, *asked: Any) -> Any:
        """Count, and send."""
        self.sent += len(pickle.dumps(asked))
        return super().send(worker, *asked)

    def busy(self) -> FloatArray:
        """CPU seconds of each worker so far."""
        import ray

        asked = [actor.__ray_call__.remote(lambda _: time.process_time()) for actor in self.actors]
        return np.array(ray.get(asked))

    def answers(self, handle: Any) -> list[Any]:
        """Count what came."""
        found = super().answers(handle)
        self.brought += len(pickle.dumps(found))
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each number of rows."""
    parser = argparse.ArgumentParser(prog="python -m experiments.speed_cluster", description=__doc__)
    parser.add_argument("words", nargs="*", help="rows=N,N, width=D and search=false")
    parser.add_argument("--out", type=Path, default=Path("multirun/speed_cluster.md"))
    asked = parser.parse_args(arguments)
    words = {"rows": ROWS, "width": WIDTH, "search": "true"} | dict(word.split("=") for word in asked.words)
    search, width = words["search"] == "true", int(words["width"])
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(int(n), width, Path(folder), search) for n in words["rows"].split(",")]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(table(rows) + "\n", encoding="utf-8")
    print(table(rows))


def measured(rows: int, width: int, folder: Path, search: bool) -> dict[str, Any]:
    """The figures of a pool of so many rows."""
    problem = laid(rows, width, folder)
    streamed = Streamed(problem.features, problem.target_features, np.arange(rows), np.zeros(rows), 1.0)
    two = Counted(replace(WORKER, workers=2))
    try:
        seconds, busy = passes(streamed, two, folder)
        told = {
            "rows": rows,
            "d": width,
            "s a pass, one worker": f"{seconds[1]:.2f}",
            "two": f"{seconds[2]:.2f}",
            "times as fast": f"{seconds[1] / seconds[2]:.2f}",
            "CPU s of the busier, one": f"{busy[1]:.2f}",
            "of two": f"{busy[2]:.2f}",
            "times less": f"{busy[1] / busy[2]:.2f}",
            "kB sent": f"{two.sent / TURNS / 1e3:.0f}",
            "kB brought": f"{two.brought / TURNS / 1e3:.0f}",
        }
        return {**told, **(selected(problem, two, folder) if search else {})}
    finally:
        two.close()


def laid(rows: int, width: int, folder: Path) -> SelectionProblem:
    """A problem whose features are a file."""
    made = planted(rows, TARGET, 0, width)
    np.save(folder / f"{rows}.npy", made.features)
    return replace(made, features=np.load(folder / f"{rows}.npy", mmap_mode="r"))


def passes(streamed: Streamed, two: Counted, folder: Path) -> tuple[dict[int, float], dict[int, float]]:
    """Of the shortest passes by one worker and by two, in turn: seconds, CPU seconds of the busier."""
    one = One(two)
    taken: dict[int, list[float]] = {1: [], 2: []}
    worked: dict[int, list[float]] = {1: [], 2: []}
    prices = np.random.default_rng(0).normal(scale=0.1, size=TARGET)
    pools = {hands.count: pooled(hands, streamed, folder) for hands in (one, two)}
    two.sent = two.brought = 0
    for _ in range(TURNS):
        for count, pool in pools.items():
            first = (two.sent, two.brought)
            pool.cheapest(prices, shape(BUDGET // 2, TARGET), BUDGET)  # nothing is remembered then
            two.sent, two.brought = first
            at_work, before = two.busy(), (two.sent, two.brought)
            began = time.perf_counter()
            pool.cheapest(prices, shape(BUDGET, TARGET), SPREAD * BUDGET)
            taken[count].append(time.perf_counter() - began)
            worked[count].append(float((two.busy() - at_work).max()))
            if count == 1:
                two.sent, two.brought = before
    least = [{count: min(each) for count, each in figures.items()} for figures in (taken, worked)]
    return least[0], least[1]


def pooled(hands: Hands, streamed: Streamed, folder: Path) -> Sharded:
    """The pool of some workers."""
    place = folder / f"of-{hands.count}-{streamed.size}"
    place.mkdir()
    return Joined(lambda: hands, place, SHARDS).pool(streamed)


class One:
    """The first of some workers alone."""

    count = 1

    def __init__(self, others: Counted) -> None:
        self.send, self.first, self.answers = others.send, others.first, others.answers


def selected(problem: SelectionProblem, hands: Counted, folder: Path) -> dict[str, str]:
    """A whole selection, and the command's part in it."""
    method = api.build("goracs", {"lam": 0.1, "by_class": False, "memory": 1e-9})
    place = folder / f"whole-{problem.pool_size}"
    place.mkdir()
    given = replace(problem, spread=Joined(lambda: hands, place, SHARDS))
    began, busy = time.perf_counter(), time.process_time()
    with peak() as most:
        found = by_class.select(method, given, BUDGET, 0)
    wall = time.perf_counter() - began
    return {
        "s of a selection": f"{wall:.1f}",
        "gap": f"{found.report['gap']:.3%}",
        "the command's CPU time": f"{(time.process_time() - busy) / wall:.0%}",
        "MB it took": f"{most[0] / 1e3:.0f}",
    }


@contextmanager
def peak() -> Iterator[list[float]]:
    """The most memory, in kB, that this process took within it beyond what it had; mapped files apart."""
    most, done = [0.0], threading.Event()
    first = _own()

    def look() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], _own() - first)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield most
    finally:
        done.set()
        watching.join()


def _own() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


if __name__ == "__main__":
    main()
