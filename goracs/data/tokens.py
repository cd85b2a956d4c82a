"""Prompts as token ids: what the LLM reads when it is scored, trained and asked.

One rule for all three: the prompt is tokenised by itself, the answer follows token by token. So what is
asked is a prefix of what is trained on, whatever the tokenizer would merge across the border.
A prompt that is too long loses its oldest history items, one by one; never its question, nor its answer.
A tokenizer is any object of the transformers kind; none is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from goracs.data.prompts import CHAT, prompt, without_oldest
from goracs.data.tasks import Task
from goracs.types import Example, GoracsError, IndexArray

SHOWN = 60  # characters of a title in a message


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt, and of the answer that follows it (the end mark included)."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.answer)


def encode(
    examples: Sequence[Example], task: Task, titles: pl.DataFrame, tokenizer: Any, max_length: int
) -> tuple[list[Encoded], int]:
    """Token ids of examples.

    Args:
        examples: as the task worded them.
        task: its template frames them; its wording makes the shorter ones.
        titles: item, title of every item in a history or a target.
        tokenizer: of the backbone.
        max_length: the most tokens of a prompt with its answer.

    Returns: the ids in order, and how many prompts lost history items.

    Raises:
        GoracsError: a prompt is too long without any history: cutting would lose the question or the answer.
    """
    kept, encoded = list(examples), tokenized(examples, task.template, tokenizer)
    shortened = set[int]()
    while rows := [row for row, ids in enumerate(encoded) if ids.length > max_length and kept[row].history]:
        shortened.update(rows)
        shorter = without_oldest([kept[row] for row in rows], task, titles)
        ids_of_shorter = tokenized(shorter, task.template, tokenizer)
        for row, example, ids in zip(rows, shorter, ids_of_shorter, strict=True):
            kept[row], encoded[row] = example, ids
    refuse_long(kept, encoded, titles, max_length)
    return encoded, len(shortened)


def tokenized(examples: Sequence[Example], template: str, tokenizer: Any) -> list[Encoded]:
    """Token ids of examples as they are, in order."""
    end = (tokenizer.eos_token_id,)
    prompts = [prompt(example, template, tokenizer) for example in examples]
    special = template != CHAT  # a chat template has its own
    prompt_ids = tokenizer(prompts, add_special_tokens=special).input_ids
    answer_ids = tokenizer([example.output for example in examples], add_special_tokens=False).input_ids
    return [Encoded(tuple(p), (*a, *end)) for p, a in zip(prompt_ids, answer_ids, strict=True)]


def answer_token(word: str, tokenizer: Any) -> int:
    """The one token of a one-word answer.

    Raises:
        GoracsError: the tokenizer spells the word with several tokens.
    """
    ids = tokenizer(word, add_special_tokens=False).input_ids
    if len(ids) != 1:
        pieces = tokenizer.convert_ids_to_tokens(ids)
        raise GoracsError(
            f"The answer '{word}' is {len(ids)} tokens of this backbone ({pieces}); the Yes/No task needs "
            "one token for each answer. Change task.answer_yes and task.answer_no to words that have one."
        )
    return int(ids[0])


def answer_tokens(no: str, yes: str, tokenizer: Any) -> tuple[int, int]:
    """The tokens of both answers, (no, yes).

    Raises:
        GoracsError: an answer is several tokens, or both are the same one.
    """
    pair = answer_token(no, tokenizer), answer_token(yes, tokenizer)
    if pair[0] == pair[1]:
        raise GoracsError(f"The answers '{no}' and '{yes}' are the same token of this backbone ({pair[0]}).")
    return pair


def batches(lengths: Sequence[int] | IndexArray, batch_tokens: int) -> list[IndexArray]:
    """Rows grouped by length, longest first, so that no padded group exceeds `batch_tokens` tokens.

    Law: a partition of all rows; a row longer than `batch_tokens` stands alone. Longest first: a run that
    does not fit in memory fails at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    groups: list[IndexArray] = []
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        groups.append(order[start : start + size])
        start += size
    return groups


def refuse_long(
    examples: Sequence[Example],
    encoded: Sequence[Encoded],
    titles: pl.DataFrame,
    max_length: int,
    of: int | None = None,
) -> None:
    """Refuse prompts that are too long, naming the longest and its title.

    Args:
        examples: without any history.
        encoded: their token ids.
        titles: item, title of every target; empty where there are no items.
        max_length: the most tokens of a prompt with its answer.
        of: how many examples these were chosen from; None: they are all.

    Raises:
        GoracsError: there is one.
    """
    lengths = [ids.length for ids in encoded]
    count = sum(length > max_length for length in lengths)
    if count:
        longest = int(np.argmax(lengths))
        raise GoracsError(
            f"{count} of {of or len(lengths)} prompts are longer than {max_length} tokens with their answer "
            f"and no history at all: cutting them would lose the question or the answer. The longest has "
            f"{lengths[longest]}: {_what_is_long(examples[longest], titles)}"
        )


def _what_is_long(example: Example, titles: pl.DataFrame) -> str:
    title = titles.filter(pl.col("item") == example.item)["title"]
    if title.is_empty():
        return f"its input begins {example.input[:SHOWN]!r}. Shorten it, or raise backbone.max_length."
    return (
        f"item {example.item!r}, whose title has {len(title[0]):,} characters ({title[0][:SHOWN]!r}). Raise "
        "backbone.max_length, or leave out items with long titles (dataset.title_max, in characters)."
    )
