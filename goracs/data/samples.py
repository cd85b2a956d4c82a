"""From events to samples: each sample is a target event and the user's items just before it.

Rule      per user a stable sort by time, giving items[0..n-1]; for i in range(min(h, n - 1), n) one sample
          with target items[i] and history items[max(i - h, 0):i]; then one stable sort of all samples by
          the target's time. So a user of more than h events gives one sample per position >= h, any other
          user one: the last event. With `every_event` the range starts at min(1, n - 1).
Ties      events of one user at one time keep the order that they come in (`goracs.data.ties`); samples at one
          time go by the first appearance of their user in it, then by position.
Form      a sample is its target's row in the log and the number of rows shown before it: histories are
          looked up when they are needed, since all of them at once are ten times the events.
Source    the sample rule of the GORACS notebooks with h = 10, docs/data.md.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from goracs.data.codes import coded
from goracs.data.parts import by_parts, first_rows, moved, of_times, of_users
from goracs.types import InvalidInput

Draw = Literal["uniform", "newest", "users", "half_oldest"]
OLDEST = 0.1  # share of the pool that half_oldest draws its half from


def user_logs(events: pl.DataFrame) -> pl.DataFrame:
    """Events user by user (first appearance first), each user's in time order.

    Args:
        events: user, item (texts or codes), rating f64, time i64 (seconds); in the order that decides ties;
            emptied.

    Returns: the same columns.
    """
    return moved(events, None if _is_log(events) else _by_user(events))


def samples(log: pl.DataFrame, history: int, min_history: int, every_event: bool) -> pl.DataFrame:
    """All samples of a log, in time order.

    Args:
        log: as `user_logs` gives it.
        history: h >= 1; the most items in a history.
        min_history: samples with fewer history items are left out.
        every_event: whether every event but a user's first is a target, too few behind it or not.

    Returns: user and time of the target, its `row` in the log, how many rows before that one are `shown`, and
        whether the last of these is `tied`: at the target's own time.
    """
    row, user, place = pl.int_range(pl.len(), dtype=pl.UInt32), pl.col("user"), pl.col("place")
    start = pl.when(user.ne_missing(user.shift(1))).then(row).forward_fill()
    last, tied = user.ne_missing(user.shift(-1)), pl.col("time") == pl.col("time").shift(1)
    first = 1 if every_event else history
    places = log.select(place=row - start, last=last, tied=tied).select(
        "place",
        tied=(place > 0) & pl.col("tied"),
        target=((place >= first) | pl.col("last")) & (place >= min_history) & (min_history <= history),
    )
    rows = _by_time(log["time"], places["target"])
    return pl.DataFrame(
        {
            "row": rows,
            "shown": places.drop_in_place("place").gather(rows).clip(upper_bound=history),
            "tied": places["tied"].gather(rows),
            "user": log["user"].gather(rows),
            "time": log["time"].gather(rows),
        }
    )


def with_history(rows: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """Samples with `item`, `rating`, `history` (items, oldest first) and `history_rating` of their log."""
    here = pl.col("row").cast(pl.Int64)
    numbered = rows.with_row_index("sample")
    before = pl.int_ranges(here - pl.col("shown"), here, dtype=pl.UInt32)
    shown = numbered.filter(pl.col("shown") > 0).select("sample", row=before).explode("row")
    looked_up = shown.select("sample", *(log[name].gather(shown["row"]) for name in ("item", "rating")))
    histories = looked_up.group_by("sample", maintain_order=True).agg(history="item", history_rating="rating")
    return (
        numbered.with_columns(log[name].gather(rows["row"]) for name in ("item", "rating"))
        .join(histories, on="sample", how="left", maintain_order="left")
        .with_columns(pl.col("history", "history_rating").fill_null([]))
        .drop("sample")
    )


def subsample(pool: pl.DataFrame, size: int | None, how: Draw, seed: int) -> pl.DataFrame:
    """`size` rows of the pool, in their old order; all of them if `size` is None.

    Args:
        pool: samples in time order; `user` is read for `users` alone.
        size: rows wanted.
        how: `uniform` draws rows without replacement, `newest` takes the last, `users` draws whole users
            until the size is reached (of the last one drawn, the newest rows); `half_oldest` draws half of
            the rows from the oldest tenth of the pool, the others from the rest: half is out of date.
        seed: of the draw.

    Raises:
        InvalidInput: `size` is larger than the pool, or half of it than its oldest tenth.
    """
    if size is None:
        return pool
    if size > len(pool):
        raise InvalidInput(
            f"dataset.size is {size}, but the pool of this split has {len(pool)} samples: "
            "ask for no more than that, or null for all."
        )
    if how == "newest":
        return pool[len(pool) - size :]
    rng = np.random.default_rng(seed)
    if how == "users":
        return pool[np.sort(_rows_of_users(pool, rng)[:size])]
    if how == "half_oldest":
        return pool[np.sort(_half_oldest(len(pool), size, rng))]
    return pool[np.sort(rng.choice(len(pool), size, replace=False))]


def flip(pool: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The pool with `flipped` bool: true for `share` of its rows (rounded), by chance."""
    count = int(share * len(pool) + 0.5)
    rows = np.random.default_rng([seed, count]).choice(len(pool), count, replace=False)
    return pool.with_columns(flipped=pl.Series(np.isin(np.arange(len(pool)), rows)))


def _half_oldest(total: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    old, half = int(OLDEST * total), size // 2
    if half > old or size - half > total - old:
        raise InvalidInput(
            f"dataset.sample=half_oldest takes half of dataset.size={size} from the {old} oldest of the "
            f"pool's {total} samples, and the rest from the others: ask for fewer."
        )
    oldest = rng.choice(old, half, replace=False)
    return np.concatenate([oldest, old + rng.choice(total - old, size - half, replace=False)])


def _rows_of_users(pool: pl.DataFrame, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """All rows of the pool, users in random order, each user's newest first."""
    users = pool.select("user", row=pl.int_range(pl.len())).group_by("user", maintain_order=True).agg("row")
    drawn = users["row"].list.reverse().gather(rng.permutation(len(users)))
    rows: npt.NDArray[np.int64] = drawn.explode().to_numpy()
    return rows


def _is_log(events: pl.DataFrame) -> bool:
    """Whether the events are in that order, as those are that were sorted for their ties."""
    user, time = pl.col("user"), pl.col("time")
    same = user.eq_missing(user.shift(1))
    together = (~same).sum() == user.n_unique()
    in_time = (same & (time < time.shift(1))).sum() == 0
    return bool(events.select(together & in_time).item())


def _by_user(events: pl.DataFrame) -> pl.Series:
    """[len] u32: the numbers of the rows user by user, each user's in time order."""
    users = coded(events["user"])
    first = first_rows(users)

    def ordered(rows: pl.Series) -> pl.Series:
        keyed = pl.DataFrame(
            {
                "first": pl.Series(first).gather(users.to_physical().gather(rows)),
                "time": events["time"].gather(rows),
                "row": rows,
            }
        )
        return keyed.sort(pl.all())["row"]

    return by_parts(of_users(users, first), ordered)


def _by_time(time: pl.Series, target: pl.Series) -> pl.Series:
    """[samples] u32: the numbers of the rows that are targets, in time order."""

    def ordered(rows: pl.Series) -> pl.Series:
        targets = rows.filter(target.gather(rows))
        keyed = pl.DataFrame({"row": targets, "time": time.gather(targets)})
        return keyed.sort("time", maintain_order=True)["row"]

    return by_parts(of_times(time), ordered)
