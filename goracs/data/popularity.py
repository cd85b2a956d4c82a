"""What the pool alone tells of the next item, without any text: the rules of the SeqRec task.

Popularity   of an item: how many users of the pool have it, as a target or in a history shown; 0 where none.
`popular`    the rule that ranks by it, the same for every user.
`last_item`  the rule that ranks by how many users of the pool took an item right behind the last one of the
             history, and by popularity where as many did: by that alone behind an item that ends each log.
Conventions  a user counts once, however many samples show the same. Distances: smaller is better; ties stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from goracs.types import Example, FloatArray


def read_pool(folder: Path) -> pl.DataFrame:
    """user, item, history (a list of items) of the pool in a prepared folder."""
    return pl.read_parquet(folder / "train.parquet", columns=["user", "item", "history"], glob=False)


def popularity(pool: pl.DataFrame) -> dict[str, int]:
    """Item -> its popularity; items of which the pool knows nothing are absent."""
    had = pool.select("user", item=pl.concat_list("history", "item")).explode("item").unique()
    return dict(had.group_by("item").len().iter_rows())


def followers(pool: pl.DataFrame) -> dict[tuple[str, str], int]:
    """(An item, the next one) -> how many users of the pool took the second right behind the first."""
    steps = (
        pool.filter(pl.col("history").list.len() > 0)
        .select("user", before="history", after=pl.concat_list(pl.col("history").list.slice(1), "item"))
        .explode("before", "after")
        .unique()
    )
    counts = steps.group_by("before", "after").len()
    return {(before, after): count for before, after, count in counts.iter_rows()}


def popular(
    _examples: Sequence[Example], candidates: Sequence[Sequence[str]], pool: pl.DataFrame
) -> list[FloatArray]:
    """The distances [c] float64 of each example's candidate items by popularity."""
    users = popularity(pool)
    return [-np.array([users.get(item, 0) for item in row], dtype=np.float64) for row in candidates]


def last_item(
    examples: Sequence[Example], candidates: Sequence[Sequence[str]], pool: pl.DataFrame
) -> list[FloatArray]:
    """The distances [c] float64 of each example's candidate items by the last item of its history."""
    behind, less = followers(pool), 1 + max(popularity(pool).values())
    found: list[FloatArray] = []
    for example, row, base in zip(examples, candidates, popular(examples, candidates, pool), strict=True):
        last = example.history[-1] if example.history else ""
        taken = np.array([behind.get((last, item), 0) for item in row], dtype=np.float64)
        found.append(base / less - taken)  # popularity weighs less than one follower
    return found
