"""Token ids on disk are those that were made, made once, and anew where they are not."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.llm.batch import Texts
from goracs.llm.kept_texts import once
from goracs.types import GoracsError
from tests.unit.test_packed import TEXTS
from tests.unit.test_read_part import same

OF = {"part": "train", "max_length": 9}


def parts() -> list[Texts]:
    rng = np.random.default_rng(0)

    def ids(least: int, count: int) -> list[list[int]]:
        return [rng.integers(1, 99, size).tolist() for size in rng.integers(least, 6, count)]

    made = [Texts.of(ids(1, n), ids(0, n), list(range(n)), pad_id=3, side="right") for n in (4, 1, 3)]
    return [replace(part, shortened=2) for part in made]


def nothing() -> Iterator[Texts]:
    """Nobody asks for these."""

    def again(_: int) -> Texts:
        raise AssertionError("made again")

    return map(again, range(1))


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_what_is_kept_is_what_was_made(
    tmp_path_factory: pytest.TempPathFactory, made: list[list[tuple[int, ...]]]
) -> None:
    """Also without an answer; the others map what the first one has made."""
    folder = tmp_path_factory.mktemp("kept")
    texts = [Texts.of([(7, *p) for p in ids], ids[::-1], [len(p) for p in ids], pad_id=0) for ids in made]
    for given_ in (texts, nothing()):
        found = once(folder, "train", OF, given_)
        same(found, Texts.joined(texts))
        assert isinstance(found.prompts.ids.base, np.memmap)


def test_texts_without_a_folder_are_in_memory() -> None:
    same(once(None, "train", OF, parts()), Texts.joined(parts()))


@pytest.mark.parametrize("name", ["train.ids", "train.rows", "train.texts"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "deep", "gone"])
def test_what_is_not_as_it_was_written_is_told_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    """Who has mapped the old files keeps them."""
    old, file = once(tmp_path, "train", OF, parts()), tmp_path / name
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.unlink()  # those of `old` are not these
    if damage != "gone":
        file.write_bytes(
            {"flipped": flipped, "cut": content[:middle], "emptied": b"", "deep": b"[" * 5000}[damage]
        )
    for texts in (parts(), nothing()):
        same(once(tmp_path, "train", OF, texts), Texts.joined(parts()))
    same(old, Texts.joined(parts()))
    assert ("made anew" in caplog.text) == ((name, damage) != ("train.texts", "gone"))
    assert file.read_bytes() == content


def test_what_others_left_is_told_and_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "goracs")
    once(tmp_path, "train", {**OF, "max_length": 8}, parts()[:1])
    same(once(tmp_path, "train", OF, parts()), Texts.joined(parts()))
    assert "train.texts are of other texts: they are made anew" in caplog.text


def test_what_is_refused_in_the_midst_is_not_kept(tmp_path: Path) -> None:
    def refused() -> Iterator[Texts]:
        yield parts()[0]
        raise GoracsError("too long")

    with pytest.raises(GoracsError, match="too long"):
        once(tmp_path, "train", OF, refused())
    same(once(tmp_path, "train", OF, parts()), Texts.joined(parts()))


def test_of_several_that_want_them_at_once_one_makes_them(tmp_path: Path) -> None:
    made = list[int]()

    def slowly(number: int) -> Iterator[Texts]:
        made.append(number)
        time.sleep(0.05)  # all others are there before the end
        yield from parts()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: once(tmp_path, "train", OF, slowly(number)), range(4)))
    assert len(made) == 1
    for texts in found:
        same(texts, Texts.joined(parts()))
