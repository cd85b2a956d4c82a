"""What every reader refuses in the events it has read, whatever their format.

Rows   are counted from 1, without the broken lines that a reader has left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from goracs.data.numbers import check_scale
from goracs.types import InvalidInput

Unit = Literal["s", "ms"]
MILLISECONDS = 100_000_000_000  # a time from here on (the year 5138, or March 1973 in ms) is in milliseconds


def checked(
    frame: pl.DataFrame, file: Path, scale: Sequence[float] | None, unit: Unit, rated: bool = True
) -> pl.DataFrame:
    """The events of one file with their time in seconds, if nothing is wrong with them.

    Args:
        frame: user str, item str, rating f64, time i64 in `unit`; in file order.
        file: where they are from, for messages.
        scale: the least and the greatest rating; None: any finite number.
        unit: of `frame`'s time. Where it is ms, events of one user in one second come in the order of
            their milliseconds, in the rows that they have together.
        rated: False where there are no ratings: all are null then.

    Returns: user, item, rating, time (i64, seconds), and `ms` (i64, 0..999) where one user has several
        events in a second and the unit is ms.

    Raises:
        InvalidInput: no rows, an empty id, a missing value, a rating that is not finite or off the scale, a
            time in the other unit.
    """
    if frame.is_empty():
        raise InvalidInput(f"{file} has no events: the data set is empty.")
    for name in ("user", "item", *(["rating"] if rated else []), "time"):
        refuse(file, f"has no {name}", frame[name], frame[name].is_null())
    for name in ("user", "item"):
        refuse(file, f"has an empty {name}", frame[name], frame[name] == "")
    rating, time = frame["rating"], frame["time"]
    refuse(file, "has a rating that is not finite", rating, ~rating.is_finite())
    if scale is not None:
        check_scale(scale)
        low, high = scale
        off = ~rating.is_between(low, high)
        refuse(file, f"has a rating outside dataset.scale=[{low},{high}]", rating, off)
    early, late = time < MILLISECONDS, time >= MILLISECONDS
    if unit == "s":
        refuse(file, "has a time in milliseconds, not in seconds,", time, late)
        return frame.select("user", "item", "rating", "time")
    refuse(file, "has a time in seconds, not in milliseconds,", time, early)
    return _in_seconds(frame)


def refuse(file: Path, fault: str, values: pl.Series, wrong: pl.Series) -> None:
    """Raise InvalidInput, naming the first, if a row is wrong."""
    rows = wrong.arg_true()
    if len(rows):
        value = values[rows[0]]
        shown = "" if value is None else f": {value!r}"
        raise InvalidInput(
            f"{file} {fault} in {len(rows)} of its {len(wrong)} rows, first in row {rows[0] + 1}{shown}."
        )


def _in_seconds(frame: pl.DataFrame) -> pl.DataFrame:
    time = pl.col("time")
    whole = frame.select("user", "item", "rating", time=time // 1000, ms=time % 1000)
    together = ["user", "time"]
    if not whole.select(pl.struct(together).is_duplicated().any()).item():
        return whole.drop("ms")
    ordered = pl.col("item", "rating", "ms").sort_by("ms", maintain_order=True)
    return whole.with_columns(ordered.over(together))
