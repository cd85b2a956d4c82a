"""What the editions of the Amazon reviews share: events of reviews, titles of metadata.

Titles    `parsed`: the value that the metadata hold. `released`: what the regular expressions of the GORACS
          notebooks find in the raw line once every apostrophe in it is an underscore; a title ends where they
          end it. The published counts of Movies and Food come out with these alone.
Brands    `none`: the title alone. `nonempty`: "title - brand" where there is one. `always`: the same wherever
          there is a brand, an empty one too.
Repeats   of the lines of one item the last one with a title counts.
Source    docs/data.md; Jianmo Ni, Jiacheng Li, Julian McAuley: Justifying recommendations using
          distantly-labeled reviews and fine-grained aspects. EMNLP 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from goracs.data.codes import ID
from goracs.data.dataset import Interactions
from goracs.data.readers.encoding import shown
from goracs.data.readers.events import WHOLE, Unit, checked, refuse, untitled
from goracs.data.readers.files import Files, Place, digest_of, joined, listed
from goracs.data.readers.lines import json_lines, text_lines
from goracs.data.readers.raw import Rows, last_line
from goracs.types import InvalidInput

Titles = Literal["parsed", "released"]
Brand = Literal["none", "nonempty", "always"]
META = ("item", "title", "brand")


def digests(reviews: str, items: str | None) -> dict[str, str]:
    """What the files hold; InvalidInput if one is missing."""
    of_reviews = {"reviews": digest_of(listed(reviews, "dataset.reviews"))}
    return of_reviews if items is None else of_reviews | {"items": digest_of(listed(items, "dataset.items"))}


def review_events(
    files: Place | Files,
    fields: Mapping[str, str],
    unit: Unit,
    scale: Sequence[float] | None,
    broken_lines: int,
) -> Rows:
    """The events of a file of reviews, or of many.

    Args:
        files: JSON lines.
        fields: user, item, rating, time -> the field that has it.
        unit: as in `goracs.data.readers.events.checked`.
        scale: likewise.
        broken_lines: as `most_broken` of `goracs.data.readers.lines.json_lines`.

    Raises:
        InvalidInput: whatever those two refuse.
    """
    types = {"user": pl.String(), "item": pl.String(), "rating": pl.Float64(), "time": pl.Float64()}
    asked = {field: types[name] for name, field in fields.items()}
    needed, most = list(asked), broken_lines

    def read(file: Path) -> Rows:
        rows = json_lines(file, asked, needed, most)
        return rows._replace(table=rows.table.cast({fields[name]: ID for name in ("user", "item")}))

    rows, origin = joined(files, read, most)
    events, time = rows.table.select(**fields), rows.table[fields["time"]]
    wrong = (time != time.round()) | (time.abs() >= WHOLE)
    refuse(origin, "has a time that is no whole number", time, wrong)
    return rows._replace(table=checked(events.cast({"time": pl.Int64}), origin, scale, unit))


def parsed_meta(files: Place | Files, fields: Mapping[str, str], broken_lines: int) -> Rows:
    """item, title, brand (str, null where there is none) of JSON lines."""
    asked, key = {field: pl.String() for field in fields.values()}, fields["item"]
    rows, _ = joined(files, lambda file: json_lines(file, asked, [key], broken_lines), broken_lines)
    return rows._replace(table=rows.table.select(**fields))


def released_meta(files: Place | Files, patterns: Mapping[str, str], broken_lines: int) -> Rows:
    """item, title, brand (str, null where nothing matches) by the notebooks' rule.

    Args:
        files: a line for each item, which ends in a brace.
        patterns: item, title, brand -> a regular expression with one group; its first match counts.
        broken_lines: so many lines that are not UTF-8 are read as Windows-1252.

    Raises:
        InvalidInput: no line has an item and a title, the last line is cut, or more lines are not UTF-8.
    """
    return joined(files, lambda file: _released(file, patterns, broken_lines), None)[0]


def _released(file: Path, patterns: Mapping[str, str], broken_lines: int) -> Rows:
    _refuse_cut_line(file)
    line = pl.col("line").str.replace_all("'", "_", literal=True)
    extracted = {name: line.str.extract(pattern) for name, pattern in patterns.items()}
    found, _, noted = text_lines(file, broken_lines, **extracted)
    rows = found.filter(pl.col("item").is_not_null())
    if rows["title"].null_count() == len(rows):
        raise InvalidInput(
            f"{file} has no title by the rule dataset.titles=released, which looks for {patterns['title']}: "
            "it must be the file as published; or take dataset.titles=parsed."
        )
    lost = len(found) - len(rows)
    left_out = {"line without an item by the released rule": lost} if lost else {}
    return Rows(rows.select(META), left_out, noted)


def catalogue(meta: pl.DataFrame, brand: Brand) -> tuple[pl.DataFrame, dict[str, int]]:
    """item (distinct), title of metadata rows, in file order, and how many lines another one outdid."""
    rows = meta.with_columns(title=_named(brand), titled=pl.col("title").is_not_null())
    last = rows.with_row_index("row").sort("titled", "row").unique("item", keep="last", maintain_order=True)
    repeated = len(rows) - len(last)
    reason = "line of an item that has another line"
    return last.sort("row").select("item", "title"), {reason: repeated} if repeated else {}


def interactions(events: Rows, meta: Rows | None, brand: Brand) -> Interactions:
    """The two tables, and what was left out of either file; without metadata an item's id is its title."""
    if meta is None:
        items, noted = untitled(events.table)
        meta = Rows(items, {}, noted)
    else:
        items, repeated = catalogue(meta.table, brand)
        meta = meta._replace(left_out=meta.left_out | repeated)
    files = {"reviews": events, "items": meta}
    return Interactions(
        events.table,
        items,
        {f"{name}: {why}": count for name, rows in files.items() for why, count in rows.left_out.items()},
        {f"{name}: {why}": count for name, rows in files.items() for why, count in rows.noted.items()},
    )


def _refuse_cut_line(file: Path) -> None:
    line = last_line(file)
    if line is not None and line.strip() and not line.rstrip().endswith(b"}"):
        raise InvalidInput(
            f"{file} ends in the middle of a line: {shown(line.decode(errors='replace'))}. It is cut short: "
            "get it again."
        )


def _named(brand: Brand) -> pl.Expr:
    title, maker = pl.col("title"), pl.col("brand")
    if brand == "none":
        return title
    shown = maker.is_not_null() if brand == "always" else maker.fill_null("") != ""
    return pl.when(shown).then(pl.concat_str(title, pl.lit(" - "), maker)).otherwise(title)
