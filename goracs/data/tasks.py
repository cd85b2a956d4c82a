"""What the LLM is asked: samples become examples with an instruction, an input and an output.

Tasks         `Ctr` (will the user like the target? Yes or No) and `SeqRec` (which item is next? its title).
Conventions   titles are quoted and separated by commas, oldest first; the wording lies in conf/task and its
              {placeholders} are filled once (a title may hold braces or quotes). A like is a rating above
              `like_threshold`. A column at a time: there may be millions of samples.
Not here      the frame around an example (`goracs.data.prompts`), tokens (`goracs.data.tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

from goracs.data.wording import filled, listed, quoted
from goracs.types import ByClass, Example, InvalidInput

EXAMPLE = pl.Schema(
    {
        "user": pl.String(),
        "item": pl.String(),
        "time": pl.Int64(),
        "label": pl.Int64(),
        "history": pl.List(pl.String()),
        "history_liked": pl.List(pl.Boolean()),
        "instruction": pl.String(),
        "input": pl.String(),
        "output": pl.String(),
        "system": pl.String(),
        "turns": pl.List(pl.List(pl.String())),
    }
)
BARE = {"system": pl.lit(""), "turns": pl.lit([], EXAMPLE["turns"])}  # of an example that is no dialogue


class Task(Protocol):
    """A question to the LLM. Its fields are its wording and what the selectors follow the task in."""

    @property
    def like_threshold(self) -> float: ...  # noqa: D102

    @property
    def template(self) -> str: ...  # noqa: D102

    @property
    def embed_output(self) -> bool: ...  # noqa: D102

    @property
    def loss(self) -> str: ...  # noqa: D102

    @property
    def lam(self) -> float | Literal["auto"]: ...  # noqa: D102

    def examples(self, frame: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
        """One example for each row, in order, of schema `EXAMPLE`.

        Args:
            frame: user, item, time, `liked` bool, history (list of items), history_liked (list of bool).
            titles: item, title of (at least) every item in `frame`.

        Raises:
            InvalidInput: a wording names an unknown placeholder.
        """


@dataclass(frozen=True)
class Ctr:
    """Click-through prediction: the output is `answer_yes` if the target is liked, else `answer_no`.

    Args:
        name: what tables call it.
        item_word, items_word: one item and several, in the domain's words.
        none_word: what stands for an empty list of titles.
        like_threshold: in the data set's rating scale.
        flipped: share of the pool's answers that are turned, by chance, in [0, 1]: to study noise.
        answer_yes, answer_no: the two answers; an LLM needs one token for each.
        instruction: wording with {item}, {items}, {yes} and {no}.
        input: wording with the same, {liked}, {disliked} and {target}.
        template: the frame, see `goracs.data.prompts`.
        embed_output: whether the output is part of the text that is embedded.
        loss: what is scored and trained: the choice between the two answers, or tokens out of the whole
            vocabulary, the answer's one token or all of prompt and answer. EL2N, margins and what is asked
            are of the choice in each.
        lam, published_lam, max_exchanges, candidates, by_class: what the selectors take from the task by
            interpolation; the second is the paper's, for its own search.
    """

    name: str
    item_word: str
    items_word: str
    none_word: str
    like_threshold: float
    flipped: float
    answer_yes: str
    answer_no: str
    instruction: str
    input: str
    template: str
    embed_output: bool
    loss: Literal["pair", "answer", "all"]
    lam: float | Literal["auto"]
    published_lam: float
    max_exchanges: int
    candidates: int
    by_class: ByClass

    def __post_init__(self) -> None:
        if isinstance(self.flipped, bool) or not 0 <= self.flipped <= 1:
            raise InvalidInput(f"task.flipped must be a share in [0, 1], got {self.flipped!r}.")
        if self.answer_yes == self.answer_no:
            raise InvalidInput(
                f"task.answer_yes and task.answer_no are both {self.answer_yes!r}: they must differ."
            )

    def examples(self, frame: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
        """See `Task`; `label` is 1 (liked) or 0."""
        target, shown = quoted(frame, titles)
        liked, disliked = (
            listed(side, len(frame), self.none_word)
            for side in (shown.filter("liked"), shown.filter(~pl.col("liked")))
        )
        parts = {"liked": pl.lit(liked), "disliked": pl.lit(disliked), "target": pl.lit(target)}
        words = _words(item=self.item_word, items=self.items_word, yes=self.answer_yes, no=self.answer_no)
        return frame.select(
            "user",
            pl.col("item").cast(pl.String),
            "time",
            label=pl.col("liked").cast(pl.Int64),
            history=pl.col("history").cast(pl.List(pl.String)),
            history_liked="history_liked",
            instruction=filled("instruction", self.instruction, words),
            input=filled("input", self.input, words | parts),
            output=pl.when("liked").then(pl.lit(self.answer_yes)).otherwise(pl.lit(self.answer_no)),
            **BARE,
        )


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
        loss: of which tokens it is that is scored and trained: all of prompt and answer, or the answer's.
        lam, published_lam, max_exchanges, candidates, by_class: what the selectors take from the task by
            interpolation; the second is the paper's, for its own search.
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
    loss: Literal["all", "answer"]
    lam: float | Literal["auto"]
    published_lam: float
    max_exchanges: int
    candidates: int
    by_class: ByClass

    def examples(self, frame: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
        """See `Task`; `label` is null."""
        target, shown = quoted(frame, titles)
        words = _words(item=self.item_word, items=self.items_word, verb=self.verb)
        parts = {"history": pl.lit(listed(shown, len(frame), self.none_word))}
        return frame.select(
            "user",
            pl.col("item").cast(pl.String),
            "time",
            label=pl.lit(None, pl.Int64),
            history=pl.col("history").cast(pl.List(pl.String)),
            history_liked="history_liked",
            instruction=filled("instruction", self.instruction, words),
            input=filled("input", self.input, words | parts),
            output=pl.lit(target),
            **BARE,
        )


def as_examples(frame: pl.DataFrame) -> list[Example]:
    """The rows of a table of schema `EXAMPLE` as objects."""
    rows = frame.select(*EXAMPLE).iter_rows()
    return [
        Example(
            *(user, item, time, label, tuple(history), tuple(liked)),
            *(instruction, query, output, system, tuple((said, answer) for said, answer in turns)),
        )
        for user, item, time, label, history, liked, instruction, query, output, system, turns in rows
    ]


def _words(**words: str) -> dict[str, pl.Expr]:
    return {name: pl.lit(word) for name, word in words.items()}
