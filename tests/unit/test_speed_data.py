"""The files that speed is measured on, and the pandas version that it is compared with."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from experiments import pandas_prepare, speed_data
from goracs.data.prepare import PARTS, prepare


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    speed_data.generate(folder, 3000, seed=1)
    return folder


def test_generated_files_have_the_numbers_that_were_asked_for(generated: Path) -> None:
    read = speed_data.settings(generated)["dataset"].read()
    assert len(read.events) == 3000
    assert read.events["item"].n_unique() <= len(read.items) == round(3000 / speed_data.ITEMS_OF)
    assert read.events["user"].n_unique() > 200
    assert read.events["item"].is_sorted()


def test_the_pandas_version_equals_ours_word_for_word(generated: Path) -> None:
    made = speed_data.settings(generated)
    ours = prepare(made["dataset"], made["split"], made["task"])
    theirs = pandas_prepare.parts(generated / speed_data.REVIEWS, generated / speed_data.ITEMS)
    for part in PARTS:
        frame: pl.LazyFrame = getattr(ours, part)
        columns = list(theirs[part].columns)
        assert frame.select(columns).collect().to_dict(as_series=False) == theirs[part].to_dict("list")
    seen = [(user, item) for user, items in ours.seen.iter_rows() for item in items]
    assert sorted(seen) == sorted(theirs["seen"].itertuples(index=False, name=None))


@pytest.mark.parametrize("what", ["goracs", "pandas"])
def test_a_child_measures_one_preparation(
    generated: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    speed_data.main(["--child", what, "--folder", str(generated)])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"seconds", "cpu_seconds", "peak_gb", "prompts"}
    assert found["prompts"] > 200


def test_the_table_has_a_row_for_each_size_and_one_for_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The children are not started: what they find is made up."""
    found = {"goracs": 1.0, "pandas": 6.0}
    monkeypatch.setattr(
        speed_data,
        "measure",
        lambda _, what: {"seconds": found[what], "cpu_seconds": 1, "peak_gb": 0.5, "prompts": 7},
    )
    rows = [line.split(" | ") for line in speed_data.table([1000, 2000], tmp_path).splitlines()]
    assert [row[2] for row in rows] == ["by", "---", "pandas", "goracs", "goracs"]
    assert [row[-1] for row in rows[2:]] == ["1.0 |", "6.0 |", "12.0 |"]
    assert list(tmp_path.iterdir()) == []
