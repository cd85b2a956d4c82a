"""Prompts as token ids: what the LLM reads when it is scored, trained and asked.

One rule for all three: the prompt is tokenised by itself, the answer follows token by token. So what is
asked is a prefix of what is trained on, whatever the tokenizer would merge across the border.
A tokenizer is any object of the transformers kind; none is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.types import GoracsError, IndexArray


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt, and of the answer that follows it (the end mark included)."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def encode(prompts: Sequence[str], answers: Sequence[str], tokenizer: Any, max_length: int) -> list[Encoded]:
    """Token ids of prompts and answers.

    Raises:
        GoracsError: a prompt with its answer exceeds `max_length` tokens: cutting would lose the answer.
    """
    end = (tokenizer.eos_token_id,)
    prompt_ids = tokenizer(list(prompts)).input_ids
    answer_ids = tokenizer(list(answers), add_special_tokens=False).input_ids
    encoded = [Encoded(tuple(p), (*a, *end)) for p, a in zip(prompt_ids, answer_ids, strict=True)]
    _refuse_long(np.array([len(e.prompt) + len(e.answer) for e in encoded], dtype=np.int64), max_length)
    return encoded


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


def _refuse_long(lengths: IndexArray, max_length: int) -> None:
    too_long = np.flatnonzero(lengths > max_length)
    if len(too_long):
        raise GoracsError(
            f"{len(too_long)} of {len(lengths)} prompts are longer than {max_length} tokens with their "
            f"answer (the longest has {lengths.max()}, the first is number {too_long[0]}): cutting "
            "them would lose the answer. Raise backbone.max_length or lower dataset.history."
        )
