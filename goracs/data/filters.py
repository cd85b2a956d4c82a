"""Which events can be used at all: those of titled items, then a k-core; what goes is counted.

Order    exact repeats go where they are to go, titles are cleaned, then judged (missing or blank, short,
         long, markup, repeated), then the core is taken.
Markup   what a scraper took for a title: a tag of a page's structure or with an attribute (`<span id="x">`),
         a comment, or code (`var a = ...`, `function () {...}`, `getTime()`). Tags of mere form (`<i>`) are
         none, nor is any other word in angle brackets (`<a_12>`).
Counts   every event that goes is counted under the one reason for which it went.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from goracs.data.codes import coded, known
from goracs.data.dataset import Dataset, Interactions
from goracs.data.parts import by_parts, first_rows, of_users, only
from goracs.data.ties import PART
from goracs.types import InvalidInput

STRUCTURE = (
    "html|head|body|meta|link|script|noscript|style|div|span|table|t[rdh]|[uo]l|li|h[1-6]|img|iframe|form"
)
MARKUP = "|".join(
    (
        rf"(?i:</?(?:{STRUCTURE})(?:\s[^<>]*)?/?>)",
        r"""(?i:<[a-z][a-z0-9]*\s+[a-z-]+\s*=\s*["'])""",
        r"(?i:<!--|<!doctype\s)",
        r"\bvar\s+\w+\s*=|\bfunction\s*\w*\s*\([^()]*\)\s*\{|\bgetTime\(\)",
    )
)
ALIKE = ("user", "item", "rating", "time")  # what makes an event the exact repeat of another
CONTROL = r"\p{Cc}"  # line breaks, tabs and the like: they would break the form of a prompt


@dataclass(frozen=True, eq=False)
class Kept:
    """What is left.

    Args:
        events: as in `Interactions`, in the same order.
        titles: item -> title of every item that may have events; no title is blank.
        excluded: why -> how many events went.
        cleaned: titles of items with events in which control characters became spaces.
        duplicates: events of the raw files that repeat an earlier one exactly, kept or not.
    """

    events: pl.DataFrame
    titles: pl.DataFrame
    excluded: Mapping[str, int]
    cleaned: int
    duplicates: int


def usable(raw: Interactions, rules: Dataset) -> Kept:
    """The events that the duplicate rule, the title rules and the core of a data set leave.

    The table of `raw` is emptied.

    Raises:
        InvalidInput: a duplicate where `dataset.duplicates=refuse`.
    """
    touched = pl.DataFrame({"item": raw.events["item"].unique().cast(pl.String)})
    total = len(raw.events)
    events, repeats = _once(raw.events, rules)
    items = raw.items.select("item", "title").join(touched, on="item", how="semi", maintain_order="left")
    items = items.with_columns(title=unescaped(items["title"])) if rules.title_unescape else items
    broken = items["title"].str.contains(CONTROL).sum()
    items = items.with_columns(pl.col("title").str.replace_all(CONTROL, " "))
    judged = items.with_columns(why=_fault(rules))
    whys = _whys(events["item"], judged)
    counts = whys.value_counts().cast({"why": pl.String}).sort("why")
    excluded = dict(counts.filter(pl.col("why") != "").iter_rows())
    if len(events) < total:
        excluded["exact repeat of another event"] = repeats
    titled = only(events, whys == "")
    before = len(titled)
    core = titled if rules.core is None else k_core(titled, rules.core)
    if len(core) < before:
        excluded[f"outside the {rules.core}-core"] = before - len(core)
    return Kept(core, judged.filter(pl.col("why") == "").drop("why"), excluded, int(broken), repeats)


def unescaped(titles: pl.Series) -> pl.Series:
    """Titles with their HTML entities as the characters they stand for."""
    spelled = titles.filter(titles.str.contains("&", literal=True).fill_null(value=False)).unique()
    return titles.replace(spelled, pl.Series(map(html.unescape, spelled), dtype=pl.String))


def k_core(events: pl.DataFrame, k: int) -> pl.DataFrame:
    """The largest part of the events in which every user and every item has at least k of them, in order.

    The table is emptied.
    """
    return only(events, _in_core([coded(events[name]) for name in ("user", "item")], k))


