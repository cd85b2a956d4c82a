"""Token ids: the prompt is a prefix of the training text, nothing is cut, batches are a bounded partition."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.tokens import answer_tokens, batches, encode
from goracs.llm.backbone import load_tokenizer
from goracs.types import GoracsError


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Any:
    return load_tokenizer(tiny_weights)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=50), st.integers(1, 1000))
def test_batches_are_a_partition_within_the_bound(lengths: list[int], bound: int) -> None:
    groups = batches(lengths, bound)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[row] for row in group)
        assert len(group) == 1 or len(group) * longest <= bound


@given(st.lists(st.integers(1, 300), min_size=1, max_size=50))
def test_batches_start_with_the_longest_rows(lengths: list[int]) -> None:
    order = [lengths[row] for row in np.concatenate(batches(lengths, 500))]
    assert order == sorted(lengths, reverse=True)


def test_encode_keeps_prompt_and_answer_apart_and_ends_the_answer(tokenizer: Any) -> None:
    (encoded,) = encode(["### Response:\n"], ["Yes"], tokenizer, 100)
    assert list(encoded.prompt) == tokenizer("### Response:\n").input_ids
    assert encoded.answer == (*tokenizer("Yes", add_special_tokens=False).input_ids, tokenizer.eos_token_id)


def test_encode_refuses_what_would_be_cut(tokenizer: Any) -> None:
    with pytest.raises(GoracsError, match=r"1 of 2 prompts are longer than 20 tokens.*first is number 1"):
        encode(["a", "a b c d e f g h i j k l m n o p q r s t u v"], ["Yes", "No"], tokenizer, 20)


def test_answer_tokens_are_single_and_distinct(tokenizer: Any) -> None:
    no, yes = answer_tokens("No", "Yes", tokenizer)
    assert tokenizer.convert_ids_to_tokens([no, yes]) == ["No", "Yes"]


def test_answer_tokens_refuse_a_word_of_several_tokens(tokenizer: Any) -> None:
    with pytest.raises(GoracsError, match=r"'Quixotically' is \d+ tokens"):
        answer_tokens("No", "Quixotically", tokenizer)


def test_answer_tokens_refuse_two_words_with_one_token() -> None:
    def same(_word: str, add_special_tokens: bool) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[7])

    with pytest.raises(GoracsError, match=r"'No' and 'Yes' are the same token"):
        answer_tokens("No", "Yes", same)
