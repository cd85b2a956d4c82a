"""Token ids as padded tensors.

Padding goes left unless asked otherwise, so that every answer position is the last column. Position ids
count real tokens: a padded row is read exactly as it would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from goracs.types import Example, IndexArray

IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """B padded rows of T tokens.

    `rows` [B] are their places in the whole data, `ids`, `mask`, `positions` [B, T]; `last` [B] is the column
    of each row's last real token; `answer` [B, T] marks the tokens of the answer; `labels` [B] are the
    example's (1 = yes), -1 where there are none.
    """

    rows: Tensor
    ids: Tensor
    mask: Tensor
    positions: Tensor
    last: Tensor
    answer: Tensor
    labels: Tensor

    @property
    def inputs(self) -> dict[str, Tensor]:
        """What a model is given to read it."""
        return {"input_ids": self.ids, "attention_mask": self.mask, "position_ids": self.positions}

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})

    def split(self, parts: int) -> list[Batch]:
        """The same rows in some batches of about one size, as wide as this one."""
        cut = {name: value.tensor_split(parts) for name, value in vars(self).items()}
        return [Batch(**{name: values[place] for name, values in cut.items()}) for place in range(parts)]


@dataclass(frozen=True)
class Texts:
    """Token ids of many examples: prompts, the answers that follow them (empty where they are not read).

    `examples` are those they were made of, for messages; none where nobody asks.
    """

    prompts: Sequence[tuple[int, ...]]
    answers: Sequence[tuple[int, ...]]
    labels: Sequence[int]
    pad_id: int
    side: str = "left"
    examples: Sequence[Example] = ()

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def lengths(self) -> IndexArray:
        """[count] tokens of prompt and answer."""
        return np.array([len(p) + len(a) for p, a in zip(self.prompts, self.answers, strict=True)], np.int64)

    def without_answers(self) -> Texts:
        """The prompts alone, padded on the left: what is written or read after them stands beside them."""
        return replace(self, answers=[()] * len(self), side="left")

    def named(self, rows: IndexArray) -> list[str]:
        """What messages call the given rows: their place, and what the data call their user and item."""
        return [
            ", ".join([f"row {row}", *(_ids(self.examples[row]) if self.examples else [])]) for row in rows
        ]

    def batch(self, rows: IndexArray) -> Batch:
        """The given rows, padded to the longest of them."""
        texts = [self.prompts[row] + self.answers[row] for row in rows]
        width = max(map(len, texts))
        ids = torch.full((len(texts), width), self.pad_id)
        mask, answer = torch.zeros_like(ids), torch.zeros_like(ids)
        for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
            start = width - len(text) if self.side == "left" else 0
            ids[place, start : start + len(text)] = torch.tensor(text)
            mask[place, start : start + len(text)] = 1
            answer[place, start + len(self.prompts[row]) : start + len(text)] = 1
        return Batch(
            rows=torch.as_tensor(rows),
            ids=ids,
            mask=mask,
            positions=(mask.cumsum(1) - 1).clamp(min=0),
            last=(mask * torch.arange(width)).argmax(1),
            answer=answer.bool(),
            labels=torch.tensor([self.labels[row] for row in rows]),
        )


def _ids(example: Example) -> list[str]:
    """Ready prompts may have neither."""
    return [f"{what} {name}" for what, name in (("user", example.user), ("item", example.item)) if name]
