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
from goracs.data.readers.raw import Broken, found, kept, text_lines

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
        items: path of the metadata, as in meta_Grocery_and_Gourmet_Food.json.gz.
        titles: parsed or released.
        brand: none, nonempty or always.
        broken_lines: so many broken lines of either file may be left out, >= 0.
    """

    files: ClassVar[tuple[str, ...]] = ("reviews", "items")

    reviews: str
    items: str
    titles: amazon.Titles
    brand: amazon.Brand
    broken_lines: int

    def digests(self) -> dict[str, str]:
        """reviews, items -> sha256 (hex)."""
        return amazon.digests(self.reviews, self.items)

    def read(self) -> Interactions:
        """The reviews and the products; InvalidInput for a file that is missing or damaged."""
        reviews, items = found(self.reviews, "dataset.reviews"), found(self.items, "dataset.items")
        events = amazon.review_events(reviews, REVIEW, "s", self.scale, self.broken_lines)
        if self.titles == "released":
            meta = amazon.released_meta(items, RELEASED)
        else:
            meta = _literal_meta(items, self.broken_lines)
        return amazon.interactions(events, meta, self.brand)


def _literal_meta(file: Path, broken_lines: int) -> tuple[pl.DataFrame, dict[str, int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the literals hold escapes that Python does not know
        rows, left_out = kept(file, _literals(file), broken_lines)
    return pl.DataFrame(rows, schema=dict.fromkeys(META, pl.String()), orient="row"), left_out


def _literals(file: Path) -> Iterator[Row | Broken]:
    for number, line in text_lines(file, line=pl.col("line")).iter_rows():
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
    texts = all(value is None or isinstance(value, str) for value in row)
    return row if texts and row[0] else None
