"""A table cut short anywhere: no number that is not in the whole file is ever taken for one in silence."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers import movielens
from goracs.data.readers.ending import open_ended, refuse_cut_time
from goracs.types import InvalidInput
from tests.unit.test_raw import PACKERS
from tests.unit.test_tables import reader_of

LAST = "last row without a line end, taken as whole"
EVENTS = [
    ("u1", "i1", "4.5", "999999000"),
    ("u1", "i22", "3.0", "1400000000"),
    ("u2", "i1", "5.0", "1389999999"),
]
ITEMS = "item,title\ni1,One\ni22,Two\n"
FORMS: dict[str, Callable[[tuple[str, ...]], str]] = {
    "plain.csv": ",".join,
    "plain.tsv": "\t".join,
    "quoted.csv": lambda row: ",".join(f'"{value}"' for value in row),
    "float.csv": lambda row: ",".join((*row[:3], f"{row[3]}.0")),
    "date.csv": lambda row: ",".join((*row[:3], f"20{row[3][:2]}-01-31 23:59:59")),
}


def text(form: str) -> str:
    """The events as a table; its last line has a line end."""
    between = "\t" if form.endswith("tsv") else ","
    lines = [between.join(("user", "item", "rating", "time")), *map(FORMS[form], EVENTS)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("packer", ["plain", "gz"])
@pytest.mark.parametrize("form", FORMS)
def test_a_table_cut_anywhere_never_gives_an_event_that_is_not_in_it(
    tmp_path: Path, form: str, packer: str
) -> None:
    """Cut behind its first event it is refused, or gives events of the whole file and, in a row, says so."""
    content = text(form)
    (tmp_path / "items.csv").write_text(ITEMS)
    file = tmp_path / (form if packer == "plain" else f"{form}.{packer}")

    def read(until: int) -> Any:
        file.write_bytes(PACKERS[packer](content[:until].encode()))
        return reader_of(file, tmp_path / "items.csv", scale=[1, 5]).read()

    whole = read(len(content))
    assert whole.noted == {}
    for until in range(content.index("\n", content.index("\n") + 1) + 1, len(content)):
        try:
            found = read(until)
        except InvalidInput:
            continue
        assert set(found.events.rows()) <= set(whole.events.rows()), content[:until]
        told = f"interactions: {LAST}" in found.noted
        assert told or content[:until].endswith(("\n", '"')), content[:until]


@pytest.mark.parametrize("layout", ["u", "dat", "csv"])
def test_a_movielens_file_cut_in_a_row_is_refused_or_counted(tmp_path: Path, layout: str) -> None:
    ratings, movies, between = {
        "u": ("u.data", "u.item", "\t"),
        "dat": ("ratings.dat", "movies.dat", "::"),
        "csv": ("ratings.csv", "movies.csv", ","),
    }[layout]
    titles = {
        "u": "i1|One|1995|x\ni22|Two|1995|x\n",
        "dat": "i1::One::x\ni22::Two::x\n",
        "csv": "movieId,title,genres\ni1,One,x\ni22,Two,x\n",
    }[layout]
    head = "userId,movieId,rating,timestamp\n" if layout == "csv" else ""
    content = head + "".join(between.join(row) + "\n" for row in EVENTS)
    for name, whole in ((ratings, content), (movies, titles)):
        (tmp_path / ratings).write_text(content)
        (tmp_path / movies).write_text(titles)
        events, items = _rows(movielens.read(str(tmp_path), None))
        for until in range(whole.rindex("\n", 0, -1) + 2, len(whole)):
            (tmp_path / name).write_text(whole[:until])
            try:
                found = movielens.read(str(tmp_path), None)
            except InvalidInput:
                continue
            assert _rows(found) == (events, items), whole[:until]
            # a column that is not read may be cut: nothing is lost by it
            assert name == movies or found.noted == {f"{ratings}: {LAST}": 1}, whole[:until]


def _rows(found: Any) -> tuple[list[Any], list[Any]]:
    return found.events.rows(), found.items.rows()


def test_a_title_in_the_last_column_may_be_cut_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.csv").write_text(text("plain.csv"))
    (tmp_path / "items.csv").write_text(ITEMS[:-2])
    found = reader_of(tmp_path / "log.csv", tmp_path / "items.csv").read()
    assert found.items.rows()[-1] == ("i22", "Tw")
    assert found.noted == {f"items: {LAST}": 1}
    assert "items.csv has no line end behind its last row: whether its title is whole" in caplog.text


@pytest.mark.parametrize(
    ("line", "columns", "quoted", "expected"),
    [
        (b"a,b\n", 2, True, False),
        (b"a,b\r\n", 2, True, False),
        (b"a,b", 2, True, True),
        (b'a,"b"', 2, True, False),
        (b'a,"b"', 2, False, True),
        (b'x\na,"b,\nc"', 2, True, False),
        (b'x\n"b,\nc",a', 2, True, True),
        (b'"x""y",1\n"b,\nc""",a', 2, True, True),
        (b"", 2, True, False),
        ("a,ü".encode()[:-1], 2, True, True),
    ],
)
def test_only_a_value_that_nothing_closes_may_be_cut(
    tmp_path: Path, line: bytes, columns: int, quoted: bool, expected: bool
) -> None:
    (tmp_path / "x").write_bytes(line)
    (tmp_path / "x.gz").write_bytes(gzip.compress(line))
    assert open_ended(tmp_path / "x", ",", quoted, columns) is expected
    assert open_ended(tmp_path / "x.gz", ",", quoted, columns) is expected


def test_a_row_with_too_few_columns_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b,c\n1,2,3\n4,5")
    match = r"x\.csv ends in the middle of a row: its last line has 2 of 3 columns and no line end: '4,5'\."
    with pytest.raises(InvalidInput, match=match):
        open_ended(tmp_path / "x.csv", ",", True, 3)


@given(st.lists(st.integers(10**8, 10**10 - 1), min_size=1, max_size=20), st.data())
def test_a_time_that_lost_digits_is_refused_among_times_from_1976_on(
    times: list[int], data: st.DataObject
) -> None:
    """Whatever the others are: what is left of ten digits lies before 1976, of nine it is too short."""
    others = [time for time in times if time >= 2 * 10**8] or [10**9]
    whole = str(data.draw(st.sampled_from(others)))
    cut = int(whole[: data.draw(st.integers(1, len(whole) - 1))])
    for values in (pl.Series([*others, cut]), pl.Series([*map(str, others), str(cut)])):
        if cut < 2 * 10**8:
            with pytest.raises(InvalidInput, match=f"last row has '{cut}' and no line end"):
                refuse_cut_time(Path("x"), values)


@given(st.lists(st.integers(10**9, 4 * 10**9), min_size=1, max_size=20))
def test_whole_times_of_one_length_are_never_refused(times: list[int]) -> None:
    refuse_cut_time(Path("x"), pl.Series(times))
    refuse_cut_time(Path("x"), pl.Series([*map(str, times)]))


def test_a_quoted_value_that_is_not_closed_is_refused(tmp_path: Path) -> None:
    for cut in ('a,"b', 'a,"'):
        (tmp_path / "x.csv").write_text(cut)
        with pytest.raises(InvalidInput, match=r"x\.csv ends in the middle of a quoted value, without"):
            open_ended(tmp_path / "x.csv", ",", True, 2)
