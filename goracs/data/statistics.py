"""What statistics.json says of a prepared set, and the check of its counts against those that were expected.

Raw      events, users and items are those of the raw files; `kept` has them after all filters.
Noted    what was read by a guess or stands in for what is not there; `duplicates` repeat an event exactly,
         whether they were dropped or not.
Parts    `splits` counts what is written: of the pool what `dataset.size` draws from its `pool` samples.
Liked    by the ratings; `flipped` answers of the pool say the opposite.
Tied     targets at the time of their last history item: which of the two came first, `split.ties` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from goracs.data.dataset import Interactions
from goracs.data.filters import Kept
from goracs.data.splits import Split
from goracs.types import InvalidInput

PARTS = ("train", "valid", "test")


def statistics(
    raw: Interactions,
    of_raw: Mapping[str, int],
    kept: Kept,
    of_log: Mapping[str, Any],
    log: pl.DataFrame,
    rows: pl.DataFrame,
    whole: Split,
    drawn: Split,
    threshold: float,
) -> dict[str, Any]:
    """Counts of a prepared set, plain JSON values.

    Args:
        raw: what the reader told; its events are not looked at.
        of_raw: `sizes` of the events before the filters.
        kept: what the filters told; its events are not looked at.
        of_log: `of_events` of the events after the filters.
        log: item and rating of those events, in the order that samples count them.
        rows: all samples.
        whole: their parts.
        drawn: the same after the draw from the pool.
        threshold: a like is a rating above it.
    """
    total = of_part(rows, log, threshold, raw)
    return {
        **of_raw,
        "kept": of_log["kept"],
        "excluded": {**raw.excluded, **kept.excluded},
        "noted": dict(raw.noted),
        "duplicates": kept.duplicates,
        "time": of_log["time"],
        "titles_cleaned": kept.cleaned,
        "samples": total["samples"],
        "left_out": len(rows) - sum(len(getattr(whole, part)) for part in PARTS),
        "liked": total["liked"],
        "like_rate": total["liked"] / total["samples"] if raw.rated else None,
        "pool": len(whole.train),
        "splits": {part: of_part(getattr(drawn, part), log, threshold, raw) for part in PARTS},
    }


def of_part(rows: pl.DataFrame, log: pl.DataFrame, threshold: float, raw: Interactions) -> dict[str, Any]:
    """Counts of some samples, and the first and the last; None where `raw` has no ratings or no times."""
    noise = {"flipped": int(rows["flipped"].sum())} if "flipped" in rows.columns else {}
    liked = (log["rating"] > threshold).gather(rows["row"])
    return {
        "samples": len(rows),
        "liked": int(liked.sum()) if raw.rated else None,
        "users": rows["user"].n_unique(),
        "tied": int(rows["tied"].sum()) if raw.timed else None,
        "first": _target(rows, log, 0),
        "last": _target(rows, log, -1),
        **noise,
    }


def _target(rows: pl.DataFrame, log: pl.DataFrame, place: int) -> dict[str, Any]:
    sample = rows.row(place, named=True)
    return {"user": sample["user"], "item": log["item"][sample["row"]], "time": sample["time"]}


def check(expected: Mapping[str, int] | None, found: Mapping[str, Any], whole: Split) -> None:
    """Refuse counts that are not the expected ones.

    Raises:
        InvalidInput: counts that differ; each is named.
    """
    counts = {**found, **{part: len(getattr(whole, part)) for part in PARTS}}
    wanted = expected or {}
    wrong = [
        f"{name} {counts[name]} (expected {wanted[name]})" for name in wanted if counts[name] != wanted[name]
    ]
    if wrong:
        raise InvalidInput(
            f"the data do not come out as they should: {', '.join(wrong)}. Either the raw files are not "
            "those of dataset.expected, or a rule was changed (dataset.*, split.*, task.like_threshold); "
            "with dataset.expected=null no counts are checked."
        )


def sizes(events: pl.DataFrame) -> dict[str, int]:
    """How many events, and of how many users and items."""
    return {
        "events": len(events),
        "users": events["user"].n_unique(),
        "items": events["item"].n_unique(),
    }


def of_events(events: pl.DataFrame) -> dict[str, Any]:
    """`sizes` of the kept events, and their first and last time."""
    return {"kept": sizes(events), "time": [events["time"].min(), events["time"].max()]}
