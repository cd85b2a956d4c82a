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

from goracs.data.dataset import Interactions
from goracs.data.readers.events import Unit, checked
from goracs.data.readers.raw import digest, found, json_lines, text_lines
from goracs.types import InvalidInput

Titles = Literal["parsed", "released"]
Brand = Literal["none", "nonempty", "always"]
META = ("item", "title", "brand")


def digests(reviews: str, items: str) -> dict[str, str]:
    """What the two files hold; InvalidInput if one is missing."""
    return {
        "reviews": digest(found(reviews, "dataset.reviews")),
        "items": digest(found(items, "dataset.items")),
    }


def review_events(
    file: Path, fields: Mapping[str, str], unit: Unit, scale: Sequence[float] | None, broken_lines: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The events of a file of reviews, and why -> how many of its lines were left out.

    Args:
        file: JSON lines.
        fields: user, item, rating, time -> the field that has it.
        unit: as in `goracs.data.readers.events.checked`.
        scale: likewise.
        broken_lines: as `most_broken` of `goracs.data.readers.raw.json_lines`.

    Raises:
        InvalidInput: whatever those two refuse.
    """
    types = {"user": pl.String(), "item": pl.String(), "rating": pl.Float64(), "time": pl.Int64()}
    read = {field: types[name] for name, field in fields.items()}
    rows, left_out = json_lines(file, read, list(read), broken_lines)
    return checked(rows.select(**fields), file, scale, unit), left_out


def parsed_meta(
    file: Path, fields: Mapping[str, str], broken_lines: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """item, title, brand (str, null where there is none) of JSON lines, and what was left out of them."""
    read = {field: pl.String() for field in fields.values()}
    rows, left_out = json_lines(file, read, [fields["item"]], broken_lines)
    return rows.select(**fields), left_out


def released_meta(file: Path, patterns: Mapping[str, str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """item, title, brand (str, null where nothing matches) by the notebooks' rule, and the lines left out.

    Args:
        file: text in UTF-8.
        patterns: item, title, brand -> a regular expression with one group; its first match counts.

    Raises:
        InvalidInput: no line has an item and a title, or the file is no text.
    """
    line = pl.col("line").str.replace_all("'", "_", literal=True)
    found = text_lines(file, **{name: line.str.extract(pattern) for name, pattern in patterns.items()})
    rows = found.filter(pl.col("item").is_not_null())
    if rows["title"].null_count() == len(rows):
        raise InvalidInput(
            f"{file} has no title by the rule dataset.titles=released, which looks for {patterns['title']}: "
            "it must be the file as published; or take dataset.titles=parsed."
        )
    lost = len(found) - len(rows)
    return rows.select(META), {"line without an item by the released rule": lost} if lost else {}


def catalogue(meta: pl.DataFrame, brand: Brand) -> tuple[pl.DataFrame, dict[str, int]]:
    """item (distinct), title of metadata rows, in file order, and how many lines another one outdid."""
    rows = meta.with_columns(title=_named(brand), titled=pl.col("title").is_not_null())
    last = rows.with_row_index("row").sort("titled", "row").unique("item", keep="last", maintain_order=True)
    repeated = len(rows) - len(last)
    reason = "line of an item that has another line"
    return last.sort("row").select("item", "title"), {reason: repeated} if repeated else {}


def interactions(
    events: tuple[pl.DataFrame, dict[str, int]], meta: tuple[pl.DataFrame, dict[str, int]], brand: Brand
) -> Interactions:
    """The two tables, and what was left out of either file."""
    items, repeated = catalogue(meta[0], brand)
    excluded = {
        f"{file}: {reason}": count
        for file, reasons in (("reviews", events[1]), ("items", meta[1] | repeated))
        for reason, count in reasons.items()
    }
    return Interactions(events[0], items, excluded)


def _named(brand: Brand) -> pl.Expr:
    title, maker = pl.col("title"), pl.col("brand")
    if brand == "none":
        return title
    shown = maker.is_not_null() if brand == "always" else maker.fill_null("") != ""
    return pl.when(shown).then(pl.concat_str(title, pl.lit(" - "), maker)).otherwise(title)
