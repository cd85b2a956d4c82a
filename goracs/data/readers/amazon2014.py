"""The Amazon product data of 2014: reviews as JSON lines, metadata as one Python dict literal a line.

Fields    reviews: reviewerID, asin, overall, unixReviewTime (seconds). metadata: asin, title, brand.
Safety    a metadata line is parsed as a literal (`ast.literal_eval`), never evaluated.
Source    Ruining He, Julian McAuley: Ups and Downs. WWW 2016; titles as in `goracs.data.readers.amazon`.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers import amazon
from goracs.data.readers.files import joined, listed
from goracs.data.readers.kinds import is_text
from goracs.data.readers.lines import Broken, sifted, text_lines
from goracs.data.readers.raw import Rows

REVIEW = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
META = {"item": "asin", "title": "title", "brand": "brand"}
RELEASED = {name: rf"_{field}_:\s*_(.*?)_" for name, field in META.items()}
NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
Row = tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Amazon2014(Dataset):
    """Reader of one category.

    Args:
        reviews: path of the reviews, as in reviews_Grocery_and_Gourmet_Food_5.json.gz.
        items: path of the metadata, as in meta_Grocery_and_Gourmet_Food.json.gz; None: an item's id is its
            title.
        titles: parsed or released.
        brand: none, nonempty or always.
        broken_lines: so many broken lines of either file may be left out, and so many that are not UTF-8
            read as Windows-1252, >= 0.
    """

    files: ClassVar[tuple[str, ...]] = ("reviews", "items")

    reviews: str
    items: str | None
    titles: amazon.Titles
    brand: amazon.Brand
    broken_lines: int

    def digests(self) -> dict[str, str]:
        """reviews, and items where there are some -> sha256 (hex)."""
        return amazon.digests(self.reviews, self.items)

    def read(self) -> Interactions:
        """The reviews and the products; InvalidInput for a file that is missing or damaged."""
        reviews = listed(self.reviews, "dataset.reviews")
        events = amazon.review_events(reviews, REVIEW, "s", self.scale, self.broken_lines)
        return amazon.interactions(events, self._meta(), self.brand)

    def _meta(self) -> Rows | None:
        if self.items is None:
            return None
        items = listed(self.items, "dataset.items")
        if self.titles == "released":
            return amazon.released_meta(items, RELEASED, self.broken_lines)
        return joined(items, lambda file: _literal_meta(file, self.broken_lines), self.broken_lines)[0]


def _literal_meta(file: Path, broken_lines: int) -> Rows:
    lines = text_lines(file, broken_lines, line=pl.col("line"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the literals hold escapes that Python does not know
        rows = sifted(file, _literals(lines.table), broken_lines)
    table = pl.DataFrame(rows.kept, schema=dict.fromkeys(META, pl.String()), orient="row")
    return Rows(table, rows.left_out, lines.noted)


def _literals(lines: pl.DataFrame) -> Iterator[Row | Broken]:
    for number, line in lines.iter_rows():
        try:
            fields = ast.literal_eval(line)
        except NO_LITERAL as error:
            yield Broken(number, line, f"is no Python literal ({type(error).__name__})")
            continue
        yield _row(fields) or Broken(
            number, line, f"is no dict with {META['item']}, {META['title']} as texts"
        )


def _row(fields: object) -> Row | None:
    if not isinstance(fields, dict):
        return None
    row = tuple(fields.get(field) for field in META.values())
    return row if row[0] and all(value is None or is_text(value) for value in row) else None
