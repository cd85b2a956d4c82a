"""A part of the prepared set is read a block at a time: as all its examples at once, to the last token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goracs.data import prepare as data
from goracs.data.prepare import prepare, read_blocks, read_examples, write
from goracs.llm.batch import Texts
from goracs.llm.recommender import Recommender
from goracs.types import GoracsError
from tests.conftest import RUNTIME, TINY
from tests.unit.test_prepare import MANY, NAMES, configured, made, paper

BLOCK = 7  # examples; the pool has 59


@pytest.fixture(scope="module", params=["pair", "all", "seqrec"])
def llm(request: Any, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """It shortens some prompts; item i3 has a title of 300 characters."""
    folder, name = tmp_path_factory.mktemp("prepared"), request.param
    task = configured("task/seqrec") if name == "seqrec" else replace(configured("task/ctr"), loss=name)
    write(
        prepare(made(MANY, {**NAMES, "i3": "xq9Z" * 75}, history=3), paper(valid=20, test=20), task), folder
    )
    return Recommender(tiny_weights, replace(TINY, max_length=480), task, RUNTIME, folder)


def of_length(llm: Recommender, most: int) -> Recommender:
    return Recommender(llm.weights, replace(TINY, max_length=most), llm.task, RUNTIME, llm.prepared)


def same(found: Texts, wanted: Texts) -> None:
    assert list(found.prompts) == list(wanted.prompts)
    assert list(found.answers) == list(wanted.answers)
    assert found.labels.tolist() == wanted.labels.tolist()
    assert (found.side, found.pad_id, found.shortened) == (wanted.side, wanted.pad_id, wanted.shortened)


def test_a_part_is_read_in_blocks_as_its_examples_are(
    llm: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made in memory, made on disk, found there."""
    assert llm.prepared is not None
    examples = read_examples(llm.prepared, "train")
    wanted = llm.read(examples)
    assert 0 < wanted.shortened < len(examples)
    before = dict(llm.prompts)
    monkeypatch.setattr(data, "BLOCK", BLOCK)
    blocks = list(read_blocks(llm.prepared, "train"))
    assert [example for block in blocks for example in block] == examples
    assert {len(block) for block in blocks[:-1]} == {BLOCK}
    for kept in (None, tmp_path, tmp_path):
        same(llm.read_part("train", kept), wanted)
    assert llm.prompts == {name: 4 * count for name, count in before.items()}


def test_what_is_too_long_is_told_of_all_blocks_as_of_one(
    llm: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many of how many, and which is the longest."""
    assert llm.prepared is not None
    short = of_length(llm, 150)
    with pytest.raises(GoracsError, match=r"^\d+ of 59 prompts are longer than 150 .*item 'i3'") as whole:
        short.read(read_examples(llm.prepared, "train"))
    monkeypatch.setattr(data, "BLOCK", BLOCK)
    with pytest.raises(GoracsError) as found:
        short.read_part("train", None)
    assert str(found.value) == str(whole.value)
