"""Small valid files for every reader, and how each is read."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from experiments import fuzz_jobs, fuzz_kept
from experiments.fuzz_target import Target
from goracs.commands import report
from goracs.config import build, composed
from goracs.data import prepare
from goracs.data.readers import alpaca, sequences
from goracs.jobs import plan
from goracs.llm import saved_adapter
from goracs.report import markdown, trace
from goracs.report.page import markdown as page
from goracs.report.results import read_left, read_results
from goracs.report.table import aggregate
from goracs.store import MANIFEST, Stage, Store

ROOT = Path(__file__).parents[1]
USERS, ITEMS = 6, 12
RESULT = "result.json"


def events() -> list[tuple[str, str, float, int]]:
    """user, item, rating, time."""
    rng = np.random.default_rng(0)
    return [
        (f"u{user}", f"i{item}", float(rng.integers(1, 6)), 1_300_000_000 + int(rng.integers(10**8)))
        for user in range(USERS)
        for item in rng.choice(ITEMS, 6, replace=False)
    ]


TITLES = [(f"i{item}", f"A Title of Café, No. {item}", "Acme") for item in range(ITEMS)]


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(head: str, rows: Sequence[Sequence[object]]) -> bytes:
    quoted = (",".join(f'"{one}"' if "," in str(one) else str(one) for one in row) for row in rows)
    return "\n".join([head, *quoted, ""]).encode()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    packed = io.BytesIO()
    pl.DataFrame(list(rows)).write_parquet(packed)
    return packed.getvalue()


@cache
def _settings(*words: str) -> dict[str, Any]:
    return build(composed([*words, "backbone=tiny", "encoder=tiny"]))


def _dataset(*words: str) -> Callable[[Path], object]:
    """Reads a data set in a folder, which stands in the words as {}."""

    def read(folder: Path) -> object:
        made = _settings(*(word.format("FUZZED") for word in words))["dataset"]
        here = {name: _there(value, folder) for name, value in vars(made).items()}
        dataset = type(made)(**here)
        task = _settings(f"task={'seqrec' if isinstance(made, sequences.Sequences) else 'ctr'}")["task"]
        if isinstance(dataset, alpaca.Prompts):
            prepared = alpaca.prepare(dataset, task)
        elif isinstance(dataset, sequences.Sequences):
            prepared = sequences.prepare(dataset, task)
        else:
            return dataset.digests(), dataset.read()
        with tempfile.TemporaryDirectory(prefix="fuzz") as out:
            prepare.write(prepared, Path(out))
        return out

    return read


def _there(value: Any, folder: Path) -> Any:
    return value.replace("FUZZED", str(folder)) if isinstance(value, str) else value


def _movielens() -> Target:
    ratings = [(user[1:], item[1:], rating, time) for user, item, rating, time in events()]
    movies = [(item[1:], f"{title} (1999)", "Drama") for item, title, _ in TITLES]
    files = {
        "ratings.csv": _csv("userId,movieId,rating,timestamp", ratings),
        "movies.csv": _csv("movieId,title,genres", movies),
    }
    return Target(files, _dataset("dataset=movielens_small", "dataset.path={}", "dataset.expected=null"))


def _amazon(year: int) -> Target:
    names = {
        2014: ("reviewerID", "asin", "overall", "unixReviewTime", "asin", "title", "brand"),
        2018: ("reviewerID", "asin", "overall", "unixReviewTime", "asin", "title", "brand"),
        2023: ("user_id", "parent_asin", "rating", "timestamp", "parent_asin", "title", "store"),
    }[year]
    unit = 1000 if year == 2023 else 1
    reviews = [dict(zip(names, (u, i, r, t * unit), strict=False)) for u, i, r, t in events()]
    items = [dict(zip(names[4:], row, strict=True)) for row in TITLES]
    written = "".join(f"{row!r}\n" for row in items).encode() if year == 2014 else _lines(items)
    files = {"reviews.gz": gzip.compress(_lines(reviews)), "items.gz": gzip.compress(written)}
    places = ("dataset.reviews={}/reviews.gz", "dataset.items={}/items.gz")
    return Target(files, _dataset(f"dataset=amazon{year}", *places))


def _tables(end: str) -> Target:
    names = ("user", "item", "rating", "time")
    log = [dict(zip(names, row, strict=True)) for row in events()]
    items = [{"item": item, "title": title} for item, title, _ in TITLES]
    if end == "csv":
        files = {
            "log.csv": _csv(",".join(names), [tuple(row.values()) for row in log]),
            "items.csv": _csv("item,title", [tuple(row.values()) for row in items]),
        }
    else:
        write = _parquet if end == "parquet" else _lines
        files = {f"log.{end}": write(log), f"items.{end}": write(items)}
    places = (f"dataset.interactions={{}}/log.{end}", f"dataset.items={{}}/items.{end}")
    return Target(files, _dataset("dataset=interactions", *places))


def _prompts(end: str) -> Target:
    rows = [
        {"instruction": "Will they like it?", "input": f"Liked: {one}", "output": ("Yes", "No")[one % 2]}
        for one in range(12)
    ]
    content = _lines(rows) if end == "jsonl" else json.dumps(rows).encode()
    names = {part: f"{part}.{end}" for part in prepare.PARTS}
    places = [f"dataset.{part}={{}}/{name}" for part, name in names.items()]
    return Target(dict.fromkeys(names.values(), content), _dataset("dataset=prompts", *places))


def _sequences() -> Target:
    rows = [(f"u{one}", f"[{one % 5}, {(one + 3) % 5}]", "a title, so", one % 5) for one in range(12)]
    content = _csv("user_id,history_item_id,item_title,item_id", rows)
    files = {f"{part}.csv": content for part in prepare.PARTS}
    files["items.csv"] = _csv("item_id,title", [(one, f"Title {one}") for one in range(5)])
    words = ("dataset.items_separator=null", *(f"dataset.{name[:-4]}={{}}/{name}" for name in files))
    return Target(files, _dataset("dataset=sequences", *words))


def _result() -> Target:
    found = (ROOT / "docs/results/quickstart/goracs-seed0/result.json").read_bytes()

    def read(folder: Path) -> object:
        return markdown.render(aggregate(read_results([folder]))).encode()

    return Target({"a/result.json": found, "b/result.json": found}, read, ("a/result.json",))


def _page() -> Target:
    """A folder of two jobs, read as `goracs report` reads it, up to the text of the page."""
    places = {"a": "goracs-seed0", "b": "random-seed0"}
    results = ROOT / "docs/results/quickstart"
    files = {
        f"{job}/result.json": (results / was / "result.json").read_bytes() for job, was in places.items()
    }
    curve = [{"step": step, "loss": 1 / step, "lr": 0.1, "tokens": 9 * step} for step in (1, 2)]
    left = {
        "trace.json": [{"phase": "start", "seconds": 0.1, "objective": 0.5, "bound": 0.4, "class": 1}],
        "curve.json": [curve[0], {**curve[1], "valid_loss": 0.4}],
        "indices.json": list(range(24)),
        "outcome.json": {"status": "failed", "words": "seed=0", "message": "no"},
    }
    files |= {f"a/{name}": json.dumps(told).encode() for name, told in left.items()}

    def read(folder: Path) -> object:
        return page.text(report.made([folder], folder / "store")).encode()

    return Target(files, read)


def _coreset() -> Target:
    """What a job leaves of its coreset for other tools, as `goracs export` reads it."""
    row = {"instruction": "Will they?", "input": "Liked: a", "output": "Yes", "history": [["q", "a"]]}
    info = {"goracs_coreset": {"file_name": "coreset.json"}}
    files = {"coreset.json": [row, {**row, "system": "You."}], "dataset_info.json": info}
    packed = {name: json.dumps(told).encode() for name, told in files.items()}

    def read(folder: Path) -> object:
        rows = read_left(folder / "coreset.json")
        turns = [(question, answer) for row in rows for question, answer in row.get("history") or ()]
        return (
            turns,
            {**read_left(folder / "dataset_info.json")},
            [row["input"] + row["output"] for row in rows],
        )

    return Target(packed, read)


def _plan() -> Target:
    jobs = [{"overrides": ["seed=0", "budget=8"], "key": "ab", "folder": "0"}]
    told = {"schema": 1, "command": "goracs -m seed=0", "code": {"goracs": "0.1.0", "digest": "ab"}}
    content = json.dumps({**told, "swept": ["seed"], "jobs": jobs}).encode()

    def read(folder: Path) -> object:
        old = plan.read(folder)
        return plan.changes(old, plan.Plan("x", {"goracs": "1", "digest": "b"}, [], []))

    return Target({plan.PLAN: content}, read)


def _manifest() -> Target:
    with tempfile.TemporaryDirectory(prefix="fuzz") as root:
        stage = Stage("weights", 1, {"a": 1}, {}, lambda folder, _: np.save(folder / "a.npy", np.arange(3)))
        made = Store(Path(root)).get(stage).path
        files = {f"weights/{made.name}/{file.name}": file.read_bytes() for file in made.iterdir()}
    return Target(files, lambda folder: Store(folder).kept("weights", stage.key), _named(files, MANIFEST))


def _adapter() -> Target:
    import torch
    from safetensors.torch import save

    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
    }
    weights = {f"base.q_proj.lora_{side}.weight": torch.zeros(2, 2) for side in "AB"}
    files = {saved_adapter.CONFIG: json.dumps(told).encode(), saved_adapter.WEIGHTS[0]: save(weights)}

    def read(folder: Path) -> object:
        saved_adapter.read(folder)
        return saved_adapter.doubts(folder, "tiny"), saved_adapter.linears(folder)

    return Target(files, read)


def _trace() -> Target:
    steps = [{"phase": "start", "seconds": 0.1, "objective": 0.5, "bound": 0.4, "class": 1}]
    return Target({"trace.json": json.dumps(steps).encode()}, trace.read_trace)


def _named(files: Mapping[str, bytes], end: str) -> list[str]:
    return [name for name in files if name.endswith(end)]


TARGETS: dict[str, Target] = {
    "movielens": _movielens(),
    **{f"amazon{year}": _amazon(year) for year in (2014, 2018, 2023)},
    **{f"interactions {end}": _tables(end) for end in ("csv", "jsonl", "parquet")},
    **{f"prompts {end}": _prompts(end) for end in ("json", "jsonl")},
    "sequences": _sequences(),
    "result.json": _result(),
    "job folders": _page(),
    "coreset.json": _coreset(),
    "plan.json": _plan(),
    "manifest.json": _manifest(),
    "adapter": _adapter(),
    "trace.json": _trace(),
    **fuzz_kept.TARGETS,
    **fuzz_jobs.TARGETS,
}
