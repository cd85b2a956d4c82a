"""Tables of many events with little more memory than they take: a part at a time, a column at a time.

Parts   what is sorted or grouped is held several times over. So that is done for some users, or for a span of
        time, and then for the next; whole ones, in the order wanted: all parts together are what would come
        out at once.
Moved   two tables of all events are never there: the columns of the one go as those of the other come.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from goracs.data.codes import known

PARTITION = 1 << 21  # events of a part, about


def of_users(users: pl.Series, rank: npt.NDArray[np.unsignedinteger]) -> pl.Series:
    """[len] u16: the part of each event, users in the order of their `rank`.

    Args:
        users: [len] codes (an Enum).
        rank: [known users].
    """
    codes = users.to_physical().to_numpy()
    order = np.argsort(rank, kind="stable")
    behind = np.cumsum(np.bincount(codes, minlength=len(rank))[order])
    part = np.empty(len(rank), np.uint16)
    part[order] = behind // PARTITION
    return pl.Series(part).gather(users.to_physical())


def of_times(times: pl.Series) -> pl.Series:
    """[len] u16: the part of each event, a span of time."""
    count = 1 + len(times) // PARTITION
    some = np.sort(times.gather_every(max(1, PARTITION // 64)).to_numpy())
    ends = some[np.arange(1, count) * len(some) // count]
    return pl.Series(ends).search_sorted(times, side="right").cast(pl.UInt16)


def by_parts(part: pl.Series, one: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """What `one` makes of the numbers of the rows (u32, ascending) of each part, one behind the other."""
    parts: int = part.max() or 0  # type: ignore[assignment]
    return pl.concat([one((part == k).arg_true()) for k in range(parts + 1)], rechunk=True)


def first_rows(users: pl.Series) -> npt.NDArray[np.uint32]:
    """[known users] u32: the number of each one's first row; of one without any, how many there are."""
    codes = users.to_physical().to_numpy()
    first = np.full(len(known(users)), len(codes), np.uint32)
    first[codes[::-1]] = np.arange(len(codes), dtype=np.uint32)[::-1]  # the last that is written stays
    return first


def moved(table: pl.DataFrame, rows: pl.Series | None) -> pl.DataFrame:
    """The rows with these numbers, in their order, or all; `table` is emptied."""
    columns = (table.drop_in_place(name) for name in table.columns)
    return pl.DataFrame([values if rows is None else values.gather(rows) for values in columns])


def only(table: pl.DataFrame, mask: pl.Series) -> pl.DataFrame:
    """The rows where `mask` is true, in order; `table` is emptied."""
    return moved(table, None if mask.all() else mask.arg_true())
