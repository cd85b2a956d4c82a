"""Token ids: the prompt is a prefix of the training text, nothing is cut, batches are a bounded partition."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from goracs.config import conf_dir
from goracs.data.prompts import prompt, without_oldest
from goracs.data.tasks import as_examples
from goracs.data.tokens import answer_tokens, batches, encode
from goracs.llm.backbone import load_tokenizer
from goracs.llm.losses import read
from goracs.types import Example, GoracsError


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


NAMES = [f"A film of many words, part {number} (1999)" for number in range(6)]
TITLES = pl.DataFrame({"item": list("012345"), "title": NAMES})
TEMPLATE = "{instruction}\n{input}\n"
CHAT = "{% for m in messages %}<|end|>{{ m['role'] }}: {{ m['content'] }}{% endfor %}<|end|>assistant: "


def task_of(name: str, **changes: Any) -> Any:
    return instantiate(OmegaConf.merge(OmegaConf.load(conf_dir() / "task" / f"{name}.yaml"), changes))


def worded(task: Any, *shown: int) -> list[Example]:
    """One example for each number of history items."""
    frame = pl.DataFrame(
        {
            "user": "u",
            "item": "5",
            "time": 9,
            "liked": [True] * len(shown),
            "history": [list("01234"[:count]) for count in shown],
            "history_liked": [[True, False, True, False, True][:count] for count in shown],
        },
        schema_overrides={"history": pl.List(pl.String), "history_liked": pl.List(pl.Boolean)},
    )
    return as_examples(task.examples(frame, TITLES))


@pytest.mark.parametrize("name", ["ctr", "seqrec"])
@pytest.mark.parametrize("template", ["own", "chat"])
def test_what_is_asked_is_the_beginning_of_what_is_trained_on(
    tokenizer: Any, name: str, template: str
) -> None:
    """Token by token; and both say in words what they should."""
    follows_one_rule(tokenizer, name, template)


def follows_one_rule(tokenizer: Any, name: str, template: str) -> None:
    task = task_of(name, template="chat") if template == "chat" else task_of(name)
    if template == "chat" and not tokenizer.chat_template:
        tokenizer = deepcopy(tokenizer)
        tokenizer.chat_template = CHAT
    (example,) = worded(task, 3)
    (encoded,), shortened = encode([example], task, TITLES, tokenizer, 1000)
    asked = prompt(example, task.template, tokenizer)
    assert tokenizer.decode(encoded.prompt, skip_special_tokens=False) == asked
    assert tokenizer.decode(encoded.prompt + encoded.answer) == asked + example.output + tokenizer.eos_token
    assert example.instruction in asked
    assert example.input in asked
    assert shortened == 0
    seq = SimpleNamespace(name="seqrec")  # any task but Ctr is trained on its answer too
    trained = read([encoded], [example], seq, tokenizer)
    assert trained.prompts[0] + trained.answers[0] == encoded.prompt + encoded.answer


@pytest.mark.parametrize("name", ["ctr", "seqrec"])
def test_what_is_too_long_loses_its_oldest_items_and_nothing_else(tokenizer: Any, name: str) -> None:
    task = task_of(name)
    examples = worded(task, 5, 2, 0)
    whole, _ = encode(examples, task, TITLES, tokenizer, 1000)
    for left in range(5):
        (fits,), _ = encode(worded(task, 5)[:1], task, TITLES, tokenizer, 1000)
        shorter = examples[:1]
        for _ in range(5 - left):
            shorter = without_oldest(shorter, task, TITLES)
        (wanted,), _ = encode(shorter, task, TITLES, tokenizer, 1000)
        room = max(wanted.length, whole[1].length if left >= 2 else whole[2].length)
        found, shortened = encode(examples, task, TITLES, tokenizer, room)
        assert found[0] == wanted
        assert found[0].answer == fits.answer
        assert found[2] == whole[2]
        assert shortened == 1 + (found[1] != whole[1])
        assert NAMES[4] in tokenizer.decode(found[0].prompt) or left == 0


@pytest.mark.parametrize("name", ["ctr", "seqrec"])
def test_one_token_too_many_costs_one_item_and_just_enough_none(tokenizer: Any, name: str) -> None:
    task = task_of(name)
    (whole,), _ = encode(worded(task, 3), task, TITLES, tokenizer, 1000)
    assert encode(worded(task, 3), task, TITLES, tokenizer, whole.length) == ([whole], 0)
    (found,), shortened = encode(worded(task, 3), task, TITLES, tokenizer, whole.length - 1)
    (one_less,), _ = encode(without_oldest(worded(task, 3), task, TITLES), task, TITLES, tokenizer, 1000)
    assert (found, shortened) == (one_less, 1)


class Letters:
    """A tokenizer of letters that puts 1 in front of every text unless asked not to, as LLaMA's does."""

    eos_token_id, chat_template = 2, "its own"

    def __call__(self, texts: list[str], add_special_tokens: bool = True) -> SimpleNamespace:
        front = [1] if add_special_tokens else []
        return SimpleNamespace(input_ids=[front + [ord(letter) for letter in text] for text in texts])

    def apply_chat_template(self, messages: Any, **_: Any) -> str:
        return f"\x01user: {messages[0]['content']}"


@pytest.mark.parametrize("template", ["chat", "{instruction}{input}"])
def test_a_prompt_never_begins_twice(template: str) -> None:
    """A chat template brings the token that begins a text; any other prompt gets it from the tokenizer."""
    task = task_of("ctr", template=template)
    (encoded,), _ = encode(worded(task, 1), task, TITLES, Letters(), 1000)
    assert encoded.prompt[0] == 1
    assert encoded.prompt.count(1) == 1
    assert encoded.answer == (*map(ord, "Yes"), 2)


def test_encode_refuses_a_question_that_would_be_cut(tokenizer: Any) -> None:
    task = task_of("ctr")
    with pytest.raises(
        GoracsError,
        match=r"2 of 2 prompts are longer than 20 tokens.*and no history at all.*item '\w+', whose title has",
    ):
        encode(worded(task, 2, 0), task, TITLES, tokenizer, 20)


def test_answer_tokens_are_single_and_distinct(tokenizer: Any) -> None:
    no, yes = answer_tokens("No", "Yes", TEMPLATE, tokenizer)
    assert tokenizer.convert_ids_to_tokens([no, yes]) == ["No", "Yes"]


def test_answer_tokens_refuse_a_word_of_several_tokens(tokenizer: Any) -> None:
    with pytest.raises(GoracsError, match=r"'Quixotically' is \d+ tokens"):
        answer_tokens("No", "Quixotically", TEMPLATE, tokenizer)


def test_answer_tokens_refuse_two_words_with_one_token() -> None:
    def same(texts: list[str], add_special_tokens: bool) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[[5, 7] if text[-1:] in "so" else [5] for text in texts])

    with pytest.raises(GoracsError, match=r"'No' and 'Yes' are the same token"):
        answer_tokens("No", "Yes", TEMPLATE, same)
