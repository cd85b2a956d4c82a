"""What no reader lets through, and how milliseconds become seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers.events import checked, whole_numbers
from goracs.types import InvalidInput

FILE = Path("reviews.json")
TYPES = {"user": pl.String(), "item": pl.String(), "rating": pl.Float64(), "time": pl.Int64()}
SECONDS, MILLIS = 1_500_000_000, 1_500_000_000_000


def events(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TYPES, orient="row")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ((None, "i", 1.0, SECONDS), r"reviews\.json has no user in 1 of its 2 rows, first in row 2\."),
        (("u", None, 1.0, SECONDS), "has no item in 1 "),
        (("u", "i", None, SECONDS), "has no rating in 1 "),
        (("u", "i", 1.0, None), "has no time in 1 "),
        (("", "i", 1.0, SECONDS), "has an empty user in 1 "),
        (("u", "", 1.0, SECONDS), "has an empty item in 1 "),
        (("u", "i", float("nan"), SECONDS), "has a rating that is not finite in 1 "),
        (("u", "i", float("inf"), SECONDS), "has a rating that is not finite in 1 "),
        (
            ("u", "i", 5.5, SECONDS),
            r"outside dataset\.scale=\[1,5\] in 1 of its 2 rows, first in row 2: 5\.5",
        ),
        (("u", "i", 0.0, SECONDS), r"outside dataset\.scale=\[1,5\] .*: 0\.0"),
        (("u", "i", 1.0, MILLIS), "a time in milliseconds, not in seconds, in 1 .*row 2: 1500000000000"),
    ],
)
def test_checked_refuses_a_wrong_event(row: tuple[Any, ...], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        checked(events(("u", "i", 1.0, SECONDS), row), FILE, [1, 5], "s")


def test_checked_refuses_seconds_among_milliseconds() -> None:
    with pytest.raises(
        InvalidInput, match=r"a time in seconds, not in milliseconds, in 1 .*row 2: 1500000000"
    ):
        checked(events(("u", "i", 1.0, MILLIS), ("u", "i", 1.0, SECONDS)), FILE, None, "ms")


def test_checked_refuses_a_file_without_events() -> None:
    with pytest.raises(InvalidInput, match=r"reviews\.json has no events: the data set is empty"):
        checked(events(), FILE, None, "s")


@pytest.mark.parametrize("scale", [[1], [5, 1], [1, "x"]])
def test_checked_refuses_a_scale_that_is_no_scale(scale: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"dataset\.scale must be two numbers, the lesser first, or null; got"
    ):
        checked(events(("u", "i", 1.0, SECONDS)), FILE, scale, "s")


def test_checked_keeps_odd_ids_and_any_rating_without_a_scale() -> None:
    odd = events(("../../etc/passwd", "a\tb\n\x00", -7.5, SECONDS), (" ", "ünï", 1e6, 10**8))
    assert checked(odd, FILE, None, "s").rows() == odd.rows()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5000)), min_size=1, max_size=30))
def test_a_users_events_in_milliseconds_keep_their_order(rows: list[tuple[str, int]]) -> None:
    """Sorted by the seconds that are left, each user's items come as sorted by the milliseconds before."""
    frame = events(*((user, str(k), float(k), MILLIS + time) for k, (user, time) in enumerate(rows)))
    found = checked(frame, FILE, None, "ms")
    assert found["user"].to_list() == frame["user"].to_list()
    assert found["time"].to_list() == [time // 1000 for time in frame["time"]]
    assert (found["item"].cast(pl.Float64) == found["rating"]).all()
    for user in "ab":
        mine = pl.col("user") == user
        by_seconds = found.filter(mine).sort("time", maintain_order=True)["item"].to_list()
        assert by_seconds == frame.filter(mine).sort("time", maintain_order=True)["item"].to_list()


IN_SECOND: dict[Any, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@given(
    st.integers(10**8, 10**11 - 1), st.sampled_from(list(NAMES)), st.sampled_from(list(NAMES)), st.booleans()
)
def test_no_unit_passes_for_another(second: int, unit: Any, asked: Any, late: bool) -> None:
    """Whatever the moment between 1973 and 5138, alone or behind a right one."""
    time = second * IN_SECOND[unit]
    rows = [("u", "i", 1.0, SECONDS * IN_SECOND[asked])] * late + [("u", "i", 1.0, time)]
    if time >= 2**63:
        return
    if unit == asked:
        assert checked(events(*rows), FILE, None, asked)["time"].to_list()[-1] == second
        return
    match = (
        rf"a time in {NAMES[unit]}, not in {NAMES[asked]}, in 1 .*row {len(rows)}: {time}\..*time_unit={unit}"
    )
    with pytest.raises(InvalidInput, match=match):
        checked(events(*rows), FILE, None, asked)


@pytest.mark.parametrize("unit", NAMES)
@pytest.mark.parametrize(
    ("time", "match"),
    [
        (0, "a time of 0 or less, which is none, in 1 of its 2 rows, first in row 2: 0. .*time_unit=step"),
        (-SECONDS, "a time of 0 or less, which is none, in 1 .*row 2: -1500000000"),
        (2001, r"a time that is none in \w+ .* in 1 .*row 2: 2001\. Years and days .* as in 2001-01-31"),
        (20010101, "a time that is none in .*row 2: 20010101"),
        (1, "a time that is none in .*row 2: 1"),
    ],
)
def test_what_is_no_time_in_any_unit_is_refused(unit: Any, time: int, match: str) -> None:
    right = ("u", "i", 1.0, SECONDS * IN_SECOND[unit])
    with pytest.raises(InvalidInput, match=match):
        checked(events(right, ("u", "i", 1.0, time)), FILE, None, unit)


def test_steps_are_any_numbers_and_stay_what_they_are() -> None:
    rows = events(("u", "i", 1.0, 2001), ("u", "i", 1.0, 0), ("u", "i", 1.0, 20010101))
    assert checked(rows, FILE, None, "step").rows() == rows.rows()
    for step in (-1, 10**11):
        with pytest.raises(InvalidInput, match=rf"a step outside 0\.\.99999999999 in 1 .*: {step}"):
            checked(events(("u", "i", 1.0, step)), FILE, None, "step")


def test_dates_may_be_early_but_are_no_missing_ones() -> None:
    assert checked(events(("u", "i", 1.0, 86_400_999)), FILE, None, "date")["time"].to_list() == [86_400]
    for time, match in ((0, "0 or less"), (-1, "0 or less"), (10**14, "a date behind the year 5138 in 1 ")):
        with pytest.raises(InvalidInput, match=match):
            checked(events(("u", "i", 1.0, time)), FILE, None, "date")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        (" 12.0 ", 12),
        ("1388534400.0", 1388534400),
        ("1.3885344e9", 1388534400),
        ("-3.000", -3),
        ("1500000000123456789", 1500000000123456789),
        ("9007199254740991.0", 2**53 - 1),
        ("9007199254740993.0", None),  # 2^53 as a float
        ("1.5", None),
        ("1e300", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_whole_numbers_may_be_written_as_floats(text: str | None, number: int | None) -> None:
    assert whole_numbers(pl.Series([text], dtype=pl.String)).to_list() == [number]
