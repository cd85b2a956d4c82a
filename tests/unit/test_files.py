"""Tables of many files: the rows are those of one file, in the order of names, and what differs is named."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from goracs.data.prepare import prepare, write
from goracs.data.readers.files import Files, digest_of, listed
from goracs.types import InvalidInput
from tests.unit.test_prepare import configured, digests

TIES = ["hash", "file"]
CONF = Path(__file__).parents[2] / "conf" / "dataset"
START = 1_500_000_000
LOG = pl.DataFrame(
    {
        "user": [f"{k % 3}.0" for k in range(12)],
        "item": [f"i{k % 5}" for k in range(12)],
        "rating": [float(1 + k % 5) for k in range(12)],
        "time": [START + k // 2 for k in range(12)],
    }
)
ITEMS = pl.DataFrame({"item": [f"i{k}" for k in range(5)], "title": [f"Film {k}" for k in range(5)]})
WRITE: dict[str, Any] = {
    "csv": lambda file, table: table.write_csv(file),
    "csv.gz": lambda file, table: file.write_bytes(gzip.compress(table.write_csv().encode())),
    "jsonl": lambda file, table: table.write_ndjson(file),
    "parquet": lambda file, table: table.write_parquet(file),
}


def cut(folder: Path, end: str, *places: int, table: pl.DataFrame = LOG) -> None:
    """Files of the rows up to each place; written last first, so that only names can order them."""
    ends = [0, *places, len(table)]
    folder.mkdir(exist_ok=True)
    for k in reversed(range(len(ends) - 1)):
        WRITE[end](folder / f"log-{k}.{end}", table[ends[k] : ends[k + 1]])


def reader(log: Path | str, items: Path | str | None, conf: str = "interactions", **changes: Any) -> Any:
    key = "interactions" if conf == "interactions" else "reviews"
    places = {key: str(log), "items": items and str(items)}
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF / f"{conf}.yaml"), places, changes))


@pytest.mark.parametrize("end", WRITE)
def test_many_files_are_read_as_one(tmp_path: Path, end: str) -> None:
    """Ids too: the .0 goes since every user of every file has it."""
    cut(tmp_path / "log", end, 1, 7)
    cut(tmp_path / "items", end, 3, table=ITEMS)
    found = reader(tmp_path / f"log/*.{end}", tmp_path / f"items/log-?.{end}").read()
    WRITE[end](tmp_path / f"one.{end}", LOG)
    WRITE[end](tmp_path / f"items.{end}", ITEMS)
    one = reader(tmp_path / f"one.{end}", tmp_path / f"items.{end}").read()
    assert found.events.equals(one.events)
    assert found.items.equals(one.items)
    assert set(found.events["user"]) == {"0", "1", "2"}


@settings(max_examples=15)
@given(st.sets(st.integers(1, 11)))
def test_rows_of_any_cut_come_in_the_order_of_names(
    tmp_path_factory: pytest.TempPathFactory, places: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    cut(folder, "parquet", *sorted(places)[:8])
    assert reader(folder / "log-*.parquet", None).read().events["time"].to_list() == LOG["time"].to_list()


@settings(max_examples=6)
@given(st.sets(st.integers(1, 11), max_size=4), st.sampled_from(["csv", "parquet"]), st.sampled_from(TIES))
def test_a_log_is_prepared_alike_however_it_is_cut_into_files(
    tmp_path_factory: pytest.TempPathFactory, places: set[int], end: str, ties: str
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    cut(folder / "many", end, *sorted(places))
    cut(folder / "one", end)
    split, task = configured("split/leave_one_out", ties=ties), configured("task/ctr")
    for name in ("many", "one"):
        read = reader(folder / name / f"log-*.{end}", None, history=2)
        write(prepare(read, split, task), folder / f"{name}-prepared")
    assert digests(folder / "many-prepared") == digests(folder / "one-prepared")


def test_times_may_be_numbers_in_one_file_and_texts_in_another(tmp_path: Path) -> None:
    LOG.write_parquet(tmp_path / "log-0.parquet")
    LOG.cast({"time": pl.String}).write_parquet(tmp_path / "log-1.parquet")
    LOG.cast({"time": pl.UInt64}).write_parquet(tmp_path / "log-2.parquet")
    for order in ("[012]", "[12]"):
        found = reader(tmp_path / f"log-{order}.parquet", None).read().events["time"]
        assert found.to_list() == LOG["time"].to_list() * (len(order) - 2)


def test_files_of_inner_folders_come_folder_by_folder(tmp_path: Path) -> None:
    names = ["a-1/x.csv", "a/b/y.csv", "a/z.csv", "a.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = listed(str(tmp_path / "**/*.csv"), "dataset.interactions")
    assert isinstance(found, Files)
    names = [Path(str(file)).relative_to(tmp_path).as_posix() for file in found.files]
    assert names == ["a/b/y.csv", "a/z.csv", "a-1/x.csv", "a.csv"]


def test_a_file_whose_name_is_a_pattern_is_that_file_and_one_match_is_one_file(tmp_path: Path) -> None:
    for name in ("log-*.csv", "log-1.csv"):
        (tmp_path / name).write_text(name)
    assert listed(str(tmp_path / "log-*.csv"), "dataset.items") == tmp_path / "log-*.csv"
    assert listed(str(tmp_path / "log-[0-9].csv"), "dataset.items") == tmp_path / "log-1.csv"


def test_the_digest_is_of_every_file_and_their_order_and_of_no_name(tmp_path: Path) -> None:
    def made(*texts: str) -> str:
        folder = tmp_path / "-".join(texts)
        folder.mkdir(exist_ok=True)
        for k, text in enumerate(texts):
            (folder / f"{text}-{k}" if "named" in texts else folder / f"{k}").write_text(text)
        return digest_of(listed(str(folder / "*"), "x"))

    assert len({made("a", "b"), made("b", "a"), made("a", "b", "b"), made("ab"), made("a", "c")}) == 5
    (tmp_path / "z").mkdir()
    for name, text in (("q", "a"), ("r", "b")):
        (tmp_path / "z" / name).write_text(text)
    assert digest_of(listed(str(tmp_path / "z/*"), "x")) == made("a", "b")


def test_a_pattern_that_no_file_matches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidInput, match=r"no file matches .*\*\.csv: dataset\.interactions must name"):
        reader(tmp_path / "*.csv", None).digests()


@pytest.mark.parametrize("end", WRITE)
def test_files_of_other_columns_are_refused_and_named(tmp_path: Path, end: str) -> None:
    cut(tmp_path, end, 5)
    WRITE[end](tmp_path / f"log-9.{end}", LOG.rename({"rating": "stars"}))
    with pytest.raises(InvalidInput, match=r"log-9\..* rating.*It is file 3 of the 3 that .*log-\*"):
        reader(tmp_path / f"log-*.{end}", None).read()


def test_files_of_other_types_or_formats_are_refused_and_named(tmp_path: Path) -> None:
    cut(tmp_path, "parquet", 5)
    dated = LOG.with_columns(time=pl.from_epoch("time"))
    dated.write_parquet(tmp_path / "log-2.parquet")
    with pytest.raises(InvalidInput, match=r"log-2.parquet has time as Datetime.* but .*log-0.parquet as In"):
        reader(tmp_path / "log-*.parquet", None).read()
    LOG.write_csv(tmp_path / "log-3.csv")
    with pytest.raises(InvalidInput, match=r"several formats, .*log-3.csv \(csv\) and .*\(parquet\)"):
        reader(tmp_path / "log-*", None).digests()


def test_a_wrong_row_is_named_with_its_file(tmp_path: Path) -> None:
    cut(tmp_path, "csv", 5, 5 + 3, table=LOG.with_columns(rating=pl.Series([4.0] * 9 + [9.0] * 3)))
    match = r"log-\*\.csv \(3 files\) has a rating outside .* in 3 of its 12 rows, first in row 2 of .*log-2"
    with pytest.raises(InvalidInput, match=match):
        reader(tmp_path / "log-*.csv", None, scale=[1, 5]).read()


def test_broken_lines_count_over_all_files(tmp_path: Path) -> None:
    cut(tmp_path, "jsonl", 4, 8)
    for k in (0, 2):
        with (tmp_path / f"log-{k}.jsonl").open("a") as file:
            file.write("{broken\n" * (k + 1))
    found = reader(tmp_path / "log-*.jsonl", None, broken_lines=4).read()
    assert len(found.events) == 12
    assert found.excluded == {
        "interactions: file 1 of 3: broken line (the first: 5)": 1,
        "interactions: file 3 of 3: broken line (the first: 5)": 3,
    }
    with pytest.raises(InvalidInput, match=r"have 4 broken lines together, more than dataset.broken_lines=3"):
        reader(tmp_path / "log-*.jsonl", None, broken_lines=3).read()


@pytest.mark.parametrize("conf", ["amazon2018", "amazon2023"])
def test_categories_of_amazon_may_be_read_together(tmp_path: Path, conf: str) -> None:
    new = conf == "amazon2023"
    names = ("user_id", "parent_asin", "rating", "timestamp")
    names = names if new else ("reviewerID", "asin", "overall", "unixReviewTime")
    unit = 1000 if new else 1
    log = LOG.with_columns(time=pl.col("time") * unit, user=pl.lit("u"))
    cut(tmp_path, "jsonl", 5, table=log.rename(dict(zip(log.columns, names, strict=True))))
    meta = ITEMS.with_columns(brand=pl.lit("B")).rename(
        {"item": names[1], "brand": "store" if new else "brand"}
    )
    cut(tmp_path / "meta", "jsonl", 3, table=meta)
    found = reader(tmp_path / "log-*.jsonl", tmp_path / "meta/*.jsonl", conf).read()
    assert found.events["time"].to_list() == LOG["time"].to_list()
    assert found.items.rows() == ITEMS.rows()
