"""How fast the selection is.

Command    python -m experiments.speed_selection [swaps reference gap large small] [--out FILE]

Prints a Markdown table for each part and writes them to a file. Times are medians, ratios are of times taken
in one process on the same problem; read the ratios, since machines differ. The reference is the paper's
algorithm as the mathematics has it (selector goracs_paper), given fast bounds; a cold solve is POT's.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import goracs
from experiments.planted import planted
from goracs.ot import cost, distance, exact
from goracs.ot.incremental import OpenTransport
from goracs.search.alternate import alternate
from goracs.types import FloatArray, SelectionProblem

SIZES = ((4000, 1000, 200), (4000, 1000, 170), (15000, 5000, 1000))
LARGE = (15000, 5000, 1000)
LAMS = (0.1, 0.5)
SMALL_SEEDS = range(5)
SWAPS = 200
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the parts that are named, all by default."""
    parts = {"swaps": swaps, "reference": reference, "gap": gaps, "large": large, "small": small}
    parser = argparse.ArgumentParser(prog="python -m experiments.speed_selection", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("multirun/speed_selection.md"))
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.parts) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; the parts: {', '.join(parts)}")
    written = [f"Measured on {_machine()}."]
    warm_up()
    for name in asked.parts or parts:
        rows = list(parts[name]())
        written.append(f"{(parts[name].__doc__ or '').strip()}\n\n{table(rows)}")
        print(f"\n{written[-1]}\n", flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("\n\n".join(written) + "\n", encoding="utf-8")
    print(f"written to {asked.out}")


def warm_up() -> None:
    """Compile every kernel before anything is timed."""
    problem = planted(300, 100, seed=0, width=16)
    for n in (20, 17):
        goracs.select(problem, n, "goracs", lam=0.5, effort="certify", by_class=False)
        goracs.select(problem, n, "goracs", lam=0.5, start="facility", memory=1e-6, by_class=False)
    goracs.select(problem, 20, "goracs_paper", lam=0.5, max_exchanges=2, candidates=3, by_class=False)
    OpenTransport(np.random.default_rng(0).random((4, 8))).swap(0, np.zeros(8))


def swaps() -> Iterable[Row]:
    """Exact objective after a swap of one row, against a cold solve of the same problem."""
    for N, m, n in SIZES:
        for lam in LAMS:
            costs = _costs(planted(N, m, seed=0), lam)
            rng = np.random.default_rng(1)
            drawn = rng.choice(N, n, replace=False)
            settled, _ = alternate(costs, drawn, exact.solve(costs[drawn]), lambda *_: True)
            for state, rows, near in (
                ("random", drawn, False),
                ("alternated", settled, False),
                ("alternated", settled, True),
            ):
                yield {
                    "N": N, "m": m, "n": n, "lam": lam, "coreset": state, "row": "near" if near else "random",
                    **_swap_times(costs, rows, near, rng),
                }  # fmt: skip


def reference() -> Iterable[Row]:
    """Time to the objective that the reference path has after 100 exchanges."""
    N, m, n = LARGE
    problem = planted(N, m, seed=0)
    paper = goracs.select(
        problem, n, "goracs_paper", lam=0.5, max_exchanges=100, candidates=30, by_class=False
    )
    aim, seconds = paper.trace[-1]["objective"], paper.trace[-1]["seconds"]
    yield {"search": "reference", "objective": aim, "seconds": seconds, "times faster": 1.0, "proven": ""}
    for start in ("best", "facility"):
        ours = goracs.select(problem, n, "goracs", lam=0.5, start=start, effort="alternate", by_class=False)
        there = next(step for step in ours.trace if step["objective"] <= aim)
        yield {
            "search": f"engine, start {start}", "objective": there["objective"], "seconds": there["seconds"],
            "times faster": seconds / there["seconds"], "proven": f"gap {ours.report['gap']:.2%} at its end",
        }  # fmt: skip


def gaps() -> Iterable[Row]:
    """When a certified gap is reached, in seconds and in cold solves of that size."""
    N, m, n = LARGE
    for lam, marks in ((0.5, (0.01, 0.002, 0.001, 0.0006)), (0.1, (0.05, 0.02, 0.01, 0.005))):
        problem = planted(N, m, seed=0)
        found = goracs.select(problem, n, "goracs", lam=lam, seconds=100, by_class=False)
        solve = _cold(_costs(problem, lam)[found.indices])
        lowest = found.report["lowest_cost"]
        for mark in (*marks, found.report["gap"]):
            step = next((step for step in found.trace if _gap(step, lowest) <= mark), None)
            if step:
                yield {
                    "lam": lam, "gap": f"{mark:.3%}", "seconds": step["seconds"],
                    "cold solves": step["seconds"] / solve, "phase": step["phase"],
                }  # fmt: skip


def large() -> Iterable[Row]:
    """Pools whose costs are never a whole matrix; each in a process of its own, features on disk."""
    for N, width, m, n in ((200_000, 64, 1000, 200), (1_000_000, 384, 1000, 500)):
        with tempfile.TemporaryDirectory() as folder:
            _write_large(Path(folder), N, m, width)
            command = [sys.executable, "-m", "experiments.speed_selection_large", folder, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            yield {"N": N, "d": width, "m": m, "n": n, **json.loads(done.stdout.splitlines()[-1])}


def small() -> Iterable[Row]:
    """A proven 1-swap local optimum of small problems (N = 1,000, m = 300), in cold solves; 5 seeds."""
    for n in (60, 64):
        for lam in LAMS:
            taken, gap = [], []
            for seed in SMALL_SEEDS:
                problem = planted(1000, 300, seed)
                began = time.perf_counter()
                found = goracs.select(problem, n, "goracs", lam=lam, effort="certify", by_class=False)
                seconds = time.perf_counter() - began
                taken.append(seconds / _cold(_costs(problem, lam)[found.indices], repeats=21))
                gap.append(found.report["gap"])
            yield {"n": n, "lam": lam, "cold solves": median(taken), "gap": f"{median(gap):.2%}"}


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_shown(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _swap_times(costs: FloatArray, rows: Any, near: bool, rng: np.random.Generator) -> Row:
    open_, outside = OpenTransport(costs[rows]), np.setdiff1d(np.arange(len(costs)), rows)
    thin, times = np.ascontiguousarray(costs[:, ::25]), []
    for _ in range(SWAPS):
        place = int(rng.integers(len(rows)))
        q = rng.choice(_nearest(thin, rows[place], outside) if near else outside)
        began = time.perf_counter()
        open_.swap(place, costs[q])
        times.append(time.perf_counter() - began)
        open_.swap(place, costs[rows[place]])
    ours, cold = median(times), _cold(costs[rows])
    return {"cold ms": 1e3 * cold, "swap ms": 1e3 * ours, "ratio": cold / ours}


def _nearest(costs: FloatArray, row: int, outside: Any) -> Any:
    apart = np.abs(costs[outside] - costs[row]).mean(axis=1)
    return outside[np.argpartition(apart, 10)[:10]]


def _cold(costs: FloatArray, repeats: int = 5) -> float:
    """Median seconds of a cold solve by POT."""
    import ot

    n, m = costs.shape
    scaled = cost.min_max(costs)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        ot.emd(np.full(n, 1 / n), np.full(m, 1 / m), scaled, numItermax=10**9)
        times.append(time.perf_counter() - began)
    return median(times)


def _costs(problem: SelectionProblem, lam: float) -> FloatArray:
    norms = problem.scores["gradient_norm"]
    found = distance.distances(problem.features, problem.target_features)
    return cost.ground_cost(found, norms, lam, cost.unit_scale(found.max(), norms.max()))


def _gap(step: Mapping[str, Any], lowest: float) -> float:
    if step["bound"] is None:
        return float("inf")
    return float((step["objective"] - step["bound"]) / (step["objective"] - lowest))


def _write_large(folder: Path, N: int, m: int, width: int) -> None:
    """Planted features written in blocks: the same mixture, drawn anew for each block."""
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float32, (N, width))
    norms = np.empty(N)
    for start in range(0, N, 50_000):
        count = min(50_000, N - start)
        block = planted(count, m, seed=0, width=width, draw=start)
        features[start : start + count], norms[start : start + count] = (
            block.features,
            block.scores["gradient_norm"],
        )
    features.flush()
    np.save(folder / "norms.npy", norms)
    np.save(folder / "target.npy", planted(10, m, seed=0, width=width).target_features)


def _shown(value: Any) -> str:
    return (
        f"{value:,.4g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _machine() -> str:
    import os

    import numba
    import ot

    versions = f"Python {platform.python_version()}, numba {numba.__version__}, POT {ot.__version__}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {versions}"


if __name__ == "__main__":
    main()
