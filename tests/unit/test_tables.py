"""Anybody's own tables: every format gives the same, and what cannot be meant is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.types import InvalidInput

CONF = Path(__file__).parents[2] / "conf" / "dataset" / "interactions.yaml"
EVENTS = pl.DataFrame(
    {
        "who": ["u1", "u1", "ü,2", '"q"'],
        "what": ["a", "../b", "a", "a"],
        "stars": [5.0, 3.5, 1.0, 2.0],
        "when": [1_500_000_000, 1_500_000_001, 1_500_000_000, 1_400_000_007],
    }
)
ITEMS = pl.DataFrame({"key": ["a", "../b", "c"], "name": ['One, "1"', "Two\nlines", None]})
COLUMNS = {"user": "who", "item": "what", "rating": "stars", "time": "when", "id": "key", "title": "name"}


WRITE: dict[str, Callable[[Path, pl.DataFrame], Any]] = {
    ".parquet": lambda file, table: table.write_parquet(file),
    ".jsonl": lambda file, table: table.write_ndjson(file),
    ".json": lambda file, table: table.write_ndjson(file),
    ".ndjson": lambda file, table: table.write_ndjson(file),
    ".jsonl.gz": lambda file, table: file.write_bytes(gzip.compress(table.write_ndjson().encode())),
    ".jsonl.zst": lambda file, table: table.lazy().sink_ndjson(file, compression="zstd"),
    ".array.json": lambda file, table: table.write_json(file),
    ".csv.gz": lambda file, table: file.write_bytes(gzip.compress(table.write_csv().encode())),
    ".csv.zst": lambda file, table: table.lazy().sink_csv(file, compression="zstd"),
    ".tsv": lambda file, table: table.write_csv(file, separator="\t"),
    ".txt": lambda file, table: table.write_csv(file, separator="\t"),
    ".semicolon.csv": lambda file, table: table.write_csv(file, separator=";"),
    ".pipe.dat": lambda file, table: table.write_csv(file, separator="|", line_terminator="\r\n"),
    ".csv": lambda file, table: table.write_csv(file),
    ".xlsx": lambda file, table: table.write_csv(file),
}


def written(file: Path, table: pl.DataFrame) -> Path:
    WRITE["".join(file.suffixes)](file, table)
    return file


def reader(
    path: Path, events: pl.DataFrame = EVENTS, items: pl.DataFrame = ITEMS, end: str = ".csv", **changes: Any
) -> Any:
    places = {
        "interactions": str(written(path / f"events{end}", events)),
        "items": str(written(path / f"items{end}", items)),
    }
    config = OmegaConf.merge(OmegaConf.load(CONF), {"columns": COLUMNS}, places, changes)
    return instantiate(config, _convert_="all")


def reader_of(interactions: Path, items: Path | None, **changes: Any) -> Any:
    """A reader of two files, with the columns as they are called by default."""
    places = {"interactions": str(interactions), "items": items and str(items)}
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF), places, changes), _convert_="all")


@pytest.mark.parametrize("end", [end for end in WRITE if end != ".xlsx"])
def test_every_format_equals_the_tables(tmp_path: Path, end: str) -> None:
    found = reader(tmp_path, end=end).read()
    assert found.events.rows() == EVENTS.rows()
    assert found.items.rows() == ITEMS.rows()
    assert (found.excluded, found.noted, found.timed) == ({}, {}, True)


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_whole_numbers_are_ids_too(tmp_path: Path, end: str) -> None:
    numbered = EVENTS.with_columns(who=pl.int_range(pl.len()), what=pl.lit(7))
    found = reader(tmp_path, numbered, pl.DataFrame({"key": [7], "name": ["Seven"]}), end).read()
    assert found.events.select("user", "item").rows() == [(str(k), "7") for k in range(4)]
    assert found.items.rows() == [("7", "Seven")]


def test_dates_are_ids_too(tmp_path: Path) -> None:
    dated = EVENTS.with_columns(who=pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 4), eager=True))
    found = reader(tmp_path, dated, end=".parquet").read()
    assert found.events["user"].to_list() == [f"2024-01-0{day}" for day in range(1, 5)]


def test_the_items_id_is_called_as_in_the_interactions_unless_said_otherwise(tmp_path: Path) -> None:
    config = OmegaConf.merge(OmegaConf.load(CONF), {"columns": {"item": "sku"}})
    assert OmegaConf.to_container(config, resolve=True)["columns"]["id"] == "sku"  # type: ignore[call-overload, index]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["1970-01-02", "1970-01-03", "1970-01-02", "1970-01-04"], [86_400, 172_800, 86_400, 259_200]),
        (["1970-01-01T00:00:05Z"] * 3 + ["1970-01-01T02:00:05+02:00"], [5] * 4),
        (["2001-09-09 01:46:40.25"] * 4, [1_000_000_000] * 4),
    ],
)
def test_dates_are_read_as_utc(tmp_path: Path, times: list[str], seconds: list[int]) -> None:
    found = reader(tmp_path, EVENTS.with_columns(when=pl.Series(times))).read()
    assert found.events["time"].to_list() == seconds


@pytest.mark.parametrize("kind", [pl.Datetime("us"), pl.Datetime("ns", "Europe/Paris"), pl.Date()])
def test_dates_of_parquet_are_read_as_utc(tmp_path: Path, kind: Any) -> None:
    days = pl.Series([1, 2, 3, 4]) * 86_400
    when = pl.from_epoch(days, "s").dt.replace_time_zone("UTC")
    when = when.dt.convert_time_zone(kind.time_zone) if getattr(kind, "time_zone", None) else when.cast(kind)
    found = reader(tmp_path, EVENTS.with_columns(when=when), end=".parquet").read()
    assert found.events["time"].to_list() == days.to_list()


def test_milliseconds_become_seconds_where_they_are_announced(tmp_path: Path) -> None:
    millis = EVENTS.with_columns(when=pl.lit(1_500_000_000_999))
    assert set(reader(tmp_path, millis, time_unit="ms").read().events["time"]) == {1_500_000_000}
    with pytest.raises(
        InvalidInput, match=r"events\.csv has a time in milliseconds, not in seconds, in 4 of its 4"
    ):
        reader(tmp_path, millis).read()


def test_a_table_without_time_is_in_file_order(tmp_path: Path) -> None:
    found = reader(tmp_path, EVENTS.drop("when"), columns={"time": None}).read()
    assert not found.timed
    assert found.events["time"].to_list() == [0] * 4
    assert found.events["user"].to_list() == EVENTS["who"].to_list()


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_a_missing_column_is_refused_with_what_is_there(tmp_path: Path, end: str) -> None:
    match = r"events\..* time \(dataset\.columns\.time=null\) .*split=leave_one_out split\.ties=file"
    with pytest.raises(InvalidInput, match=match) as caught:
        reader(tmp_path, EVENTS.drop("when"), end=end).read()
    assert "who, what, stars" in str(caught.value)


@pytest.mark.parametrize(
    ("events", "match"),
    [
        (
            EVENTS.with_columns(when=pl.lit("02/03/2024")),
            "no whole number nor a date like .* in 4 of its 4 .*02/03",
        ),
        (
            EVENTS.with_columns(when=pl.Series(["1", "2", "soon", "4"])),
            "a time that is no whole number in 1 .*soon",
        ),
        (EVENTS.with_columns(when=pl.lit(1.5)), "no whole number nor a date"),
        (EVENTS.with_columns(stars=pl.lit("good")), "not a table with the columns .*good"),
        (EVENTS.with_columns(stars=pl.lit(11)), r"outside dataset\.scale=\[1,5\]"),
        (EVENTS.clear(), "has no rows: the data set is empty"),
    ],
)
def test_wrong_events_are_refused(tmp_path: Path, events: pl.DataFrame, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        reader(tmp_path, events, scale=[1, 5]).read()


def test_an_item_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"items\.csv repeats a key in 3 of its 6 rows, first in row 4: 'a'"
    ):
        reader(tmp_path, items=pl.concat([ITEMS, ITEMS])).read()


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"events\.xlsx is of no known format: its name must end in \.csv, "
    ):
        reader(tmp_path, end=".xlsx").digests()


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    made = reader(tmp_path, end=".parquet")
    whole = (tmp_path / "events.parquet").read_bytes()
    (tmp_path / "events.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"events\.parquet"):
        made.read()


def test_digests_know_the_format_but_no_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert reader(tmp_path).digests() == reader(tmp_path / "a").digests()
    assert list(reader(tmp_path, end=".jsonl").digests()) == ["interactions.jsonl", "items.jsonl"]


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_a_log_without_ratings_has_none(tmp_path: Path, end: str) -> None:
    unrated = COLUMNS | {"rating": None}
    found = reader(tmp_path, EVENTS.drop("stars"), end=end, columns=unrated).read()
    assert not found.rated
    assert found.events["rating"].null_count() == len(EVENTS)
    assert found.events.drop("rating").rows() == EVENTS.drop("stars").rows()


def test_a_scale_of_ratings_that_are_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"dataset\.scale=\[1, 5\] bounds ratings, but there are none"):
        reader(tmp_path, EVENTS, columns=COLUMNS | {"rating": None}, scale=[1, 5])


LOG = "user,item,rating,time\nu1,i1,4,1400000000\nu2,i2,3.5,1500000000\n"
THINGS = "item,title\ni1,One\ni2,Two\n"
READ = [("u1", "i1", 4.0, 1_400_000_000), ("u2", "i2", 3.5, 1_500_000_000)]


def files(path: Path, log: str | bytes = LOG, things: str | bytes = THINGS, end: str = ".csv") -> list[Path]:
    """Two files of these contents."""
    made = [path / f"log{end}", path / f"things{end}"]
    for file, content in zip(made, (log, things), strict=True):
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return made


@pytest.mark.parametrize(
    ("header", "end"),
    [
        (" User ,ITEM,Rating, Time", ".csv"),
        ("user:token,item:token,rating:float,time:float", ".inter"),
        ('"user","item","rating","time"', ".csv"),
        ("user,item,note,rating,time", ".csv"),
    ],
)
def test_headers_in_other_capitals_with_blanks_or_types_name_the_same_columns(
    tmp_path: Path, header: str, end: str
) -> None:
    rows = LOG.split("\n", 1)[1]
    if "note" in header:
        rows = rows.replace(",i1,", ",i1,x,").replace(",i2,", ",i2,y,")
    for separator in (",", ";", "\t", "|"):
        text = f"{header}\n{rows}".replace(",", separator)
        found = reader_of(*files(tmp_path, text, THINGS.replace(",", separator), end)).read()
        assert found.events.rows() == READ
        assert found.items.rows() == [("i1", "One"), ("i2", "Two")]


def test_fields_of_json_and_parquet_may_be_written_otherwise_too(tmp_path: Path) -> None:
    table = pl.DataFrame(READ, schema=["User", " item", "RATING", "time"], orient="row")
    table.write_ndjson(tmp_path / "log.jsonl")
    table.write_parquet(tmp_path / "log.parquet")
    (tmp_path / "things.csv").write_text(THINGS)
    for end in ("jsonl", "parquet"):
        assert reader_of(tmp_path / f"log.{end}", tmp_path / "things.csv").read().events.rows() == READ


@pytest.mark.parametrize(
    ("separator", "written"), [("::", "::"), ("tab", "\t"), ("\\t", "\t"), ("^", "^"), ("|", "|"), ("§", "§")]
)
def test_a_given_separator_wins_and_columns_may_be_counted(
    tmp_path: Path, separator: str, written: str
) -> None:
    """In files without a line that names them; a separator of several characters knows no quotes."""
    title = '5" disk; a' if separator in ("::", "§") else "disk; a"
    log = LOG.split("\n", 1)[1].replace(",", written)
    things = f"i1{written}{title}\ni2{written}Two\n"
    places = {"user": 1, "item": 2, "rating": 3, "time": 4, "id": 1, "title": 2}
    made = reader_of(*files(tmp_path, log, things, ".dat"), columns=places, separator=separator)
    found = made.read()
    assert found.events.rows() == READ
    assert found.items.rows() == [("i1", title), ("i2", "Two")]


def test_the_separator_is_the_one_that_gives_all_columns(tmp_path: Path) -> None:
    """Not the one that is met most often."""
    things = "item;title;a, b, c, d, e\ni1;One;x\ni2;Two;y\n"
    assert reader_of(*files(tmp_path, LOG, things)).read().items["title"].to_list() == ["One", "Two"]
    things = "item;titel;a, b\ni1;One;x\n"
    with pytest.raises(InvalidInput, match=r"it has item, titel, a, b\. Did you mean 'titel' for title\?"):
        reader_of(*files(tmp_path, LOG, things)).read()


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_whole_floats_are_times_and_ids(tmp_path: Path, end: str) -> None:
    floats = pl.DataFrame(
        {"user": [1.0, 2.0], "item": [10.0, 12.0], "rating": [4.0, 3.5], "time": [1.4e9, 1.5e9]}
    )
    things = pl.DataFrame({"item": [10, 12], "title": ["Ten", "Twelve"]})
    log, items = written(tmp_path / f"log{end}", floats), written(tmp_path / f"things{end}", things)
    found = reader_of(log, items).read()
    assert found.events.rows() == [("1", "10", 4.0, 1_400_000_000), ("2", "12", 3.5, 1_500_000_000)]
    assert found.items["item"].to_list() == ["10", "12"]


def test_ids_of_which_some_only_look_like_floats_stay(tmp_path: Path) -> None:
    log = LOG.replace("i1", "v2.0").replace("u1", "3.0")
    found = reader_of(*files(tmp_path, log, THINGS.replace("i1", "v2.0"))).read()
    assert found.events.select("user", "item").rows() == [("3.0", "v2.0"), ("u2", "i2")]


@pytest.mark.parametrize("zone", ["", " UTC", "UTC", " GMT", "Z", "+00:00", "+0000"])
def test_a_date_in_utc_may_say_so(tmp_path: Path, zone: str) -> None:
    log = LOG.replace("1400000000", f"2014-05-13 16:53:20{zone}").replace("1500000000", f"2017-07-14{zone}")
    if zone in ("Z", "+00:00", "+0000"):
        log = log.replace(f"2017-07-14{zone}", f"2017-07-14 00:00:00{zone}")
    assert reader_of(*files(tmp_path, log)).read().events["time"].to_list() == [1_400_000_000, 1_499_990_400]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_unit_is_read_where_it_is_announced(tmp_path: Path, unit: str) -> None:
    zeros = "000" * ["s", "ms", "us", "ns"].index(unit)
    log = LOG.replace("1400000000", f"1400000000{zeros}").replace("1500000000", f"1500000000{zeros}")
    assert reader_of(*files(tmp_path, log), time_unit=unit).read().events.rows() == READ


def test_steps_are_read_as_an_order(tmp_path: Path) -> None:
    log = LOG.replace("1400000000", "2001").replace("1500000000", "0")
    assert reader_of(*files(tmp_path, log[:-1]), time_unit="step").read().events["time"].to_list() == [
        2001,
        0,
    ]
    with pytest.raises(InvalidInput, match=r"a time that is none in seconds .* in 1 of its 2 .*row 1: 2001"):
        reader_of(*files(tmp_path, log.replace(",0\n", ",1500000000\n"))).read()


def test_without_metadata_ids_are_titles_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, _ = files(tmp_path)
    made = reader_of(log, None)
    found = made.read()
    assert found.items.rows() == [("i1", "i1"), ("i2", "i2")]
    assert found.noted == {"items: item without metadata, its id is its title": 2}
    assert "no metadata (dataset.items=null): the ids of 2 items are their titles" in caplog.text
    assert list(made.digests()) == ["interactions.csv"]


@pytest.mark.parametrize("end", [".csv", ".jsonl"])
def test_one_byte_that_is_not_utf8_changes_no_other_title(tmp_path: Path, end: str) -> None:
    things = THINGS.replace("One", "Amélie").encode().replace(b"Two", b"Pok\xe9mon")
    if end == ".jsonl":
        things = b'{"item": "i1", "title": "Am\xc3\xa9lie"}\n{"item": "i2", "title": "Pok\xe9mon"}\n'
    log, items = files(tmp_path, LOG, things, end)
    log = log.rename(tmp_path / "log.csv")
    found = reader_of(log, items).read()
    assert found.items["title"].to_list() == ["Amélie", "Pokémon"]
    first = 2 if end == ".jsonl" else 3
    assert found.noted == {f"items: line that is not UTF-8, read as Windows-1252 (the first: {first})": 1}
    with pytest.raises(InvalidInput, match=rf"things\{end} is not text in UTF-8 .*dataset\.broken_lines=0"):
        reader_of(log, items, broken_lines=0).read()


def test_a_byte_that_is_not_utf8_in_the_names_of_columns_is_read(tmp_path: Path) -> None:
    things = THINGS.encode().replace(b"title", b"t\xeftre")
    log, items = files(tmp_path, LOG, things)
    assert reader_of(log, items, columns={"title": "tïtre"}).read().items.rows()[0] == ("i1", "One")


def test_two_columns_of_one_name_do_not_shift_the_others(tmp_path: Path) -> None:
    log = "x,user,x,item,rating,time\n1,u1,2,i1,4,1400000000\n3,u2,4,i2,3.5,1500000000\n"
    assert reader_of(*files(tmp_path, log)).read().events.rows() == READ


@pytest.mark.parametrize("separator", ["", '"', "\n", '","'])
def test_a_separator_that_cannot_be_one_is_refused(tmp_path: Path, separator: str) -> None:
    with pytest.raises(InvalidInput, match=r"dataset\.separator must be one or more characters"):
        reader_of(*files(tmp_path), separator=separator).read()


def test_columns_of_a_text_without_names_are_told_to_be_counted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"they are counted, as in dataset\.columns\.user=1"):
        reader_of(*files(tmp_path, LOG.split("\n", 1)[1])).read()


@pytest.mark.parametrize("log", [LOG.replace("\n", "\r"), LOG.replace("\n", "\r", 1)])
def test_lines_that_end_in_carriage_returns_alone_are_refused_in_words(tmp_path: Path, log: str) -> None:
    with pytest.raises(InvalidInput, match=r"log\.csv .*carriage return.* save it with line feeds"):
        reader_of(*files(tmp_path, log)).read()


def test_a_carriage_return_in_an_unfinished_last_line_is_read(tmp_path: Path) -> None:
    log, items = files(tmp_path)
    items.write_text(items.read_text().rstrip("\n") + "\rand more")
    assert len(reader_of(log, items).read().items) == 2


def test_a_separator_that_does_not_fit_is_told_to_be_given(tmp_path: Path) -> None:
    log, items = files(tmp_path, LOG.replace(",", "::"))
    with pytest.raises(InvalidInput, match=r"log\.csv lacks .*dataset\.separator"):
        reader_of(log, items).read()
    with pytest.raises(InvalidInput, match=r"things\.csv lacks .*dataset\.separator=::.*both tables"):
        reader_of(log, items, separator="::").read()


@pytest.mark.parametrize("end", [end for end in WRITE if end != ".xlsx"])
def test_a_folder_whose_name_is_a_pattern_is_that_folder(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "a[1]*?"
    folder.mkdir()
    assert reader(folder, end=end).read().events.rows() == EVENTS.rows()
