"""Prompts as token ids: what the LLM reads when it is scored, trained and asked.

Prompt       tokenised by itself, since that is all an LLM sees when it is asked; the answer's tokens follow.
             So what is asked is a prefix of what is trained on, token by token.
Marks        those that a tokenizer puts in front of a text begin the prompt (a chat template has its own);
             those it puts behind are left out: they would end the prompt before its answer.
Answer       its tokens are those it has after the prompt's end. A text alone is another one for a tokenizer
             that puts a space in front of it (SentencePiece: `Yes` after a line break, `▁Yes` alone). It is
             read behind the template around quoted words, so Yes and No have one token each for all prompts.
Merged       where a tokenizer would merge across that border (the template ends in a space, say), so that the
             template's tokens no longer begin those of both: the answer's tokens are those it has behind the
             first of `NEIGHBOURS` that is left whole, and alone only where none is.
A prompt that is too long loses its oldest history items, one by one; never its question, nor its answer.
A tokenizer is any object of the transformers kind; none is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from goracs.data.prompts import CHAT, framed, prompt, without_oldest
from goracs.data.tasks import Task
from goracs.data.wording import in_quotes
from goracs.types import Example, GoracsError, IndexArray

SHOWN = 60  # characters of a title in a message
NEIGHBOURS = ("\n", ".", "a")  # a tokenizer that merges across one of them hardly does so across the others


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
    ((_, encoded, shortened),) = encode_blocks([examples], task, titles, tokenizer, max_length)
    return encoded, shortened


def encode_blocks(
    blocks: Iterable[Sequence[Example]], task: Task, titles: pl.DataFrame, tokenizer: Any, max_length: int
) -> Iterator[tuple[Sequence[Example], list[Encoded], int]]:
    """As `encode`, a block at a time, each with its examples; what is too long is told behind the last one.

    Raises:
        GoracsError: as `encode`, of all blocks together.
    """
    long, read = list[Excess](), 0
    for examples in blocks:
        kept, encoded, shortened = _shortened(examples, task, titles, tokenizer, max_length)
        long, read = [*long, *excess(kept, encoded, max_length)], read + len(encoded)
        yield examples, encoded, shortened
    _refuse(long, titles, max_length, read)


def _shortened(
    examples: Sequence[Example], task: Task, titles: pl.DataFrame, tokenizer: Any, max_length: int
) -> tuple[list[Example], list[Encoded], int]:
    """Examples without the history that made them too long; their ids; how many have lost some of it."""
    kept, encoded = list(examples), tokenized(examples, task.template, tokenizer)
    shortened = set[int]()
    while rows := [row for row, ids in enumerate(encoded) if ids.length > max_length and kept[row].history]:
        shortened.update(rows)
        shorter = without_oldest([kept[row] for row in rows], task, titles)
        ids_of_shorter = tokenized(shorter, task.template, tokenizer)
        for row, example, ids in zip(rows, shorter, ids_of_shorter, strict=True):
            kept[row], encoded[row] = example, ids
    return kept, encoded, len(shortened)


def tokenized(examples: Sequence[Example], template: str, tokenizer: Any) -> list[Encoded]:
    """Token ids of examples as they are, in order.

    Raises:
        GoracsError: the tokenizer has no token that ends a text.
    """
    if tokenizer.eos_token_id is None:
        raise GoracsError("This backbone's tokenizer has no end token: an answer would have no end.")
    front = [] if template == CHAT else marks_in_front(tokenizer)
    prompts = _plain([prompt(example, template, tokenizer) for example in examples], tokenizer)
    answers = answer_ids([example.output for example in examples], template, tokenizer)
    return [
        Encoded((*front, *ids), (*answers[example.output], tokenizer.eos_token_id))
        for ids, example in zip(prompts, examples, strict=True)
    ]


def answer_ids(answers: Sequence[str], template: str, tokenizer: Any) -> dict[str, tuple[int, ...]]:
    """The tokens of each answer after a prompt of this template, without the end mark."""
    context = framed('"a"', '"a"', template, tokenizer, system="", turns=())
    found: dict[str, tuple[int, ...]] = {}
    for before in (context, *NEIGHBOURS):
        found |= _following(before, sorted({*answers} - {*found}), tokenizer)
    left = sorted({*answers} - {*found})
    return found | dict(zip(left, map(tuple, _plain(left, tokenizer)), strict=True))


def title_ids(titles: Sequence[str], template: str, tokenizer: Any) -> dict[str, tuple[int, ...]]:
    """The tokens of each title as an answer of the SeqRec task, with the end mark: as it is trained."""
    answers = in_quotes(pl.Series(titles, dtype=pl.String)).to_list()
    found = answer_ids(answers, template, tokenizer)
    return {
        title: (*found[answer], tokenizer.eos_token_id) for title, answer in zip(titles, answers, strict=True)
    }


def answer_tokens(no: str, yes: str, template: str, tokenizer: Any) -> tuple[int, int]:
    """The one token of each of two one-word answers after a prompt of this template, (no, yes).

    Raises:
        GoracsError: the tokenizer spells an answer with several tokens, or both with the same one.
    """
    found = answer_ids([no, yes], template, tokenizer)
    for word, ids in found.items():
        _refuse_several(word, ids, tokenizer)
    if found[no] == found[yes]:
        raise GoracsError(
            f"The answers '{no}' and '{yes}' are the same token of this backbone ({found[no][0]})."
        )
    return found[no][0], found[yes][0]


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


def _following(before: str, answers: Sequence[str], tokenizer: Any) -> dict[str, tuple[int, ...]]:
    """The tokens of the answers after a text, for those that are not merged with it."""
    front, *whole = _plain([before, *(before + answer for answer in answers)], tokenizer)
    return {
        answer: tuple(ids[len(front) :])
        for answer, ids in zip(answers, whole, strict=True)
        if front and ids[: len(front)] == front
    }


def _plain(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """The tokens of texts without any mark."""
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
    return ids


def marks_in_front(tokenizer: Any) -> list[int]:
    """What the tokenizer puts in front of a text."""
    marked: list[int] = tokenizer(["a"]).input_ids[0]
    (plain,) = _plain(["a"], tokenizer)
    for place in range(len(marked)):
        if marked[place : place + len(plain)] == plain:
            return marked[:place]
    raise GoracsError(
        f"This backbone's tokenizer writes a text otherwise beside its own marks ({marked}) than without "
        f"({plain}): take task.template=chat, or another backbone."
    )


def _refuse_several(word: str, ids: tuple[int, ...], tokenizer: Any) -> None:
    if len(ids) != 1:
        pieces = tokenizer.convert_ids_to_tokens(list(ids))
        raise GoracsError(
            f"The answer '{word}' is {len(ids)} tokens of this backbone ({pieces}); the Yes/No task needs "
            "one token for each answer. Change task.answer_yes and task.answer_no to words that have one."
        )


@dataclass(frozen=True)
class Excess:
    """Of prompts that are too long: how many there are; the longest, and its tokens."""

    count: int
    longest: Example
    tokens: int


def excess(examples: Sequence[Example], encoded: Sequence[Encoded], max_length: int) -> list[Excess]:
    """What of some examples is too long; nothing where nothing is."""
    lengths = [ids.length for ids in encoded]
    count = sum(length > max_length for length in lengths)
    longest = int(np.argmax(lengths)) if count else 0
    return [Excess(count, examples[longest], lengths[longest])] if count else []


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
    _refuse(excess(examples, encoded, max_length), titles, max_length, of or len(encoded))


def _refuse(long: Sequence[Excess], titles: pl.DataFrame, max_length: int, of: int) -> None:
    if long:
        longest = max(long, key=lambda part: part.tokens)
        bare = "" if titles.is_empty() else " and no history at all"
        raise GoracsError(
            f"{sum(part.count for part in long)} of {of} prompts are longer than {max_length} tokens with "
            f"their answer{bare}: cutting them would lose the question or the answer. The longest has "
            f"{longest.tokens}: {_what_is_long(longest.longest, titles)}"
        )


def _what_is_long(example: Example, titles: pl.DataFrame) -> str:
    title = titles.filter(pl.col("item") == example.item)["title"]
    if title.is_empty():
        parts = {name: getattr(example, name) for name in ("instruction", "input", "output", "system")}
        parts["history"] = "\n".join(text for turn in example.turns for text in turn)
        name, text = max(parts.items(), key=lambda part: len(part[1]))
        return (
            f"its {name} has {len(text):,} characters and begins {text[:SHOWN]!r}. Shorten it, or raise "
            "backbone.max_length."
        )
    return (
        f"item {example.item!r}, whose title has {len(title[0]):,} characters ({title[0][:SHOWN]!r}). Raise "
        "backbone.max_length, or leave out items with long titles (dataset.title_max, in characters)."
    )
