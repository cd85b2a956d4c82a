"""Whether a prepared set can go the whole road: what one row would end after minutes is seen before.

Length   a prompt can lose its history, never its question or its answer. So all of a part fit if each target
         of it does without any history, of which there are no more than items and answers. A token is at
         least one byte, so nearly all of them are short enough at sight and never tokenised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from goracs.data.prepare import Part, read_examples, read_titles
from goracs.data.prompts import prompt
from goracs.data.tasks import Task, as_examples
from goracs.data.tokens import refuse_long, tokenized
from goracs.types import Example

SPECIAL = 16  # tokens that a tokenizer may add to a text of its own accord


def check_lengths(folder: Path, part: Part, task: Task, tokenizer: Any, max_length: int) -> None:
    """Refuse a part with a prompt that is too long without any history.

    Raises:
        GoracsError: there is one; the longest is named.
    """
    bare = _bare(folder, part, task)
    long = [one for one in bare if _bytes(one, task, tokenizer) + SPECIAL > max_length]
    if long:
        encoded = tokenized(long, task.template, tokenizer)
        refuse_long(long, encoded, read_titles(folder), max_length, of=len(bare))


def _bare(folder: Path, part: Part, task: Task) -> list[Example]:
    """One example without a history for each item and label of a part; ready prompts as they are."""
    titles = read_titles(folder)
    if titles.is_empty():
        return read_examples(folder, part)
    rows = (
        pl.scan_parquet(folder / f"{part}.parquet", glob=False)
        .select("user", "item", "time", "label")
        .collect()
    )
    targets = rows.unique(["item", "label"], keep="first", maintain_order=True)
    frame = targets.select(
        "user",
        "item",
        "time",
        liked=pl.col("label").fill_null(0) == 1,
        history=pl.lit([], pl.List(pl.String)),
        history_liked=pl.lit([], pl.List(pl.Boolean)),
    )
    return as_examples(task.examples(frame, titles))


def _bytes(example: Example, task: Task, tokenizer: Any) -> int:
    return len(f"{prompt(example, task.template, tokenizer)}{example.output}".encode())