def exact_repeats(events: pl.DataFrame) -> pl.Series:
    """The numbers of the rows, in order, that equal an earlier one in all fields, parts of seconds too.

    Equal hashes of user, item and time point out the few rows that are compared.
    """
    users, fields = coded(events["user"]), [name for name in (*ALIKE, PART) if name in events.columns]
    hashed = pl.col("user").hash(0) ^ pl.col("item").hash(1) ^ pl.col("time").hash(2)

    def again(rows: pl.Series) -> pl.Series:
        some = events.select(pl.col(fields).gather(rows), row=rows)
        hashes = np.sort(some.select(hashed).to_series().to_numpy())
        twice = pl.Series(hashes[1:][hashes[1:] == hashes[:-1]])
        alike = some.filter(hashed.is_in(twice.implode()))
        return alike.filter(~pl.struct(fields).is_first_distinct())["row"]

    return by_parts(of_users(users, first_rows(users)), again).sort()


def _in_core(fields: Sequence[pl.Series], k: int) -> pl.Series:
    """[len] bool: the events of the core, from the codes of their users and of their items."""
    kept = pl.repeat(True, len(fields[0]), eager=True)
    while True:
        often = [_often(ids, kept, k) for ids in fields]
        if (left := kept & often[0] & often[1]).equals(kept):
            return kept
        kept = left


def _often(ids: pl.Series, kept: pl.Series, k: int) -> pl.Series:
    """[len] bool: whether there are at least k of an event's user, or item, among those that are kept."""
    counts = np.bincount(ids.to_physical().filter(kept), minlength=len(known(ids)))
    return pl.Series(counts >= k).gather(ids.to_physical())


def _once(events: pl.DataFrame, rules: Dataset) -> tuple[pl.DataFrame, int]:
    """The events as `dataset.duplicates` leaves them, and how many repeat an earlier one exactly.

    The order of parts of seconds has been seen to; they go.
    """
    repeats = exact_repeats(events)
    if len(repeats) and rules.duplicates == "refuse":
        first = events.row(repeats[0], named=True)
        shown = ", ".join(f"{name} {first[name]}" for name in ALIKE)
        raise InvalidInput(
            f"{len(repeats)} of the {len(events)} events of the data set {rules.name} repeat an earlier one "
            f"exactly, as does {shown}: dataset.duplicates=drop leaves such events out, keep keeps them."
        )
    if PART in events.columns:
        events.drop_in_place(PART)
    if len(repeats) and rules.duplicates == "drop":
        gone = pl.int_range(len(events), dtype=pl.UInt32, eager=True).is_in(repeats.implode())
        return only(events, ~gone), len(repeats)
    return events, len(repeats)


def _whys(items: pl.Series, judged: pl.DataFrame) -> pl.Series:
    """[len] Enum: why the item of each event is not used; of one that is not judged, that it has no title."""
    numbers = coded(items)
    told = known(numbers).to_frame("item").join(judged, on="item", how="left", maintain_order="left")
    return coded(told["why"].fill_null("no title")).gather(numbers.to_physical()).alias("why")


def _fault(rules: Dataset) -> pl.Expr:
    """Why the items of a title are not used; "" where they are."""
    title, item = pl.col("title"), pl.col("item")
    first = item == item.min().over("title")
    length, drop = title.str.len_chars(), rules.title_markup == "drop"
    return (
        pl.when(title.is_null() | (title.str.strip_chars() == ""))
        .then(pl.lit("no title"))
        .when(length <= rules.title_longer_than)
        .then(pl.lit(f"title of at most {rules.title_longer_than} characters"))
        .when(length > pl.lit(rules.title_max, pl.Int64))
        .then(pl.lit(f"title of more than {rules.title_max} characters"))
        .when(pl.lit(drop) & title.str.contains(MARKUP))
        .then(pl.lit("title that is markup or code"))
        .when(pl.lit(rules.title_unique) & ~first)
        .then(pl.lit("title of another item"))
        .otherwise(pl.lit(""))
    )
