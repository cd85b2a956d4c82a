"""The prepare stage's work: a data set, a split and a task become examples, and those become plain files.

Files   train, valid and test.parquet (one example a row), catalogue.parquet (item, title), seen.parquet
        (user, items) and statistics.json. The same input gives the same bytes (with one version of polars).
Order   examples as the split leaves them; items and users by their first event, in the order of `split.ties`.
Memory  ids are codes, a sample is a number of a row, and what sorts does so by parts (`goracs.data.parts`).
        Examples are worded and written a chunk at a time: all prompts at once are many times the events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from goracs.data.codes import coded, known, recoded
from goracs.data.dataset import Dataset, Interactions
from goracs.data.filters import Kept, usable
from goracs.data.parts import by_parts, first_rows, of_users
from goracs.data.samples import flip, samples, subsample, user_logs, with_history
from goracs.data.splits import LeaveOneOut, Split, Splitter
from goracs.data.statistics import check, of_events, sizes, statistics
from goracs.data.tasks import EXAMPLE, Ctr, Task, as_examples
from goracs.data.ties import in_order
from goracs.types import Example, InvalidInput

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
CHUNK = 1 << 16  # examples
BLOCK = 1 << 13  # examples that are read as objects together: with their tokens some 30 kB each
SEEN = pl.Schema({"user": pl.String(), "items": pl.List(pl.String())})
ROW_GROUP = 1 << 18  # examples; fixed, so that the bytes do not depend on the machine


@dataclass(frozen=True, eq=False)
class Prepared:
    """What every later stage knows of the data.

    Args:
        train, valid, test: the examples, of schema `EXAMPLE`; train is the pool.
        catalogue: item, title of every item with an event (and a title): what can be recommended.
        seen: user, items: every item that the user ever interacted with, titled or not; as texts or codes.
        statistics: counts of all this, plain JSON values.
    """

    train: pl.LazyFrame
    valid: pl.LazyFrame
    test: pl.LazyFrame
    catalogue: pl.DataFrame
    seen: pl.DataFrame
    statistics: dict[str, Any]


def prepare(dataset: Dataset, split: Splitter, task: Task) -> Prepared:
    """Read, filter (what goes is counted), cut into samples, split, draw the pool; examples are worded later.

    Raises:
        InvalidInput: no event that can be used, no sample, an empty part, counts that are not the expected
            ones, or what the data set, the split and the task refuse.
    """
    raw = _coded(dataset.read())
    _refuse_untimed(raw, split)
    _refuse_unrated(raw, task)
    raw = replace(raw, events=in_order(raw.events, split.ties, split.ties_seed))
    of_raw, seen = sizes(raw.events), _seen(raw.events)
    kept = usable(raw, dataset)
    catalogue = _catalogue(kept)
    log = user_logs(kept.events)
    of_log = of_events(log)
    rows = samples(log, dataset.history, dataset.min_history, split.every_event)
    _refuse_empty(dataset, of_raw["events"], kept.excluded, log, rows)
    log = log.select("item", "rating")  # the other columns go before the items are
    log = log.with_columns(recoded(log["item"], pl.Enum(catalogue["item"])))
    whole = split.assign(rows)
    pool = subsample(whole.train, dataset.size, dataset.sample, dataset.seed)
    noise = task.flipped if isinstance(task, Ctr) else 0
    drawn = Split(flip(pool, noise, dataset.seed) if noise else pool, whole.valid, whole.test)
    counts = statistics(raw, of_raw, kept, of_log, log, rows, whole, drawn, task.like_threshold)
    check(dataset.expected, counts, whole)
    return Prepared(
        **{part: examples(getattr(drawn, part), log, catalogue, task) for part in PARTS},
        catalogue=catalogue,
        seen=seen,
        statistics=counts,
    )


def examples(rows: pl.DataFrame, log: pl.DataFrame, catalogue: pl.DataFrame, task: Task) -> pl.LazyFrame:
    """Samples as examples of schema `EXAMPLE`, worded when they are collected or written."""

    def chunks(*_: Any) -> Iterator[pl.DataFrame]:
        for part in rows.iter_slices(CHUNK):
            yield task.examples(judged(with_history(part, log), task.like_threshold), catalogue)

    return register_io_source(chunks, schema=EXAMPLE)


def judged(frame: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Samples with `liked` and `history_liked` in place of ratings: whether those are above the threshold.

    Where there is no rating they are null; where `flipped` is true, `liked` is the opposite.
    """
    above = pl.element() > threshold
    liked = pl.col("rating") > threshold
    return frame.select(
        pl.col("user").cast(pl.String),
        "item",
        "time",
        "history",
        liked=liked ^ pl.col("flipped") if "flipped" in frame.columns else liked,
        history_liked=pl.col("history_rating").list.eval(above),
    )


