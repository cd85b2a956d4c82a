"""Selection as a job: each class of a problem is one batch, solved by itself."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from goracs.llm.jobs import Job, predict
from goracs.selection import by_class
from goracs.types import Coreset, SelectionProblem, Selector


class Parts(torch.utils.data.Dataset[by_class.Part]):
    """The parts of a problem, one a batch."""

    def __init__(self, parts: list[by_class.Part]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, place: int) -> by_class.Part:
        return self.parts[place]


class SelectionModule(pl.LightningModule):
    """Selects from each part; `found` keeps the coresets by the parts' positions."""

    def __init__(self, selector: Selector, seed: int) -> None:
        super().__init__()
        self.selector, self.seed = selector, seed
        self.found: dict[int, Coreset] = {}

    def transfer_batch_to_device(self, batch: Any, _device: Any, _loader: int) -> Any:
        """Parts stay where they are: selectors work on arrays."""
        return batch

    def predict_step(self, part: by_class.Part, _place: int) -> None:
        """Select from one part."""
        self.found[part.position] = by_class.solve(self.selector, part, self.seed)


def select(selector: Selector, problem: SelectionProblem, budget: int, seed: int, job: Job) -> Coreset:
    """The coreset of a problem; the same as `goracs.selection.by_class.select` gives."""
    parts = by_class.parts(selector, problem, budget)
    module = SelectionModule(selector, seed)
    predict(module, Parts(parts), job)
    return by_class.join(problem, parts, [module.found[part.position] for part in parts], budget)
