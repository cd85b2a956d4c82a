"""What no reader lets through, and how milliseconds become seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers.events import checked
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
