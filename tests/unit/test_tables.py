"""Anybody's own tables: every format gives the same, and what cannot be meant is refused."""

from __future__ import annotations

import gzip
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


def written(file: Path, table: pl.DataFrame) -> Path:
    match "".join(file.suffixes):
        case ".parquet":
            table.write_parquet(file)
        case ".jsonl" | ".json" | ".ndjson":
            table.write_ndjson(file)
        case ".jsonl.gz":
            file.write_bytes(gzip.compress(table.write_ndjson().encode()))
        case ".csv.gz":
            file.write_bytes(gzip.compress(table.write_csv().encode()))
        case ".tsv":
            table.write_csv(file, separator="\t")
        case _:
            table.write_csv(file)
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


@pytest.mark.parametrize(
    "end", [".csv", ".tsv", ".csv.gz", ".jsonl", ".json", ".ndjson", ".jsonl.gz", ".parquet"]
)
def test_every_format_equals_the_tables(tmp_path: Path, end: str) -> None:
    found = reader(tmp_path, end=end).read()
    assert found.events.rows() == EVENTS.rows()
    assert found.items.rows() == ITEMS.rows()
    assert (found.excluded, found.timed) == ({}, True)


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_whole_numbers_are_ids_too(tmp_path: Path, end: str) -> None:
    numbered = EVENTS.with_columns(who=pl.int_range(pl.len()), what=pl.lit(7))
    found = reader(tmp_path, numbered, pl.DataFrame({"key": [7], "name": ["Seven"]}), end).read()
    assert found.events.select("user", "item").rows() == [(str(k), "7") for k in range(4)]
    assert found.items.rows() == [("7", "Seven")]


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
