"""What every reader refuses in the events it has read, whatever their format.

Rows    are counted from 1, without the broken lines that a reader has left out.
Units   a number of seconds lies between 1973 and the year 5138, or it is in another unit, a year, a date
        or no time at all; a thousand times as much in milliseconds, and so on: no unit passes for another.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import polars as pl

from goracs.data.numbers import check_scale
from goracs.data.readers.files import Files, Place
from goracs.types import InvalidInput

Origin = Place | Files
Unit = Literal["s", "ms", "us", "ns", "step"]
UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
IN_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9, "date": 10**3}
FIRST, LAST = 10**8, 10**11  # seconds
STEPS = "Numbers that only count on are dataset=interactions dataset.time_unit=step."
WHOLE = 1 << 53  # floats below are exact
log = logging.getLogger("goracs")


def checked(
    frame: pl.DataFrame,
    file: Origin,
    scale: Sequence[float] | None,
    unit: Unit | Literal["date"],
    rated: bool = True,
) -> pl.DataFrame:
    """The events of one file with their time in seconds, if nothing is wrong with them.

    Args:
        frame: user, item (texts or codes), rating f64, time i64 in `unit`; in file order.
        file: where they are from, for messages.
        scale: the least and the greatest rating; None: any finite number.
        unit: of `frame`'s time; `step`: of numbers only the order counts, they stay; `date`: milliseconds of
            dates. Where it is finer than seconds, events of one user in one second come in the order of
            their times, in the rows that they have together.
        rated: False where there are no ratings: all are null then.

    Returns: user, item, rating, time (i64, seconds), and `part` (i64; of the second, in the unit) where one
        user has several events in a second and the unit is finer.

    Raises:
        InvalidInput: no rows, an empty id, a missing value, a rating that is not finite or off the scale, a
            time in another unit, or none.
    """
    if frame.is_empty():
        raise InvalidInput(f"{file} has no events: the data set is empty.")
    for name in ("user", "item", *(["rating"] if rated else []), "time"):
        refuse(file, f"has no {name}", frame[name], frame[name].is_null())
    for name in ("user", "item"):
        refuse(file, f"has an empty {name}", frame[name], frame[name] == "")
    rating = frame["rating"]
    refuse(file, "has a rating that is not finite", rating, ~rating.is_finite())
    if scale is not None:
        check_scale(scale)
        low, high = scale
        off = ~rating.is_between(low, high)
        refuse(file, f"has a rating outside dataset.scale=[{low},{high}]", rating, off)
    _refuse_no_time(file, frame["time"], unit)
    return _in_seconds(frame, IN_SECOND.get(unit, 1))


def refuse(file: Origin, fault: str, values: pl.Series, wrong: pl.Series, advice: str = "") -> None:
    """Raise InvalidInput, naming the first, if a row is wrong."""
    rows = wrong.arg_true()
    if len(rows):
        value = values[rows[0]]
        shown = "" if value is None else f": {value!r}"
        place = file.place(rows[0]) if isinstance(file, Files) else f"row {rows[0] + 1}"
        raise InvalidInput(
            f"{file} {fault} in {len(rows)} of its {len(wrong)} rows, first in {place}{shown}."
            + (advice and f" {advice}")
        )


def whole_numbers(texts: pl.Series) -> pl.Series:
    """[len] i64: the numbers that texts are, also as in 12.0; null where one is none."""
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() == texts.null_count():
        return numbers
    plain = texts.str.strip_chars()
    numbers, floats = plain.cast(pl.Int64, strict=False), plain.cast(pl.Float64, strict=False)
    exact = (floats == floats.round()) & (floats.abs() < WHOLE)
    return pl.select(
        pl.when(numbers.is_null() & exact).then(floats.cast(pl.Int64, strict=False)).otherwise(numbers)
    ).to_series()


def plain_ids(values: pl.Series) -> pl.Series:
    """[len] texts or codes: ids, without the .0 of whole numbers where every one of them has it."""
    if not _end_in_zeros(values.head(1)) or not _end_in_zeros(values.unique()):
        return values
    return values.cast(pl.String).str.replace(r"\.0+$", "").cast(values.dtype)


def _end_in_zeros(values: pl.Series) -> bool:
    return values.cast(pl.String).str.contains(r"^-?\d+\.0+$").all()


def untitled(events: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """The catalogue of events without metadata: every item in order, its id as title; told and counted."""
    items = events.select("item").unique(maintain_order=True).cast(pl.String).with_columns(title="item")
    log.warning("no metadata (dataset.items=null): the ids of %d items are their titles", len(items))
    return items, {"item without metadata, its id is its title": len(items)}


def _refuse_no_time(file: Origin, time: pl.Series, unit: str) -> None:
    if unit == "step":
        off = ~time.is_between(0, LAST - 1)
        refuse(file, f"has a step outside 0..{LAST - 1}", time, off)
        return
    refuse(file, "has a time of 0 or less, which is none,", time, time <= 0, f"Take such rows out. {STEPS}")
    last = min(LAST * IN_SECOND[unit], 1 << 63) - 1
    if unit == "date":
        refuse(file, "has a date behind the year 5138", time, time > last)
        return
    off = ~time.is_between(FIRST * IN_SECOND[unit], last)
    if off.any():
        _refuse_other_unit(file, time, off, unit)


def _refuse_other_unit(file: Origin, time: pl.Series, off: pl.Series, unit: str) -> None:
    value, asked = int(time.filter(off)[0]), UNITS[unit]
    meant = next((u for u in UNITS if FIRST <= value // IN_SECOND[u] < LAST), None)
    if meant:
        advice = f"Tables of your own (dataset=interactions) may have such times: dataset.time_unit={meant}."
        refuse(file, f"has a time in {UNITS[meant]}, not in {asked},", time, off, advice)
    advice = f"Years and days are read as dates, as in 2001-01-31. {STEPS}"
    refuse(file, f"has a time that is none in {asked} (those of 1973 to 5138 are read)", time, off, advice)


def _in_seconds(frame: pl.DataFrame, in_second: int) -> pl.DataFrame:
    whole = frame.select(
        "user", "item", "rating", time=pl.col("time") // in_second, part=pl.col("time") % in_second
    )
    together = ["user", "time"]
    finer = (whole["part"] != 0).any()
    if not (finer and whole.select(pl.struct(together).is_duplicated().any()).item()):
        return whole.drop("part")
    ordered = pl.col("item", "rating", "part").sort_by("part", maintain_order=True)
    return whole.with_columns(ordered.over(together))
