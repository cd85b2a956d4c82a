"""How fast reviews become prompts: `python -m experiments.speed_data`, a Markdown table.

It generates reviews and metadata in the shape of Amazon's of 2018 and prepares them by the rules of
experiment=paper/movies_ctr (read, filter, split, word), each size in a process of its own. Every title is
long enough for those rules, so that no review is dropped: of the real file's prompts a tenth is left.
A pandas version of the same rules (`experiments.pandas_prepare`) runs on the first size.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from goracs.config import conf_dir

SIZES = (340_000, 3_400_000, 30_000_000)
PER_USER = 11.4  # reviews of a user on average, as in Movies and TV; 5 at least
ITEMS_OF = 3_400_000 / 60_000  # reviews for each item
BLOCK = 250_000  # reviews that are written at once
HEAD = ("reviews", "items", "by", "prompts", "seconds", "CPU s", "peak GB", "us a review", "pandas / this")
REVIEWS, ITEMS = "reviews.json.gz", "meta.json.gz"
WORDS = ("great", "film", "with", "the", "plot", "thin", "but", "superb", "acting", "watch", "again", "dvd")


def generate(folder: Path, reviews: int, seed: int) -> None:
    """Write `reviews` reviews, sorted by item as Amazon's are, and their items' metadata into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    items = _items(reviews)
    sizes = 5 + rng.exponential(PER_USER - 5, round(reviews / PER_USER)).astype(np.int64)
    users = np.resize(np.repeat(np.arange(len(sizes)), sizes), reviews)
    popular = np.sort((items * rng.random(reviews) ** 2).astype(np.int64))
    times = 86_400 * rng.integers(10_000, 17_800, reviews)
    texts = pl.Series([" ".join(rng.choice(WORDS, 70)) for _ in range(500)])
    rng.shuffle(users)
    with gzip.open(folder / REVIEWS, "wb", compresslevel=1) as file:
        for start in range(0, reviews, BLOCK):
            rows = slice(start, start + BLOCK)
            file.write(_reviews(users[rows], popular[rows], times[rows], texts, rng))
    with gzip.open(folder / ITEMS, "wb", compresslevel=1) as file:
        file.write(_metadata(items, texts, rng))


def prepare(folder: Path) -> int:
    """Prepare the files of `folder` with this package, into `folder`/prepared; the number of prompts."""
    from goracs.data.prepare import prepare, write

    made = settings(folder)
    prepared = prepare(made["dataset"], made["split"], made["task"])
    write(prepared, folder / "prepared")
    return sum(part["samples"] for part in prepared.statistics["splits"].values())


def settings(folder: Path) -> dict[str, Any]:
    """Data set, split and task of the paper's Movies on the files of `folder`; a tenth each is held out."""
    words = [
        *("dataset=movies", "split=paper", "task=ctr"),
        *("dataset.expected=null", "split.valid=0.1", "split.test=0.1"),
        f"dataset.reviews='{folder / REVIEWS}'",
        f"dataset.items='{folder / ITEMS}'",
    ]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=words)
    return {name: instantiate(config[name], _convert_="all") for name in ("dataset", "split", "task")}


def measure(folder: Path, what: str) -> dict[str, float]:
    """What preparing `folder` by goracs or by pandas costs, in a process of its own; see `_child`."""
    command = [sys.executable, "-m", "experiments.speed_data", "--child", what, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def table(sizes: Sequence[int], root: Path) -> str:
    """Generate and measure every size below `root`, the first by pandas too; the Markdown table."""
    measured: list[dict[str, Any]] = []
    for size in sizes:
        generate(root / str(size), size, seed=0)
        by = ("pandas", "goracs") if size == sizes[0] else ("goracs",)
        measured += [{"reviews": size, "by": what, **measure(root / str(size), what)} for what in by]
        shutil.rmtree(root / str(size))
    rows = [HEAD, ["---"] * len(HEAD), *(_row(one, measured[0]) for one in measured)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(one: Mapping[str, Any], pandas: Mapping[str, Any]) -> list[str]:
    each, its = (1e6 * found["seconds"] / found["reviews"] for found in (one, pandas))
    counts = f"{one['reviews']:,}", f"{_items(one['reviews']):,}", one["by"], f"{one['prompts']:,}"
    costs = f"{one['seconds']:.1f}", f"{one['cpu_seconds']:.1f}", f"{one['peak_gb']:.2f}"
    return [*counts, *costs, f"{each:.1f}", f"{its / each:.1f}"]


def _items(reviews: int) -> int:
    return max(20, round(reviews / ITEMS_OF))


def main(arguments: Sequence[str]) -> None:
    """Print the table, or, as the child of that, what one preparation took."""
    parser = argparse.ArgumentParser(prog="python -m experiments.speed_data", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="REVIEWS")
    parser.add_argument("--folder", type=Path, help="where the files are generated; a temporary one else")
    parser.add_argument("--child", choices=("goracs", "pandas"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        print(json.dumps(_child(given.child, given.folder)))
        return
    with tempfile.TemporaryDirectory() as place:
        print(table(given.sizes, given.folder or Path(place)))
    cores = len(os.sched_getaffinity(0))
    print(f"\n{cores} cores, Python {platform.python_version()}, polars {pl.__version__}.")


def _child(what: str, folder: Path) -> dict[str, float]:
    """seconds, cpu_seconds and peak_gb of one preparation here, and its number of prompts."""
    made = prepare
    if what == "pandas":  # not a dependency of the package: this comparison alone needs it
        from experiments import pandas_prepare

        made = pandas_prepare.prepare
    started = time.perf_counter()
    prompts = made(folder)
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_gb": peak, "prompts": prompts}


def _reviews(users: Any, items: Any, times: Any, texts: pl.Series, rng: np.random.Generator) -> bytes:
    drawn = pl.DataFrame(
        {"user": users, "item": items, "time": times, "text": rng.integers(0, len(texts), len(users))}
    )
    lines = drawn.select(
        overall=pl.Series(rng.integers(1, 6, len(users)).astype(float)),
        verified=pl.lit(True),
        reviewTime=pl.lit("11 9, 2012"),
        reviewerID=pl.format("A{}", pl.col("user").cast(pl.String).str.zfill(13)),
        asin=pl.format("B{}", pl.col("item").cast(pl.String).str.zfill(9)),
        style=pl.struct(pl.lit(" DVD").alias("Format:")),
        reviewerName=pl.lit("J. Doe"),
        reviewText=texts.gather(drawn["text"]),
        summary=pl.lit("Five Stars"),
        unixReviewTime="time",
    )
    return lines.write_ndjson().encode()


def _metadata(count: int, texts: pl.Series, rng: np.random.Generator) -> bytes:
    lines = []
    for item in range(count):
        title = f"{' '.join(rng.choice(WORDS, 9)).title()} {item:09d}, Special Edition"
        also = [f"B{other:09d}" for other in rng.integers(0, count, 40)]
        fields = {"category": ["Movies & TV"], "description": [texts[item % len(texts)]], "title": title}
        fields |= {"also_buy": also, "brand": "A. Director", "asin": f"B{item:09d}"}
        lines.append(f"{json.dumps(fields)}\n")
    return "".join(lines).encode()


if __name__ == "__main__":
    main(sys.argv[1:])
