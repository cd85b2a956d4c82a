"""One pass over a pool that is never a whole matrix, against the bare float32 product that it contains.

`python -m experiments.speed_pass [rows=200000] [turns=3]`

Pool    N x d float32 points of 60 clusters against m = 1,000; prices as they are in the middle of a search.
Pass    `Streamed.cheapest`: bounds of all rows, then 4 n rows measured exactly.
Turns   product, bounds and pass in turn, in one process; the least of each, in seconds by the clock and
        of the CPU.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from goracs.ot import distance
from goracs.ot.cheapest import Shape, shape
from goracs.ot.lagrangian import SPREAD
from goracs.ot.pool import Streamed
from goracs.types import FloatArray

TARGET = 1000
SIZES = ((384, 500), (64, 200))  # d, n
HEAD = "| N | d | n | product s | bounds, times that | pass, times that | CPU: product s | bounds | pass |"


def main(words: Sequence[str]) -> None:
    """Print a line of a Markdown table for each size."""
    told = {"rows": "200000", "turns": "3"} | dict(word.split("=", 1) for word in words)
    print(HEAD + "\n" + "| --- " * HEAD.count(" | ") + "| --- |")
    for width, budget in SIZES:
        figures = measured(int(told["rows"]), width, budget, int(told["turns"]))
        ends = [f"{one[0]:.3f} | {one[1] / one[0]:.2f} | {one[2] / one[0]:.2f}" for one in figures.T]
        print(f"| {int(told['rows']):,} | {width} | {budget} | {' | '.join(ends)} |", flush=True)


def measured(rows: int, width: int, budget: int, turns: int) -> FloatArray:
    """[3, 2] least seconds, by the clock and of the CPU, of product, bounds and pass."""
    pool, prices = posed(rows, width)
    spread, count = shape(budget, TARGET), min(SPREAD * budget, rows)
    parts: list[Callable[[], object]] = [
        lambda: product(pool),
        lambda: bounds(pool, prices, spread),
        lambda: pool.cheapest(prices, spread, count),
    ]
    parts[2]()  # compiles
    found: FloatArray = np.array([[seconds(part) for part in parts] for _ in range(turns)])
    least: FloatArray = found.min(axis=0)
    return least


def posed(rows: int, width: int) -> tuple[Streamed, FloatArray]:
    """A pool, and prices near those of an optimum: how far a column's fifth nearest row of a sample is."""
    draw = np.random.default_rng(0)
    centres, spread = draw.normal(size=(60, 16)), draw.normal(size=(16, width)) / 4

    def points(count: int) -> FloatArray:
        near = centres[draw.integers(0, 60, count)] + 0.45 * draw.normal(size=(count, 16))
        return (3 * (near @ spread + 0.25 * draw.normal(size=(count, width)))).astype(np.float32)

    features, target = points(rows), points(TARGET)
    away = distance.distances(features[:2000], target)
    scale, offset = float(away.max()), 0.1 * draw.random(rows)
    pool = Streamed(features, target, np.arange(rows), offset, scale)
    return pool, np.sort(away, axis=0)[4] / scale


def product(pool: Streamed) -> None:
    """The product alone, by the blocks of a pass."""
    size = max(1, distance.BLOCK_BYTES // (4 * TARGET))
    found = np.empty((size, TARGET), np.float32)
    for start in range(0, pool.size, size):
        block = pool.features[start : start + size]
        np.matmul(block, pool.target.T, out=found[: len(block)])


def bounds(pool: Streamed, prices: FloatArray, spread: Shape) -> FloatArray:
    """What a pass knows of every row before it measures a few."""
    return pool.below(prices, spread)


def seconds(part: Callable[[], object]) -> tuple[float, float]:
    """What a part takes, by the clock and of the CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    part()
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main(sys.argv[1:])
