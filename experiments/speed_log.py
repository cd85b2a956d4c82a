"""What preparing a large log costs: `python -m experiments.speed_log`, a Markdown table.

It generates logs as wide as MovieLens-32M (160 events a user, ids as numbers, half stars) and prepares each
by `dataset=interactions split=users task=ctr` in a process of its own, with a pool of 10,000 or, by --whole,
of all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from omegaconf import OmegaConf

from goracs.config import build, composed

SIZES = (4_000_000, 8_000_000, 32_000_000)
PER_USER = 160
ITEMS, OF = 87_585, 32_000_000
POOL = 10_000
ROW_GROUP = 1 << 20
HEAD = ("events", "seconds", "CPU s", "peak GB", "bytes an event")


def generate(folder: Path, events: int, seed: int) -> None:
    """Write log.parquet, user by user as MovieLens' is, and items.csv into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    items = max(20, int(ITEMS * min(1.0, events / OF) ** 0.5))
    sizes = 20 + rng.exponential(PER_USER - 20, max(1, events // PER_USER)).astype(np.int64)
    log = pl.DataFrame(
        {
            "user": np.sort(np.resize(np.repeat(np.arange(len(sizes)), sizes), events)).astype(np.int32),
            "item": (items * rng.random(events) ** 3).astype(np.int32),
            "rating": (rng.integers(1, 11, events) / 2).astype(np.float32),
            "time": 800_000_000 + 60 * rng.integers(0, 15_000_000, events),
        }
    )
    log.write_parquet(folder / "log.parquet", row_group_size=ROW_GROUP)
    titles = pl.DataFrame({"item": np.arange(items)})
    titles.with_columns(title=pl.format("A film that has number {}", "item")).write_csv(folder / "items.csv")


def prepare(folder: Path, pool: int | None) -> dict[str, float]:
    """seconds, cpu_seconds and peak_gb of preparing the files of `folder` here, into `folder`/prepared."""
    from goracs.data.prepare import prepare, write

    files = {"interactions": "log.parquet", "items": "items.csv"}
    words = [f"dataset.{key}='{folder / name}'" for key, name in files.items()]
    words += ["dataset=interactions", "split=users", "task=ctr", f"dataset.size={pool or 'null'}"]
    made = build(OmegaConf.masked_copy(composed(words), ["dataset", "split", "task"]))
    started = time.perf_counter()
    write(prepare(made["dataset"], made["split"], made["task"]), folder / "prepared")
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_gb": used.ru_maxrss / 2**20,
    }


def table(sizes: Sequence[int], pool: int | None, root: Path) -> str:
    """Generate and measure every size below `root`; the Markdown table."""
    rows = [HEAD, ("---",) * len(HEAD)]
    for size in sizes:
        folder = root / str(size)
        generate(folder, size, seed=0)
        found = _measured(folder, pool)
        each = found["peak_gb"] * 2**30 / size
        costs = f"{found['seconds']:.0f}", f"{found['cpu_seconds']:.1f}", f"{found['peak_gb']:.2f}"
        rows.append((f"{size:,}", *costs, f"{each:.0f}"))
        shutil.rmtree(folder)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measured(folder: Path, pool: int | None) -> dict[str, float]:
    words = ["--child", str(folder), *(["--whole"] if pool is None else [])]
    command = [sys.executable, "-m", "experiments.speed_log", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the table, or, as the child of that, what one preparation took."""
    parser = argparse.ArgumentParser(prog="python -m experiments.speed_log", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="EVENTS")
    parser.add_argument("--whole", action="store_true", help="all samples of the pool are worded")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    pool = None if given.whole else POOL
    if given.child:
        print(json.dumps(prepare(given.child, pool)))
        return
    with tempfile.TemporaryDirectory() as place:
        print(table(given.sizes, pool, Path(place)))
    print(f"\n{len(os.sched_getaffinity(0))} cores, polars {pl.__version__}.")


if __name__ == "__main__":
    main(sys.argv[1:])
