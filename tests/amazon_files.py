"""Small made-up files in the raw formats of the three Amazon editions, byte by byte a function of a seed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DAY = 86_400
START = 1_300_000_000 // DAY * DAY
WORDS = ("Silver", "River", "Don't Look", "Café", "Night", "Seven", "Winter's", "Garden", "Lost", "Iron")
USERS, ITEMS = 60, 40


def write_2014(folder: Path, seed: int) -> tuple[Path, Path]:
    """reviews and metadata; Python puts titles with an apostrophe in double quotes."""
    reviews = [
        {"reviewerID": user, "asin": item, "reviewText": "good", "overall": rating, "unixReviewTime": time}
        for user, item, rating, time in _events(seed)
    ]
    metadata = [
        {
            "asin": item,
            "categories": [["Food"]],
            "title": title,
            "related": {"also_bought": []},
            "brand": brand,
        }
        for item, title, brand in _items(seed)
    ]
    return _written(folder, "2014.json.gz", reviews, metadata, repr)


def write_2018(folder: Path, seed: int) -> tuple[Path, Path]:
    """reviews and metadata."""
    reviews = [
        {
            "overall": rating,
            "reviewerID": user,
            "asin": item,
            "style": {"Format:": " DVD"},
            "unixReviewTime": time,
        }
        for user, item, rating, time in _events(seed)
    ]
    metadata = [
        {"category": ["Films"], "title": title, "also_buy": [], "brand": brand, "asin": item}
        for item, title, brand in _items(seed)
    ]
    return _written(folder, "2018.json.gz", reviews, metadata, json.dumps)


def write_2023(folder: Path, seed: int) -> tuple[Path, Path]:
    """reviews and metadata; times in milliseconds."""
    reviews = [
        {"rating": rating, "title": "Five Stars", "asin": f"{item}V", "parent_asin": item, "user_id": user}
        | {"timestamp": time * 1000 + 321}
        for user, item, rating, time in _events(seed)
    ]
    metadata = [
        {"main_category": "Films", "title": title, "store": brand, "parent_asin": item}
        for item, title, brand in _items(seed)
    ]
    return _written(folder, "2023.jsonl.gz", reviews, metadata, json.dumps)


def _events(seed: int) -> list[tuple[str, str, float, int]]:
    """user, item, rating, time of 8 to 20 events of each user, item by item as Amazon's files have them."""
    rng, events = np.random.default_rng(seed), []
    for user in range(USERS):
        for item in rng.choice(ITEMS, rng.integers(8, 21), replace=False):
            time = START + DAY * int(rng.integers(2000))
            events.append((f"A{user:013d}", f"B{item:09d}", float(rng.integers(1, 6)), time))
    return sorted(events, key=lambda event: event[1])


def _items(seed: int) -> list[tuple[str, str, str]]:
    """item, title of 20 to 75 characters, brand (empty for every third)."""
    rng = np.random.default_rng(seed)
    return [
        (
            f"B{item:09d}",
            f"{' '.join(rng.choice(WORDS, rng.integers(3, 11)))} {item}",
            "Acme" if item % 3 else "",
        )
        for item in range(ITEMS)
    ]


def _written(
    folder: Path, name: str, reviews: list[Any], metadata: list[Any], line: Callable[[Any], str]
) -> tuple[Path, Path]:
    places = folder / f"reviews_{name}", folder / f"meta_{name}"
    for place, lines in zip(places, (map(json.dumps, reviews), map(line, metadata)), strict=True):
        place.write_bytes(gzip.compress("".join(f"{one}\n" for one in lines).encode(), mtime=0))
    return places
