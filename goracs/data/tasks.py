"""What the LLM is asked: samples become examples with an instruction, an input and an output.

Tasks         `Ctr` (will the user like the target? Yes or No) and `SeqRec` (which item is next? its title).
Conventions   titles are quoted and separated by commas, oldest first; the wording lies in conf/task and its
              {placeholders} are filled once (a title may hold braces or quotes). A like is a rating above
              `like_threshold`.
Not here      the frame around an example (`goracs.data.prompts`), tokens (`goracs.llm`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from goracs.types import Example, InvalidInput


class Task(Protocol):
    """A question to the LLM. Its fields are its wording and what the selectors follow the task in."""

    @property
    def like_threshold(self) -> float: ...  # noqa: D102

    @property
    def template(self) -> str: ...  # noqa: D102

    @property
    def embed_output(self) -> bool: ...  # noqa: D102

    @property
    def lam(self) -> float: ...  # noqa: D102

    def examples(self, frame: pl.DataFrame, titles: Mapping[str, str]) -> list[Example]:
        """One example per sample, in the order of `frame`; `titles` has every item that occurs in it."""


@dataclass(frozen=True)
class Ctr:
    """Click-through prediction: the output is `answer_yes` if the target is liked, else `answer_no`.

    Args:
        name: what tables call it.
        item_word, items_word: one item and several, in the domain's words.
        none_word: what stands for an empty list of titles.
        like_threshold: in the data set's rating scale.
        answer_yes, answer_no: the two answers; an LLM needs one token for each.
        instruction: wording with {item}, {items}, {yes} and {no}.
        input: wording with the same, {liked}, {disliked} and {target}.
        template: the frame, see `goracs.data.prompts`.
        embed_output: whether the output is part of the text that is embedded.
        lam, max_exchanges, candidates, by_class: what the selectors take from the task by interpolation.
    """

    name: str
    item_word: str
    items_word: str
    none_word: str
    like_threshold: float
    answer_yes: str
    answer_no: str
    instruction: str
    input: str
    template: str
    embed_output: bool
    lam: float
    max_exchanges: int
    candidates: int
    by_class: bool

    def examples(self, frame: pl.DataFrame, titles: Mapping[str, str]) -> list[Example]:
        """One example per sample, in order, with `label` 1 (liked) or 0.

        Args:
            frame: samples as `goracs.data.samples.samples` gives them.
            titles: item -> title of every item in `frame`.

        Raises:
            InvalidInput: a wording names an unknown placeholder.
        """
        answers = {"yes": self.answer_yes, "no": self.answer_no}
        words = {"item": self.item_word, "items": self.items_word, **answers}
        instruction = _filled("instruction", self.instruction, words)
        made = []
        for user, item, rating, time, history, ratings in frame.iter_rows():
            likes = tuple(score > self.like_threshold for score in ratings)
            label = int(rating > self.like_threshold)
            body = _filled("input", self.input, words | self._titles(item, history, likes, titles))
            answer = self.answer_yes if label else self.answer_no
            made.append(Example(user, item, time, label, tuple(history), likes, instruction, body, answer))
        return made

    def _titles(
        self, item: str, history: list[str], likes: tuple[bool, ...], titles: Mapping[str, str]
    ) -> dict[str, str]:
        liked = [titles[shown] for shown, like in zip(history, likes, strict=True) if like]
        disliked = [titles[shown] for shown, like in zip(history, likes, strict=True) if not like]
        return {
            "liked": _listed(liked, self.none_word),
            "disliked": _listed(disliked, self.none_word),
            "target": _quoted(titles[item]),
        }


@dataclass(frozen=True)
class SeqRec:
    """Next-item recommendation: the output is the target's title, quoted; there is no label.

    Args:
        name: what tables call it.
        item_word, items_word, verb: one item, several, and what a user did with them ("watched").
        none_word: what stands for an empty history.
        like_threshold: in the data set's rating scale; only fills `Example.history_liked` and statistics.
        instruction: wording with {item}, {items} and {verb}.
        input: wording with {item}, {items}, {verb} and {history}.
        template: the frame, see `goracs.data.prompts`.
        embed_output: whether the output is part of the text that is embedded.
        lam, max_exchanges, candidates, by_class: what the selectors take from the task by interpolation.
    """

    name: str
    item_word: str
    items_word: str
    verb: str
    none_word: str
    like_threshold: float
    instruction: str
    input: str
    template: str
    embed_output: bool
    lam: float
    max_exchanges: int
    candidates: int
    by_class: bool

    def examples(self, frame: pl.DataFrame, titles: Mapping[str, str]) -> list[Example]:
        """One example per sample, in order, with `label` None.

        Args:
            frame: samples as `goracs.data.samples.samples` gives them.
            titles: item -> title of every item in `frame`.

        Raises:
            InvalidInput: a wording names an unknown placeholder.
        """
        words = {"item": self.item_word, "items": self.items_word, "verb": self.verb}
        instruction = _filled("instruction", self.instruction, words)
        made = []
        for user, item, _, time, history, ratings in frame.iter_rows():
            likes = tuple(score > self.like_threshold for score in ratings)
            shown = _listed([titles[earlier] for earlier in history], self.none_word)
            body = _filled("input", self.input, words | {"history": shown})
            answer = _quoted(titles[item])
            made.append(Example(user, item, time, None, tuple(history), likes, instruction, body, answer))
        return made


def _quoted(title: str) -> str:
    return f'"{title}"'


def _listed(titles: Iterable[str], none_word: str) -> str:
    return ", ".join(map(_quoted, titles)) or none_word


def _filled(name: str, wording: str, parts: Mapping[str, str]) -> str:
    try:
        return wording.format(**parts)
    except (KeyError, IndexError, ValueError) as error:
        known = " ".join(f"{{{part}}}" for part in parts)
        raise InvalidInput(
            f"task.{name} holds a placeholder that cannot be filled ({error}): it may use {known}; a brace "
            "that is meant as text is written twice."
        ) from error
