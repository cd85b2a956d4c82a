"""Token ids as padded tensors.

Padding goes left unless asked otherwise, so that every answer position is the last column. Position ids
count real tokens: a padded row is read exactly as it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from goracs.llm.packed import Packed
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


@dataclass(frozen=True, eq=False)
class Texts:
    """Token ids of many examples: prompts, the answers that follow them (empty where they are not read).

    `labels` [len] int64 are the examples' (1 = yes), -1 where there are none; `examples` are those they were
    made of, for messages; none where nobody asks. `shortened` of them were too long and lost something.
    """

    prompts: Packed
    answers: Packed
    labels: IndexArray
    pad_id: int
    side: str = "left"
    examples: Sequence[Example] = ()
    shortened: int = 0

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        labels: Sequence[int] | IndexArray,
        pad_id: int,
        side: str = "left",
    ) -> Texts:
        """Those of plain sequences."""
        return cls(Packed.of(prompts), Packed.of(answers), np.array(labels, np.int64), pad_id, side)

    @classmethod
    def joined(cls, parts: Iterable[Texts]) -> Texts:
        """Those of parts, at least one, that are read alike; no examples are held."""
        held = [replace(part, examples=()) for part in parts]
        return replace(
            held[0],
            prompts=Packed.joined([part.prompts for part in held]),
            answers=Packed.joined([part.answers for part in held]),
            labels=np.concatenate([part.labels for part in held]),
            shortened=sum(part.shortened for part in held),
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def lengths(self) -> IndexArray:
        """[len] tokens of prompt and answer."""
        return self.prompts.lengths + self.answers.lengths

    def of_rows(self, rows: IndexArray) -> Texts:
        """Those of some rows, in their order; no examples are held."""
        prompts, answers = self.prompts.of_rows(rows), self.answers.of_rows(rows)
        return replace(self, prompts=prompts, answers=answers, labels=self.labels[rows], examples=())

    def without_answers(self) -> Texts:
        """The prompts alone, padded on the left: what is written or read after them stands beside them."""
        return replace(self, answers=Packed.repeated((), len(self)), side="left")

    def named(self, rows: IndexArray) -> list[str]:
        """What messages call the given rows: their place, and what the data call their user and item."""
        return [
            ", ".join([f"row {row}", *(_ids(self.examples[row]) if self.examples else [])]) for row in rows
        ]

    def batch(self, rows: IndexArray) -> Batch:
        """The given rows, padded to the longest of them."""
        lengths = self.lengths[rows]
        width = int(lengths.max())
        ids = np.full((len(rows), width), self.pad_id, np.int64)
        mask, answer = np.zeros_like(ids), np.zeros(ids.shape, np.bool_)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            start = width - length if self.side == "left" else 0
            middle, end = start + len(prompt := self.prompts.text(row)), start + length
            ids[place, start:middle], ids[place, middle:end] = prompt, self.answers.text(row)
            mask[place, start:end], answer[place, middle:end] = 1, True
        real = torch.from_numpy(mask)
        return Batch(
            rows=torch.as_tensor(rows),
            ids=torch.from_numpy(ids),
            mask=real,
            positions=(real.cumsum(1) - 1).clamp(min=0),
            last=(real * torch.arange(width)).argmax(1),
            answer=torch.from_numpy(answer),
            labels=torch.from_numpy(self.labels[rows]),
        )


def _ids(example: Example) -> list[str]:
    """Ready prompts may have neither."""
    return [f"{what} {name}" for what, name in (("user", example.user), ("item", example.item)) if name]
