"""The data card: what one should know of a prepared set before anything is trained on it.

Source   the files of the prepare stage alone, so a card costs no more than reading them.
Cold     a target that no example of the pool has as target or in its history.
Rule     AUC of the share of likes in the history shown (`goracs.data.rule`); None without two classes, and
         where no sample has a history: a constant is no rule.
Text     leaves out every line that says nothing of any part.
Tokens   of at most 1,000 evenly spaced examples of each part, with their answers, before any is shortened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from goracs.data.prepare import PARTS
from goracs.data.tasks import Task, as_examples
from goracs.data.tokens import tokenized

LOOKED_AT = 1000  # examples of each part whose tokens are counted
REPEATS = "events equal an earlier one in user, item, rating and time"
FIRST_DAY = 10**8  # a smaller time only counts on (dataset.time_unit=step), or is none
BIGGEST = 5  # users whose share of a part is told
Card = dict[str, Any]


def card(folder: Path) -> Card:
    """The card of a prepared set, plain JSON values, without tokens.

    Args:
        folder: as `goracs.data.prepare.write` left it.
    """
    counts = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    parts = counts.pop("splits")
    kept, titles = counts["kept"], pl.read_parquet(folder / "catalogue.parquet", glob=False)["title"]
    pool = _rows(folder, "train")
    known = pl.concat([pool.select("item"), pool.select(item=pl.col("history").explode())]).unique()
    return {
        **counts,
        "density": kept["events"] / (kept["users"] * kept["items"]) if kept["items"] else None,
        "repeated_titles": len(titles) - titles.n_unique(),
        **{part: parts[part] | _rates(parts[part]) | _part(_rows(folder, part), known) for part in PARTS},
    }


def token_counts(folder: Path, task: Task, tokenizer: Any, max_length: int) -> Card:
    """For each part: `looked_at`, median, 95% quantile and maximum of tokens, and how many are `too_long`."""
    counts: Card = {}
    for part in PARTS:
        rows = pl.read_parquet(folder / f"{part}.parquet", glob=False)
        examples = as_examples(rows.gather_every(-(-len(rows) // LOOKED_AT)))
        tokens = pl.Series([ids.length for ids in tokenized(examples, task.template, tokenizer)])
        counts[part] = {
            "looked_at": len(tokens),
            "median": tokens.median(),
            "95%": tokens.quantile(0.95),
            "max": tokens.max(),
            "too_long": int((tokens > max_length).sum()),
        }
    return counts


def render(name: str, found: Card) -> str:
    """The card as text: the whole set line by line, then a column for each part."""
    kept = found["kept"]
    lines = [
        f"{name}: {found['events']:,} events of {found['users']:,} users and {found['items']:,} items",
        *(f"  left out: {count:,} events, {why}" for why, count in found["excluded"].items()),
        *(f"  noted: {count:,} {why}" for why, count in found["noted"].items()),
        *(f"  repeats: {count:,} {REPEATS}" for count in [found["duplicates"]] if count is not None),
        f"  used: {kept['events']:,} events of {kept['users']:,} users and {kept['items']:,} items"
        + (f", density {found['density']:.2g}" if found["density"] else ""),
        f"  titles: {found['repeated_titles']:,} repeat another, {found['titles_cleaned']:,} had line breaks",
        f"  samples: {found['samples']:,}, of which {found['pool']:,} in the whole pool"
        + (f", {found['left_out']:,} left out by the split" if found["left_out"] else ""),
        "",
    ]
    rows = [(label, *(_shown(found[part], key) for part in PARTS)) for label, key in ROWS]
    rows = [("", *PARTS), *(row for row in rows if any(cell != "-" for cell in row[1:]))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(PARTS) + 1)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines + table)


def rule_auc(likes: pl.Series, label: pl.Series) -> float | None:
    """AUC of the share of likes in the history ([len] lists of bool; .5 where empty) for labels 0 and 1.

    None where there is one label only, or no history at all.
    """
    liked, total = int(label.sum()), len(label) - label.null_count()
    if not 0 < liked < total or not likes.list.len().sum():
        return None
    share = likes.cast(pl.List(pl.Float64)).list.mean().fill_null(0.5)
    ranks = float(share.rank("average").filter(label == 1).sum())
    return (ranks - liked * (liked + 1) / 2) / (liked * (total - liked))


def _rows(folder: Path, part: str) -> pl.LazyFrame:
    return pl.scan_parquet(folder / f"{part}.parquet", glob=False)


def _rates(counts: Card) -> Card:
    known = {"like_rate": counts["liked"], "tied_rate": counts["tied"]}
    return {name: None if count is None else count / counts["samples"] for name, count in known.items()}


def _part(rows: pl.LazyFrame, known: pl.LazyFrame) -> Card:
    columns = ("user", "item", "label", "history_liked")
    light = rows.select(*columns, shown=pl.col("history").list.len()).collect()
    named = (light["item"] != "").any()  # ready prompts name no items
    cold = light.lazy().join(known, on="item", how="anti").select(pl.len()).collect().item()
    per_user = light["user"].value_counts(sort=True)["count"]
    lengths = light["shown"].value_counts().sort("shown")
    return {
        "biggest_users": int(per_user[:BIGGEST].sum()) / len(light),
        "cold": cold if named else None,
        "history": {str(length): count for length, count in lengths.iter_rows()},
        "history_mean": light["shown"].mean(),
        "rule_auc": rule_auc(light["history_liked"], light["label"]),
        "tokens": None,
    }


def _day(target: Card | None) -> str:
    if target is None:
        return "-"
    time: int = target["time"]
    return str(time) if 0 <= time < FIRST_DAY else datetime.fromtimestamp(time, UTC).date().isoformat()


def _shown(part: Card, key: Sequence[str]) -> str:
    value: Any = part
    for name in key:
        value = None if value is None else value[name]
    if key[0] in ("first", "last"):
        return _day(value)
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if value <= 1 else f"{value:,.1f}"


ROWS = (
    ("samples", ("samples",)),
    ("users", ("users",)),
    ("liked", ("liked",)),
    ("like rate", ("like_rate",)),
    ("share tied with their last history item", ("tied_rate",)),
    ("first day", ("first",)),
    ("last day", ("last",)),
    ("share of the 5 biggest users", ("biggest_users",)),
    ("cold targets", ("cold",)),
    ("history, mean", ("history_mean",)),
    ("AUC of the history-share rule", ("rule_auc",)),
    ("tokens of a prompt, median", ("tokens", "median")),
    ("tokens, 95%", ("tokens", "95%")),
    ("tokens, longest", ("tokens", "max")),
    ("prompts too long as they are", ("tokens", "too_long")),
    ("of how many looked at", ("tokens", "looked_at")),
)
