"""Constrained writing: real titles alone come out, best first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.llm.backbone import load_tokenizer
from goracs.llm.batch import Texts
from goracs.llm.constrained import branches, complete, decoding, trie, write_candidates
from goracs.llm.likelihood import likelihoods
from goracs.types import GoracsError
from tests.unit.test_likelihood import END, candidates, job, models, texts

Ids = tuple[int, ...]
WORDS = st.lists(st.lists(st.integers(1, 3), max_size=4).map(lambda ids: (*ids, END)), max_size=12)


@given(titles=WORDS, written=st.lists(st.integers(0, 3), max_size=5))
def test_what_may_follow_is_what_follows_in_some_title(titles: list[Ids], written: list[int]) -> None:
    size = len(written)
    following = {ids[size] for ids in titles if len(ids) > size and list(ids[:size]) == written}
    found = branches(trie(titles), written)
    assert len(found) == len(set(found))
    assert set(found) == following


def test_what_no_beam_finished_and_copies_are_left_out() -> None:
    beams = [[1, END, END], [1, 2, END], [1, END, 5], [1, 2, 3], [END, 1, 2], [9, END, END]]
    assert complete(beams, [(1, END), (1, 2, END), (1, 2, 3, END)], END) == [(1, END), (1, 2, END)]


@pytest.fixture(scope="module")
def found(tiny_weights: Path) -> dict[str, Any]:
    return {**models(tiny_weights), "tokenizer": load_tokenizer(tiny_weights)}


def search(found: dict[str, Any], kind: str, given: Texts, titles: Any, beams: int, mean: bool = True) -> Any:
    longest = max(len(ids) for row in titles for ids in row)
    how = decoding(found["tokenizer"], beams, longest, mean)
    return write_candidates(found[kind], given, titles, how, job(256))


@pytest.mark.parametrize("kind", ["bare", "adapter"])
@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("beams", [10, 16])
def test_with_as_many_beams_as_titles_the_order_is_that_of_the_likelihoods(
    found: dict[str, Any], kind: str, mean: bool, beams: int
) -> None:
    """Titles that begin others, one of a single token and rows of fewer titles than beams among them."""
    titles = candidates()
    assert max(map(len, titles)) == 10
    scores = likelihoods(found[kind], texts(), titles, mean, job(256))
    got = search(found, kind, texts(), titles, beams, mean)
    assert got == [
        [row[place] for place in np.argsort(-own)] for row, own in zip(titles, scores, strict=True)
    ]


def many(count: int) -> list[Ids]:
    rng = np.random.default_rng(2)
    tails = [rng.integers(5, 900, rng.integers(0, 9)).tolist() for _ in range(count)]
    return [(int(rng.integers(5, 9)), *tail, END) for tail in tails]


@pytest.mark.parametrize("beams", [1, 2, 10])
def test_only_real_titles_come_out(found: dict[str, Any], beams: int) -> None:
    titles = many(300)
    got = search(found, "bare", texts(), [titles] * 4, beams)
    assert all(len(row) == beams == len(set(row)) for row in got)
    assert {ids for row in got for ids in row} <= set(titles)


def test_each_row_is_written_from_its_own_titles_as_if_it_were_alone(found: dict[str, Any]) -> None:
    titles = many(40)
    rows = [titles[:10], titles[10:20], titles[20:30], titles[30:]]
    together = search(found, "bare", texts(), rows, 3)
    for row, prompt in enumerate(texts().prompts):
        lone = Texts.of([prompt], [()], [-1], pad_id=0)
        assert search(found, "bare", lone, [rows[row]], 3) == [together[row]]


def test_a_title_in_which_the_end_token_stands_is_never_written(found: dict[str, Any]) -> None:
    got = search(found, "bare", texts(), [[(5, END, 6, END), (7, END)]] * 4, 4)
    assert got == [[(7, END)]] * 4


def test_prompts_after_which_no_title_was_found_are_named(found: dict[str, Any]) -> None:
    with pytest.raises(GoracsError, match=r"with a title for 4 of 4 prompts \(rows \[0, 1, 2, 3\]"):
        search(found, "bare", texts(), [[(5, END, 6, END)]] * 4, 2)
