"""The data card: its figures against scikit-learn and counts by hand, its forms, and its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from goracs.data.prepare import prepare, write
from goracs.data.rule import history_share
from goracs.llm.backbone import load_tokenizer
from goracs.report.card import card, render, rule_auc, token_counts
from goracs.report.card_plot import draw
from goracs.types import GoracsError
from tests.unit.test_prepare import MANY, NAMES, configured, examples, made, paper

ROUNDING = 1e-12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 events of 7 users; item i10 is first met in the test set; two films share a title."""
    rows = [*MANY, ("u0", "i10", 5.0, 99)]
    titles = {**NAMES, "i1": NAMES["i0"], "i10": "New\nfilm"}
    where = tmp_path_factory.mktemp("prepared") / "a[1]*?"  # a name, though it looks like a pattern
    write(prepare(made(rows, titles, history=3), paper(valid=20, test=20), configured("task/ctr")), where)
    return where


def test_the_card_equals_counts_by_hand(folder: Path) -> None:
    found = card(folder)
    users, items = {row[0] for row in MANY}, {row[1] for row in MANY} | {"i10"}
    assert (found["events"], found["users"], found["items"]) == (121, len(users), len(items))
    assert found["density"] == 121 / (len(users) * len(items))
    assert (found["repeated_titles"], found["titles_cleaned"]) == (1, 1)
    assert found["time"] == [0, 99]
    assert found["samples"] == sum(found[part]["samples"] for part in ("train", "valid", "test"))
    assert found["test"]["last"] == {"user": "u0", "item": "i10", "time": 99}
    assert (found["test"]["cold"], found["train"]["cold"]) == (1, 0)
    assert found["train"]["history"] == {"3": found["train"]["samples"]}


def test_the_card_tells_what_was_guessed_and_what_repeats(tmp_path: Path) -> None:
    dataset = made([*MANY, MANY[5]], NAMES, history=3, noted={"items: a guess": 2})
    write(prepare(dataset, paper(valid=20, test=20), configured("task/ctr")), tmp_path)
    found = card(tmp_path)
    assert (found["noted"], found["duplicates"]) == ({"items: a guess": 2}, 1)
    text = render("made", found)
    assert "noted: 2 items: a guess" in text
    assert "repeats: 1 events equal an earlier one" in text


def test_steps_are_shown_as_numbers_and_days_as_days(folder: Path, tmp_path: Path) -> None:
    assert render("made", card(folder)).split("last day")[1].split()[2] == "99"
    days = [(user, item, rating, 10**9 + 86_400 * time) for user, item, rating, time in MANY]
    write(prepare(made(days, NAMES), paper(valid=20, test=20), configured("task/ctr")), tmp_path)
    assert render("made", card(tmp_path)).split("first day")[1].split()[0] == "2001-09-26"


def test_the_card_tells_how_much_the_biggest_users_make(folder: Path) -> None:
    counts = pl.read_parquet(folder / "test.parquet", glob=False)["user"].value_counts(sort=True)["count"]
    assert card(folder)["test"]["biggest_users"] == counts[:5].sum() / 20


@given(st.lists(st.tuples(st.lists(st.booleans(), max_size=4), st.integers(0, 1)), min_size=1))
def test_the_auc_of_the_rule_equals_scikit_learns(rows: list[tuple[list[bool], int]]) -> None:
    likes = pl.Series([shown for shown, _ in rows], dtype=pl.List(pl.Boolean))
    labels = [label for _, label in rows]
    found = rule_auc(likes, pl.Series(labels))
    if len(set(labels)) == 1 or not any(shown for shown, _ in rows):
        assert found is None
    else:
        shares = [np.mean(shown) if shown else 0.5 for shown, _ in rows]
        assert found == pytest.approx(roc_auc_score(labels, shares), abs=ROUNDING)