def write(prepared: Prepared, folder: Path) -> None:
    """Write the files of `prepared` into `folder`, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        frame: pl.LazyFrame = getattr(prepared, part)
        frame.sink_parquet(
            folder / f"{part}.parquet", row_group_size=ROW_GROUP, compression="lz4", statistics=False
        )
    prepared.catalogue.write_parquet(folder / "catalogue.parquet")
    prepared.seen.cast(SEEN).write_parquet(folder / "seen.parquet")
    (folder / "statistics.json").write_text(
        json.dumps(prepared.statistics, indent=1) + "\n", encoding="utf-8"
    )


def read_examples(folder: Path, part: Part) -> list[Example]:
    """The examples of one part, as `write` got them."""
    return as_examples(pl.read_parquet(folder / f"{part}.parquet", glob=False))


def read_blocks(folder: Path, part: str) -> Iterator[list[Example]]:
    """The same, `BLOCK` at a time: no more of them need be held."""
    table = pl.scan_parquet(folder / f"{part}.parquet", glob=False)
    for start in range(0, table.select(pl.len()).collect().item(), BLOCK):
        yield as_examples(table.slice(start, BLOCK).collect())


def read_titles(folder: Path) -> pl.DataFrame:
    """item, title of the catalogue, in its order."""
    return pl.read_parquet(folder / "catalogue.parquet", glob=False).select("item", "title")


def read_catalogue(folder: Path) -> dict[str, str]:
    """Item -> title, in the catalogue's order."""
    return dict(read_titles(folder).iter_rows())


def read_seen(folder: Path) -> dict[str, list[str]]:
    """User -> every item that the user ever interacted with."""
    return dict(pl.read_parquet(folder / "seen.parquet", glob=False).select("user", "items").iter_rows())


def _coded(raw: Interactions) -> Interactions:
    """The same with ids as codes: the texts are not kept beside them."""
    return replace(raw, events=raw.events.with_columns(coded(raw.events[name]) for name in ("user", "item")))


def _catalogue(kept: Kept) -> pl.DataFrame:
    items, first = known(kept.events["item"]), first_rows(kept.events["item"])
    rated = pl.DataFrame({"item": items.gather(np.argsort(first)[: np.sum(first < len(kept.events))])})
    return rated.join(kept.titles, on="item", maintain_order="left")


def _seen(events: pl.DataFrame) -> pl.DataFrame:
    """user, items, users and items by their first event."""
    users = events["user"]

    def items(rows: pl.Series) -> pl.Series:
        some = events.select(pl.col("user", "item").gather(rows)).group_by("user", maintain_order=True)
        return (
            some.agg(items=pl.col("item").unique(maintain_order=True)).select(pl.struct(pl.all())).to_series()
        )

    return by_parts(of_users(users, first_rows(users)), items).struct.unnest()


def _refuse_untimed(raw: Interactions, split: Splitter) -> None:
    if not raw.timed and not (isinstance(split, LeaveOneOut) and split.ties == "file"):
        raise InvalidInput(
            "the data have no column of times (dataset.columns.time=null), so nothing can be split by time: "
            "only split=leave_one_out split.ties=file works, which takes a user's rows in the file's order."
        )


def _refuse_unrated(raw: Interactions, task: Task) -> None:
    if not raw.rated and isinstance(task, Ctr):
        raise InvalidInput(
            "the data have no ratings (dataset.columns.rating=null), so nobody can say which targets were "
            "liked, and task=ctr asks just that: take task=seqrec, or name the column of ratings."
        )


def _refuse_empty(
    dataset: Dataset, events: int, excluded: Mapping[str, int], log: pl.DataFrame, rows: pl.DataFrame
) -> None:
    if log.is_empty():
        why = ", ".join(f"{reason}: {count}" for reason, count in excluded.items())
        raise InvalidInput(
            f"the data set {dataset.name} is empty: of its {events} events none can be used ({why})."
        )
    if rows.is_empty():
        raise InvalidInput(
            f"the data set {dataset.name} has no sample with at least {dataset.min_history} items before it "
            f"(dataset.min_history) among its {len(log)} events."
        )
