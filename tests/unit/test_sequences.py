"""Ready next-item sets: what their lists and titles mean, what is drawn, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from goracs.config import composed
from goracs.data.prepare import PARTS, Prepared, read_catalogue, read_examples, read_seen, write
from goracs.data.readers.sequences import Sequences, item_lists, prepare
from goracs.types import InvalidInput
from tests import sequence_files
from tests.unit.test_alpaca import task

OPEN = Path(__file__).parents[3] / "shared" / "data" / "open" / "amazon2018_office_products_seqrec"
ITEMS = "item_id,title\n1,Pen\n2,Ink &amp; more\n3,Pad\n4,\n5,Clip\n"


def sequences(places: dict[str, str], name: str = "sequences", **changes: Any) -> Sequences:
    """As the configuration makes it."""
    config = composed([f"dataset={name}", "task=seqrec"]).dataset
    made: Sequences = instantiate(OmegaConf.merge(config, places, changes))
    return made


def files(folder: Path, rows: str, items: str = ITEMS) -> dict[str, str]:
    """The same rows in all parts."""
    (folder / "items.csv").write_text(items)
    for part in PARTS:
        (folder / f"{part}.csv").write_text("user_id,history_item_id,item_id\n" + rows)
    return {name: str(folder / f"{name}.csv") for name in (*PARTS, "items")}


def shown(prepared: Prepared, part: str = "train") -> list[tuple[Any, ...]]:
    frame: pl.LazyFrame = getattr(prepared, part)
    return frame.select("user", "item", "history", "input", "output").collect().rows()


def test_rows_are_examples_in_their_order_with_the_last_items_shown(tmp_path: Path) -> None:
    places = files(tmp_path, 'b,"[1, 2, 3]",5\na,[3],1\nb,,2\n')
    found = prepare(sequences(places, history=2), task("seqrec"))
    assert shown(found) == [
        ("b", "5", ["2", "3"], '"Ink & more", "Pad"', '"Clip"'),
        ("a", "1", ["3"], '"Pad"', '"Pen"'),
        ("b", "2", [], "none", '"Ink & more"'),
    ]


def test_what_a_user_touched_is_all_of_all_parts_and_the_catalogue_what_anybody_did(tmp_path: Path) -> None:
    places = files(tmp_path, 'b,"[1, 2]",5\n')
    (tmp_path / "test.csv").write_text("user_id,history_item_id,item_id\nb,[4],1\nc,[],2\n")
    write(prepare(sequences(places, history=1), task("seqrec")), tmp_path / "out")
    assert {user: set(items) for user, items in read_seen(tmp_path / "out").items()} == {
        "b": {"1", "2", "4", "5"},
        "c": {"2"},
    }
    assert read_catalogue(tmp_path / "out") == {"1": "Pen", "2": "Ink & more", "5": "Clip"}
    assert [example.item for example in read_examples(tmp_path / "out", "test")] == ["1", "2"]


def test_items_without_a_title_are_left_out_and_counted(tmp_path: Path) -> None:
    found = prepare(sequences(files(tmp_path, 'a,"[4, 1, 9]",2\na,[1],4\na,[1],9\n')), task("seqrec"))
    assert [(item, history) for _, item, history, *_ in shown(found)] == [("2", ["1"])]
    assert found.statistics["excluded"] == {
        f"{part}: {why}": 2
        for part in PARTS
        for why in ("target without a title", "item of a history without a title")
    }


def test_line_breaks_in_titles_become_blanks_and_are_counted(tmp_path: Path) -> None:
    items = ITEMS.replace("Pen", '"Pen\nred"')
    found = prepare(sequences(files(tmp_path, "a,[1],2\n", items)), task("seqrec"))
    assert shown(found)[0][3] == '"Pen red"'
    assert found.statistics["titles_cleaned"] == 1


def test_validation_and_test_rows_are_the_same_for_every_draw_of_the_pool(tmp_path: Path) -> None:
    places = sequence_files.write(tmp_path)
    sizes = {"size": 20, "valid_size": 10, "test_size": 15}
    first, second = (
        prepare(sequences(places, "office", seed=seed, **sizes), task("seqrec")) for seed in (0, 1)
    )
    assert [len(shown(first, part)) for part in PARTS] == [20, 10, 15]
    assert shown(first, "train") != shown(second, "train")
    for part in ("valid", "test"):
        assert shown(first, part) == shown(second, part)
    whole = shown(prepare(sequences(places, "office"), task("seqrec")))
    assert [row for row in whole if row in shown(first)] == shown(first)


@given(
    st.lists(st.lists(st.integers(0, 10**6)), min_size=1, max_size=5), st.sampled_from(["python", "recbole"])
)
def test_lists_of_numbers_are_read_as_they_were_written(lists: list[list[int]], way: str) -> None:
    texts = [str(one) if way == "python" else " ".join(map(str, one)) for one in lists]
    found = item_lists(Path("train.csv"), "history", pl.Series(texts, dtype=pl.String))
    assert found.to_list() == [[str(item) for item in one] for one in lists]


@given(
    st.lists(st.lists(st.text("ab'\"\\,[] ü")), min_size=1, max_size=5), st.sampled_from([str, json.dumps])
)
def test_lists_of_texts_are_read_as_they_were_written(lists: list[list[str]], way: Any) -> None:
    texts = pl.Series([way(one) for one in lists], dtype=pl.String)
    assert item_lists(Path("train.csv"), "history", texts).to_list() == lists


def test_whole_numbers_written_as_floats_are_the_same_ids(tmp_path: Path) -> None:
    found = prepare(sequences(files(tmp_path, 'a,"[1.0, 3.0]",2.0\n')), task("seqrec"))
    assert [(item, history) for _, item, history, *_ in shown(found)] == [("2", ["1", "3"])]


@pytest.mark.parametrize(
    "text",
    [
        *("(1, 2)", "1|2", "[1, 2", "1, 2]", "[[1], [2]]", "['a', ", "{'a': 1}", "['a', 1.5]", "'a'"),
        r"['1', '\ud800']",
    ],
)
def test_what_is_no_list_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"has a history that is no list in 1 of its 2 rows, first in row 2"
    ):
        item_lists(Path("train.csv"), "history", pl.Series(["[]", text]))


@pytest.mark.parametrize(
    ("rows", "items", "changes", "message"),
    [
        ("a,[1],2\n", ITEMS + "1,Again\n", {}, "repeats a item_id in 1 of its 6 rows"),
        (",[1],2\n", ITEMS, {}, "has no user in 1 of its 1 rows"),
        ("a,[1],\n", ITEMS, {}, "has no item in 1 of its 1 rows"),
        ("a,[8],2\n", ITEMS, {}, "no item of any history has a title in dataset.items"),
        ("a,[1],7\n", ITEMS, {}, "no row of dataset.train has a target with a title in dataset.items"),
        ("a,[1],2\n", "id,title\n1,Pen\n", {}, "lacks one of the columns item_id, title"),
        ("a,[1],2\n", ITEMS, {"size": 2}, "dataset.size is 2, but the pool of this split has 1"),
        ("a,[1],2\n", ITEMS, {"test_size": 2}, "dataset.test_size is 2, but the part has 1 rows"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, rows: str, items: str, changes: dict[str, Any], message: str
) -> None:
    made = sequences(files(tmp_path, rows, items), **changes)
    with pytest.raises(InvalidInput, match=message):
        prepare(made, task("seqrec"))


@pytest.mark.parametrize("name", ["history", "size", "valid_size", "test_size"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = {name: 0}
    made = sequences(files(tmp_path, "a,[1],2\n"))
    with pytest.raises(InvalidInput, match=rf"dataset.{name}( \(or null\))? must be a whole number >= 1"):
        replace(made, **changes)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = sequences(files(tmp_path, "a,[1],2\n"), train="nowhere.csv")
    with pytest.raises(InvalidInput, match=r"no file nowhere.csv: dataset.train must name one"):
        made.digests()


def test_likes_are_asked_of_no_set_without_ratings(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the data set sequences has no ratings"):
        prepare(sequences(files(tmp_path, "a,[1],2\n")), task("ctr"))


@pytest.mark.skipif(not OPEN.is_dir(), reason="shared data are not here")
def test_real_files_come_out_with_their_published_counts() -> None:
    places = {part: str(OPEN / "valid.csv.gz") for part in PARTS} | {"test": str(OPEN / "test.csv.gz")}
    found = prepare(sequences(places | {"items": str(OPEN / "info.txt.gz")}, "office"), task("seqrec"))
    assert [len(shown(found, part)) for part in PARTS] == [4866] * 3
    assert found.statistics["excluded"] == {}
    assert max(len(history) for _, _, history, *_ in shown(found)) == 10
    assert shown(found)[1][3:] == (
        '"Avery CD Labels, Matte White, 40 Disc Labels and 80 Spine Labels (8692)"',
        '"Astrobrights Color Paper, 8.5” x 11”, 24 lb/89 gsm, Lunar Blue, 500 Sheets (21528)"',
    )