def test_the_auc_of_the_card_is_that_of_the_rule_stage(folder: Path) -> None:
    prepared = prepare(made(MANY, NAMES, history=3), paper(valid=20, test=20), configured("task/ctr"))
    test = examples(prepared, "test")
    expected = roc_auc_score([example.label for example in test], history_share(test))
    history = pl.Series([list(example.history_liked) for example in test])
    assert rule_auc(history, pl.Series([example.label for example in test])) == pytest.approx(expected)


def test_tokens_are_counted_with_the_answer_and_the_end(folder: Path, tiny_weights: Path) -> None:
    task, tokenizer = configured("task/ctr"), load_tokenizer(tiny_weights)
    rows = pl.read_parquet(folder / "test.parquet", glob=False)
    words = rows.select("instruction", "input", "output").rows()
    texts = [task.template.format(instruction=asked, input=shown) + said for asked, shown, said in words]
    lengths = [len(tokenizer(text).input_ids) + 1 for text in texts]
    found = token_counts(folder, task, tokenizer, int(np.median(lengths)))["test"]
    assert found["looked_at"] == 20
    assert found["max"] == max(lengths)
    assert found["too_long"] == sum(length > int(np.median(lengths)) for length in lengths)


def test_the_card_is_plain_json_and_its_text_has_a_column_for_each_part(folder: Path) -> None:
    found = card(folder)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = render("mine", found)
    assert "mine: 121 events of 7 users" in text
    (cold,) = [line.split() for line in text.splitlines() if "cold targets" in line]
    assert cold[-3:] == ["0", str(found["valid"]["cold"]), "1"]


def test_a_task_without_labels_has_likes_but_no_rule(tmp_path: Path) -> None:
    write(prepare(made(MANY, NAMES), paper(valid=5, test=5), configured("task/seqrec")), tmp_path)
    found = card(tmp_path)
    assert found["test"]["rule_auc"] is None
    assert found["test"]["like_rate"] == found["test"]["liked"] / 5 > 0
    assert "nan" not in render("mine", found).lower()


def test_the_rule_is_left_out_where_no_sample_has_a_history(tmp_path: Path) -> None:
    """One event a user: whatever the labels are, an AUC of a constant says nothing."""
    rows = [(f"u{k}", f"i{k % 5}", float(k % 2 * 4 + 1), k) for k in range(40)]
    write(prepare(made(rows, NAMES), paper(valid=10, test=10), configured("task/ctr")), tmp_path)
    found = card(tmp_path)
    assert found["test"]["rule_auc"] is None
    text = render("mine", found)
    assert "history-share rule" not in text
    assert "like rate" in text


def test_the_card_of_data_without_ratings_knows_no_likes(tmp_path: Path) -> None:
    rows: Any = [(user, item, None, time) for user, item, _, time in MANY]
    unrated = made(rows, NAMES, rated=False)
    write(prepare(unrated, paper(valid=5, test=5), configured("task/seqrec")), tmp_path)
    found = card(tmp_path)
    assert [found["liked"], found["like_rate"], found["test"]["liked"], found["test"]["like_rate"]] == [
        None
    ] * 4
    assert "like" not in render("mine", found).replace("history", "")


def test_the_card_tells_how_many_targets_are_tied(tmp_path: Path) -> None:
    """Two events at each time of one user: behind a full history every second target is tied."""
    rows = [("u", f"i{k % 10}", 4.0, k // 2) for k in range(43)]
    write(prepare(made(rows, NAMES), paper(valid=10, test=10), configured("task/ctr")), tmp_path)
    found = card(tmp_path)
    assert (found["test"]["tied"], found["test"]["tied_rate"]) == (5, 0.5)
    assert "share tied with their last history item" in render("mine", found)


def test_the_pictures_are_drawn(folder: Path, tmp_path: Path) -> None:
    for name in ("card.png", "card.svg"):
        draw(folder, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000


def test_pictures_without_matplotlib_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(GoracsError, match=r"pip install 'goracs\[plots\]'"):
        draw(folder, tmp_path / "card.png")
