"""The Amazon reviews of 2023: reviews and metadata as JSON lines, one category a file.

Fields    reviews: user_id, parent_asin (a product in all its variants), rating, timestamp (milliseconds).
          metadata: parent_asin, title, store (which stands for the brand).
Source    Yupeng Hou et al.: Bridging Language and Items for Retrieval and Recommendation. 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers import amazon
from goracs.data.readers.files import listed
from goracs.data.readers.raw import Rows

REVIEW = {"user": "user_id", "item": "parent_asin", "rating": "rating", "time": "timestamp"}
META = {"item": "parent_asin", "title": "title", "brand": "store"}


@dataclass(frozen=True, kw_only=True)
class Amazon2023(Dataset):
    """Reader of one category.

    Args:
        reviews: path of the reviews, as in Video_Games.jsonl.gz.
        items: path of the metadata, as in meta_Video_Games.jsonl.gz; None: an item's id is its title.
        brand: none, nonempty or always.
        broken_lines: so many broken lines of either file may be left out, and so many that are not UTF-8
            read as Windows-1252, >= 0.
    """

    files: ClassVar[tuple[str, ...]] = ("reviews", "items")

    reviews: str
    items: str | None
    brand: amazon.Brand
    broken_lines: int

    def digests(self) -> dict[str, str]:
        """reviews, and items where there are some -> sha256 (hex)."""
        return amazon.digests(self.reviews, self.items)

    def read(self) -> Interactions:
        """The reviews and the products; InvalidInput for a file that is missing or damaged."""
        reviews = listed(self.reviews, "dataset.reviews")
        events = amazon.review_events(reviews, REVIEW, "ms", self.scale, self.broken_lines)
        return amazon.interactions(events, self._meta(), self.brand)

    def _meta(self) -> Rows | None:
        if self.items is None:
            return None
        return amazon.parsed_meta(listed(self.items, "dataset.items"), META, self.broken_lines)
