"""Names of columns: what is the same name, what is only near to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from goracs.data.readers.names import MissingColumn, columns_of, matched

FILE = Path("log.csv")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["user", "x"], "user"),
        ([" User "], " User "),
        (["user:token"], "user:token"),
        (["USER:float", "x"], "USER:float"),
        (["User", "user"], "user"),
        (["User", "USER"], None),
        (["user:name"], None),
        (["user_id"], None),
    ],
)
def test_a_name_is_the_same_in_other_capitals_with_blanks_and_with_a_type(
    there: list[str], expected: str | None
) -> None:
    assert matched(["user"], there).get("user") == expected


def test_a_missing_name_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(MissingColumn) as caught:
        columns_of(FILE, ["user", "rating", "time"], ["User_ID", "rating", "Timestamp"])
    assert str(caught.value) == (
        "log.csv lacks one of the columns user, rating, time: it has User_ID, rating, Timestamp. "
        "Did you mean 'User_ID' for user, 'Timestamp' for time?"
    )


def test_a_column_that_is_asked_for_is_not_meant_by_another_name() -> None:
    with pytest.raises(MissingColumn, match=r"it has item, rating\.$"):
        columns_of(FILE, ["item", "rating", "time"], ["item", "rating"])


def test_a_name_that_two_columns_may_mean_is_not_guessed() -> None:
    with pytest.raises(MissingColumn, match="it has User, USER"):
        columns_of(FILE, ["user"], ["User", "USER"])
