"""Odd values of the configuration, in short: none ends without words; and one that did would be seen."""

from __future__ import annotations

import numpy as np
import pytest
from omegaconf import DictConfig

from experiments import fuzz_words

TRIED = 15  # 10,000 in the long form


def test_what_is_chosen_from_the_files_is_taken() -> None:
    whole = fuzz_words.chosen("selector", "random")
    assert fuzz_words.tried(lambda: fuzz_words.looked_at(DictConfig(whole))).kind == "read"


def test_odd_values_are_taken_or_refused_in_words() -> None:
    whole, draw = fuzz_words.chosen("selector", "random"), np.random.default_rng(0)
    odd = [fuzz_words.changed(whole, draw) for _ in range(TRIED)]
    assert whole == fuzz_words.chosen("selector", "random")
    assert all(one != whole for one in odd)
    found = [fuzz_words.tried(lambda one=one: fuzz_words.looked_at(DictConfig(one))) for one in odd]  # type: ignore[misc]
    assert [one.said for one in found if one.kind not in ("read", "refused")] == []
    assert any(one.kind == "refused" for one in found)


def test_odd_words_are_taken_or_refused_in_words() -> None:
    found = [fuzz_words.tried(lambda word=word: fuzz_words.asked([word])) for word in WORDS]  # type: ignore[misc]
    assert [one.kind for one in found] == ["refused"] * len(WORDS)


WORDS = (
    "budget=" + "[" * 200,
    "~selector",
    "selector=",
    "seed=${none.such}",
    "selector.lam=\x00",
    "budget=nan=1",
)


@pytest.mark.parametrize(("raised", "kind"), [(KeyError("x"), "crashed"), (RecursionError(), "crashed")])
def test_what_ends_otherwise_is_seen(raised: Exception, kind: str) -> None:
    def end() -> None:
        raise raised

    assert fuzz_words.tried(end).kind == kind
