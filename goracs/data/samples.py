"""From events to samples: each sample is a target event and the user's items just before it.

Rule      per user a stable sort by time, giving items[0..n-1]; for i in range(min(h, n - 1), n) one sample
          with target items[i] and history items[max(i - h, 0):i]; then one stable sort of all samples by
          the target's time. So a user of more than h events gives one sample per position >= h, any other
          user one: the last event.
Ties      events of one user at one time keep file order; samples at one time go by the first appearance of
          their user in the file, then by position.
Source    the sample rule of the GORACS notebooks with h = 10, docs/method.md section 6.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from goracs.types import InvalidInput


def samples(events: pl.DataFrame, history: int, min_history: int) -> pl.DataFrame:
    """All samples of a table of events, in time order.

    Args:
        events: user str, item str, rating f64, time i64 (seconds); no nulls; in file order.
        history: h >= 1; the most items in a history.
        min_history: samples with fewer history items are left out.

    Returns: user, item, rating, time of the target, history (list of item ids, oldest first) and
        history_rating (list of f64, the same length).

    Cost: O(events x h) time and memory.
    """
    place, count = pl.col("place"), pl.len().over("user")
    return (
        _by_user(events)
        .with_columns(
            history=_previous("item", history),
            history_rating=_previous("rating", history),
        )
        .filter(place >= pl.min_horizontal(pl.lit(history), count - 1))
        .filter(pl.col("history").list.len() >= min_history)
        .sort("time", maintain_order=True)
        .select("user", "item", "rating", "time", "history", "history_rating")
    )


def subsample(pool: pl.DataFrame, size: int | None, seed: int) -> pl.DataFrame:
    """`size` rows drawn uniformly without replacement, in their old order; all of them if `size` is None.

    Raises:
        InvalidInput: `size` is larger than the pool.
    """
    if size is None:
        return pool
    if size > len(pool):
        raise InvalidInput(
            f"dataset.size is {size}, but the pool of this split has {len(pool)} samples: "
            "ask for no more than that, or null for all."
        )
    rows = np.random.default_rng(seed).choice(len(pool), size, replace=False)
    return pool[np.sort(rows)]


def _by_user(events: pl.DataFrame) -> pl.DataFrame:
    """Events grouped by user (first appearance first) and sorted by time, with `place` 0..n-1 therein."""
    row = pl.col("row")
    return (
        events.with_row_index("row")
        .sort(row.min().over("user"), "time", "row")
        .with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over("user"))
    )


def _previous(column: str, count: int) -> pl.Expr:
    """The up to `count` values of the same user before each row, oldest first."""
    steps = [pl.when(pl.col("place") >= k).then(pl.col(column).shift(k)) for k in range(count, 0, -1)]
    return pl.concat_list(steps).list.drop_nulls()
