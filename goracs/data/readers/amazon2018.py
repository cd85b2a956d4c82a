"""The Amazon review data of 2018: reviews and metadata as JSON lines, one category a file.

Fields    reviews: reviewerID, asin, overall, unixReviewTime (seconds). metadata: asin, title, brand.
Source    as `goracs.data.readers.amazon`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers import amazon
from goracs.data.readers.files import listed
from goracs.data.readers.raw import Rows

REVIEW = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
META = {"item": "asin", "title": "title", "brand": "brand"}
RELEASED = {name: f'"{field}": "(.*?)"' for name, field in META.items()}


@dataclass(frozen=True, kw_only=True)
class Amazon2018(Dataset):
    """Reader of one category.

    Args:
        reviews: path of the reviews, as in Video_Games_5.json.gz.
        items: path of the metadata, as in meta_Video_Games.json.gz; None: an item's id is its title.
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
        return amazon.parsed_meta(items, META, self.broken_lines)
