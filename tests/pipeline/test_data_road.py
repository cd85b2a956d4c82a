"""Data sets of the user's own through the command, on the tiny backbone: no code is touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.amazon_files import write_2014, write_2018, write_2023
from tests.pipeline.conftest import Command

PROMPTS = ("dataset=prompts", "dataset.size=null")
NO_HISTORY = ("dataset.history", "split.valid", "split.test", "split.per_user", "dataset.size")


@pytest.fixture
def alpaca(tmp_path: Path) -> list[str]:
    """The words that name three files of 40 prompts."""
    rng = np.random.default_rng(0)
    words = []
    for part in ("train", "valid", "test"):
        rows = [
            {"instruction": "Will they?", "input": f"{part} {k}", "output": f"{rng.choice(['Yes', 'No'])}."}
            for k in range(40)
        ]
        (tmp_path / f"{part}.json").write_text(json.dumps(rows))
        words.append(f"dataset.{part}={tmp_path / part}.json")
    return words


def test_ready_prompts_go_the_whole_road(goracs: Command, alpaca: list[str]) -> None:
    ended = goracs(*PROMPTS, *alpaca, "selector=goracs", without=NO_HISTORY)
    assert ended.code == 0, ended.text
    assert ended.result["metrics"]["tuned"]["auc"]["n"] == 40
    assert ended.result["metrics"]["rule"] is None  # no history is shown whose likes could be counted
    chosen = json.loads((ended.folder / "coreset.json").read_text())
    assert len(chosen) == 8
    assert all(row["input"].startswith("train") and row["output"] in ("Yes.", "No.") for row in chosen)


def test_a_dialogue_goes_the_whole_road_and_is_in_the_coreset(goracs: Command, alpaca: list[str]) -> None:
    """As tables, too: what LLaMA-Factory reads has the columns that say so."""
    said = {"system": "Be brief.", "history": [["Who?", "Me"]]}
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    for word in alpaca:
        file = Path(word.partition("=")[2])
        rows = [row | said for row in json.loads(file.read_text())]
        file.write_text(json.dumps(rows))
    ended = goracs(*PROMPTS, *alpaca, "selector=goracs", without=NO_HISTORY)
    assert ended.code == 0, ended.text
    chosen = json.loads((ended.folder / "coreset.json").read_text())
    assert all(row | said == row and set(row) == {*columns.values(), *said} for row in chosen)
    info = json.loads((ended.folder / "dataset_info.json").read_text())["goracs_coreset"]
    assert info["columns"] == columns | {"system": "system", "history": "history"}


def test_ready_prompts_may_be_tables(goracs: Command, tmp_path: Path) -> None:
    words = []
    for part in ("train", "valid", "test"):
        rows = {"instruction": ["Will they?"] * 40, "output": ["Yes", "No"] * 20}
        table = pl.DataFrame(rows).with_columns(
            input=pl.format("{}; {}", pl.lit(part), pl.int_range(pl.len()))
        )
        table.write_csv(tmp_path / f"{part}.csv", separator=";")
        words.append(f"dataset.{part}={tmp_path / part}.csv")
    ended = goracs(*PROMPTS, *words, "until=select", "selector=random", without=NO_HISTORY)
    assert ended.code == 0, ended.text
    chosen = json.loads((ended.folder / "coreset.json").read_text())
    assert all(row["input"].startswith("train; ") for row in chosen)


def test_ready_prompts_of_the_other_task_stop_before_their_evaluation(
    goracs: Command, alpaca: list[str]
) -> None:
    words = (*PROMPTS, *alpaca, "task=seqrec", "selector=random")
    ended = goracs(*words, without=NO_HISTORY)
    assert ended.code == 1
    assert "ready prompts name no items to rank (dataset=prompts): stop at until=finetune" in ended.text
    assert not (ended.folder / "result.json").exists()
    assert goracs(*words, "until=finetune", without=NO_HISTORY).code == 0


@pytest.mark.parametrize("edition", [2014, 2018, 2023])
def test_amazon_files_go_as_far_as_selection(goracs: Command, tmp_path: Path, edition: int) -> None:
    reviews, items = {2014: write_2014, 2018: write_2018, 2023: write_2023}[edition](tmp_path, 5)
    words = (f"dataset=amazon{edition}", f"dataset.reviews={reviews}", f"dataset.items={items}")
    ended = goracs(*words, "until=select", "selector=random", "split.valid=8", "split.test=8")
    assert ended.code == 0, ended.text
    assert len(json.loads((ended.folder / "coreset.json").read_text())) == 8


def test_tables_of_ones_own_go_as_far_as_selection_wherever_they_lie(goracs: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "moved").mkdir()
    events = {
        "who": rng.integers(0, 30, 400),
        "sku": rng.integers(0, 20, 400),
        "stars": rng.integers(1, 6, 400),
    }
    table = pl.DataFrame(events).with_columns(at=10**9 + pl.int_range(400) * 1000)
    items = pl.DataFrame({"sku": range(20), "title": [f"../Thing {k}" for k in range(20)]})
    for folder in (tmp_path, tmp_path / "moved"):
        table.write_csv(folder / "log.tsv", separator="\t")
        items.write_ndjson(folder / "things.jsonl")
    columns = ("user=who", "item=sku", "rating=stars", "time=at")
    for folder, status in ((tmp_path, "done"), (tmp_path / "moved", "skipped")):
        ended = goracs(
            "dataset=interactions",
            f"dataset.interactions={folder / 'log.tsv'}",
            f"dataset.items={folder / 'things.jsonl'}",
            *(f"dataset.columns.{column}" for column in columns),
            *("until=select", "selector=random", "split.valid=8", "split.test=8"),
        )
        assert ended.code == 0, ended.text
        assert f"{status}: " in ended.text


def test_recbole_files_without_metadata_that_are_cut_or_repeat_themselves(
    goracs: Command, tmp_path: Path
) -> None:
    file = tmp_path / "log.inter"
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    rows = [f"{user}\t{item}\t{1 + item % 5}\t{10**9 + item}.0\n" for item in range(12) for user in range(40)]
    names = ("user=user_id", "item=item_id", "time=timestamp")
    words = (
        *("dataset=interactions", f"dataset.interactions={file}", "dataset.items=null", "until=prepare"),
        *(f"dataset.columns.{name}" for name in names),
    )
    file.write_text(head + "".join([*rows, rows[0]]))
    ended = goracs(*words)
    assert ended.code == 0, ended.text
    assert "no metadata (dataset.items=null): the ids of 12 items are their titles" in ended.text
    ended = goracs(*words, "dataset.duplicates=refuse")
    assert ended.code == 1
    assert "1 of the 481 events of the data set interactions repeat an earlier one exactly" in ended.text
    file.write_text((head + "".join(rows))[:-5])
    ended = goracs(*words)
    assert ended.code == 1
    assert "log.inter ends in the middle of a time: its last row has '10000000'" in ended.text
    file.write_text(head + "".join(rows).replace("\t1000000000", "\t1000000000000"))
    ended = goracs(*words)
    assert ended.code == 1
    assert "log.inter has a time in milliseconds, not in seconds, in 40 of its 480 rows" in ended.text


def test_a_column_that_is_not_there_is_told(goracs: Command, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,rating\n1,2,3\n")
    (tmp_path / "items.csv").write_text("item,title\n2,Two\n")
    files = (f"dataset.interactions={tmp_path / 'log.csv'}", f"dataset.items={tmp_path / 'items.csv'}")
    ended = goracs("dataset=interactions", *files, "until=prepare")
    assert ended.code == 1
    assert "it has user, item, rating." in ended.text
    assert "dataset.columns says what they are called." in ended.text
    assert "split=leave_one_out split.ties=file" in ended.text


def test_a_table_without_time_goes_with_leave_one_out_in_file_order_alone(
    goracs: Command, tmp_path: Path
) -> None:
    log = "".join(f"{user},{item},{1 + item % 5}\n" for item in range(12) for user in range(40))
    (tmp_path / "log.csv").write_text(f"user,item,rating\n{log}")
    (tmp_path / "items.csv").write_text("item,title\n" + "".join(f"{k},Thing {k}\n" for k in range(12)))
    files = (f"dataset.interactions={tmp_path / 'log.csv'}", f"dataset.items={tmp_path / 'items.csv'}")
    words = (
        "dataset=interactions",
        *files,
        "dataset.columns.time=null",
        "until=prepare",
        "dataset.size=null",
    )
    tiny = ("split.valid", "split.test", "split.per_user", "dataset.size")
    ended = goracs(*words, "split=leave_one_out", "split.ties=file", without=tiny)
    assert ended.code == 0, ended.text
    for other in (("split=leave_one_out", "split.ties=hash"), ("split=paper", "split.ties=file")):
        ended = goracs(*words, *other, without=tiny)
        assert ended.code == 1
        assert "split=leave_one_out" in ended.text


def test_a_word_that_is_none_of_the_choices_is_told(goracs: Command) -> None:
    ended = goracs("dataset=movies", "dataset.titles=parsd", "until=prepare")
    assert ended.code == 1
    assert "dataset.titles must be one of parsed, released, got 'parsd'" in ended.text


@pytest.fixture
def few_items(tmp_path: Path) -> list[str]:
    """The words that name a log without ratings of 12 items; user 0 has touched them all."""
    rng = np.random.default_rng(0)
    rows = [(user, item, 60 * k) for user in range(1, 40) for k, item in enumerate(rng.permutation(12)[:7])]
    rows += [(0, item, 3600 + item) for item in range(12)]
    table = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    table.with_columns(pl.col("time") + 10**9).write_csv(tmp_path / "log.csv")
    items = pl.DataFrame({"item": range(12), "title": [f"Thing {k}" for k in range(12)]})
    items.write_csv(tmp_path / "items.csv")
    files = (f"dataset.interactions={tmp_path / 'log.csv'}", f"dataset.items={tmp_path / 'items.csv'}")
    split = ("split=leave_one_out", "split.valid=6", "split.test=39", "dataset.size=20")
    ranking = ("task=seqrec", "evaluate.max_new_tokens=2", "selector=random")
    return ["dataset=interactions", *files, "dataset.columns.rating=null", *split, *ranking]


TINY_USERS = ("split.per_user", "split.valid", "split.test", "dataset.size")


def test_a_log_without_ratings_goes_the_road_and_who_touched_everything_is_left_out(
    goracs: Command, few_items: list[str]
) -> None:
    ended = goracs(*few_items, "evaluate.negatives=4", without=TINY_USERS)
    assert ended.code == 0, ended.text
    tuned = ended.result["metrics"]["tuned"]
    left_out = ended.result["prompts"]["evaluate"]["left_out"]
    assert 0 < left_out == 39 - tuned["hr@5"]["n"]
    assert f"warning: {left_out} of 39 test examples are left out of ranking" in ended.text
    assert ended.text.index("left out of ranking") < ended.text.index("adapter   ...")
    assert ended.result["metrics"]["rule"] is None
    (warning,) = ended.result["warnings"]
    for word in ("evaluate.negatives=4", "seed=1"):  # all is there; the check alone is
        again = goracs(*few_items, "evaluate.negatives=4", word, without=TINY_USERS)
        assert again.result["warnings"] == [warning]
        assert f"warning: {warning}" in again.text


def test_negatives_that_nobody_has_left_are_refused_before_anything_long(
    goracs: Command, few_items: list[str]
) -> None:
    ended = goracs(*few_items, "evaluate.negatives=99", without=TINY_USERS)
    assert ended.code == 1
    assert "no target can be ranked" in ended.text
    assert "Lower evaluate.negatives" in ended.text
    assert "adapter   ..." not in ended.text
    assert "Traceback" not in ended.text


def test_a_log_without_ratings_is_refused_by_the_yes_no_task(goracs: Command, few_items: list[str]) -> None:
    ended = goracs(*few_items, "task=ctr", without=TINY_USERS)
    assert ended.code == 1
    assert "the data have no ratings (dataset.columns.rating=null)" in ended.text
    assert "take task=seqrec" in ended.text
    assert "Traceback" not in ended.text


def test_a_title_of_a_scraped_page_goes_and_a_long_one_is_named_before_anything_long(
    goracs: Command, few_items: list[str], tmp_path: Path
) -> None:
    titles = [
        "var aPageStart = (new Date()).getTime();",
        "Word " * 190,
        *(f"Thing {k}" for k in range(2, 12)),
    ]
    pl.DataFrame({"item": range(12), "title": titles}).write_csv(tmp_path / "items.csv")
    words = (*few_items, "evaluate.negatives=4", "split.test=null", "until=finetune")
    ended = goracs(*words, "backbone.max_length=256", without=TINY_USERS)
    assert ended.code == 1
    assert "item '1', whose title has 950 characters" in ended.text
    assert "dataset.title_max" in ended.text
    assert "adapter   ..." not in ended.text
    ended = goracs(*words, "backbone.max_length=256", "dataset.title_max=200", without=TINY_USERS)
    assert ended.code == 0, ended.text
