"""The prepare stage's work: a data set, a split and a task become examples, and those become plain files.

Files   train, valid and test.parquet (one example a row), catalogue.parquet (item, title), seen.parquet
        (user, items) and statistics.json. The same input gives the same bytes (with one version of polars).
Order   examples as the split leaves them; items and users by their first event in the raw file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from goracs.data.dataset import Dataset, Interactions
from goracs.data.samples import samples, subsample
from goracs.data.splits import Split, Splitter
from goracs.data.tasks import Task
from goracs.types import Example, InvalidInput

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
EXAMPLE = {
    "user": pl.String(),
    "item": pl.String(),
    "time": pl.Int64(),
    "label": pl.Int64(),
    "history": pl.List(pl.String()),
    "history_liked": pl.List(pl.Boolean()),
    "instruction": pl.String(),
    "input": pl.String(),
    "output": pl.String(),
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """What every later stage knows of the data.

    Args:
        train, valid, test: the examples; train is the pool.
        catalogue: item, title of every item with an event (and a title): what can be recommended.
        seen: user, items: every item that the user ever interacted with, with a title or not.
        statistics: counts of all this, plain JSON values.
    """

    train: Sequence[Example]
    valid: Sequence[Example]
    test: Sequence[Example]
    catalogue: pl.DataFrame
    seen: pl.DataFrame
    statistics: dict[str, Any]


def prepare(dataset: Dataset, split: Splitter, task: Task) -> Prepared:
    """Read, drop events without a title (counted), cut into samples, split, draw the pool, word the examples.

    Raises:
        InvalidInput: no event with a title, no sample, an empty part, or what reader, split and task refuse.
    """
    raw = dataset.reader.read()
    titled = raw.items.filter(pl.col("title").str.strip_chars() != "")
    events = raw.events.join(titled, on="item", how="semi", maintain_order="left")
    if events.is_empty():
        raise InvalidInput(
            f"the data set {dataset.name} is empty: of its {len(raw.events)} events none has an item with a "
            "title in the catalogue."
        )
    rows = samples(events, dataset.history, dataset.min_history)
    if rows.is_empty():
        raise InvalidInput(
            f"the data set {dataset.name} has no sample with at least {dataset.min_history} items before it "
            f"(dataset.min_history) among its {len(events)} events."
        )
    parts = split.assign(rows)
    drawn = Split(subsample(parts.train, dataset.size, dataset.seed), parts.valid, parts.test)
    titles = dict(titled.select("item", "title").iter_rows())
    made = {name: task.examples(getattr(drawn, name), titles) for name in PARTS}
    return Prepared(
        **made,
        catalogue=events.select("item")
        .unique(maintain_order=True)
        .join(titled, on="item", maintain_order="left"),
        seen=_seen(raw.events),
        statistics=_statistics(raw, events, rows, len(parts.train), drawn, task.like_threshold),
    )


def write(prepared: Prepared, folder: Path) -> None:
    """Write the files of `prepared` into `folder`, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        examples: Sequence[Example] = getattr(prepared, part)
        columns = {name: [getattr(example, name) for example in examples] for name in EXAMPLE}
        pl.DataFrame(columns, schema=EXAMPLE).write_parquet(folder / f"{part}.parquet")
    prepared.catalogue.write_parquet(folder / "catalogue.parquet")
    prepared.seen.write_parquet(folder / "seen.parquet")
    (folder / "statistics.json").write_text(
        json.dumps(prepared.statistics, indent=1) + "\n", encoding="utf-8"
    )


def read_examples(folder: Path, part: Part) -> list[Example]:
    """The examples of one part, as `write` got them."""
    rows = pl.read_parquet(folder / f"{part}.parquet").select(*EXAMPLE).iter_rows()
    return [
        Example(user, item, time, label, tuple(history), tuple(liked), *words)
        for user, item, time, label, history, liked, *words in rows
    ]


def read_catalogue(folder: Path) -> dict[str, str]:
    """Item -> title, in the catalogue's order."""
    return dict(pl.read_parquet(folder / "catalogue.parquet").select("item", "title").iter_rows())


def read_seen(folder: Path) -> dict[str, list[str]]:
    """User -> every item that the user ever interacted with."""
    return dict(pl.read_parquet(folder / "seen.parquet").select("user", "items").iter_rows())


def _seen(events: pl.DataFrame) -> pl.DataFrame:
    return events.group_by("user", maintain_order=True).agg(items=pl.col("item").unique(maintain_order=True))


def _statistics(
    raw: Interactions, events: pl.DataFrame, rows: pl.DataFrame, pool: int, drawn: Split, threshold: float
) -> dict[str, Any]:
    whole = _counts(rows, threshold)
    return {
        "events": len(raw.events),
        "dropped_events": len(raw.events) - len(events),
        "users": events["user"].n_unique(),
        "items": events["item"].n_unique(),
        "samples": whole["samples"],
        "liked": whole["liked"],
        "like_rate": whole["liked"] / whole["samples"],
        "pool": pool,
        "splits": {part: _counts(getattr(drawn, part), threshold) for part in PARTS},
    }


def _counts(rows: pl.DataFrame, threshold: float) -> dict[str, int]:
    liked = int((rows["rating"] > threshold).sum())
    return {"samples": len(rows), "liked": liked, "users": rows["user"].n_unique()}
