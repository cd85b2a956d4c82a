"""Selection as a job: each class of a problem is one batch, solved by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from goracs import progress
from goracs.llm.jobs import Job, predict_own
from goracs.search.watch import Watch
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


class Bar(Watch):
    """A watch that shows how far the search of one part is."""

    def __init__(self, checkpoint: Path, title: str, shown: bool) -> None:
        super().__init__(checkpoint)
        self.bar = progress.bar(title, "steps", shown=shown, leave=False)

    def step(self, phase: str, objective: float, gap: float | None) -> None:
        """One step more; the objective and how far from the best it can be."""
        known = "" if gap is None else f", gap {gap:.3%}"
        self.bar.set_postfix_str(f"{phase}: objective {objective:.6f}{known}", refresh=False)
        self.bar.update()


class SelectionModule(pl.LightningModule):
    """Selects from each part; `found` keeps the coresets by the parts' positions."""

    def __init__(self, selector: Selector, seed: int, checkpoints: Path, shown: bool) -> None:
        super().__init__()
        self.selector, self.seed, self.checkpoints, self.shown = selector, seed, checkpoints, shown
        self.found: dict[int, Coreset] = {}

    def transfer_batch_to_device(self, batch: Any, _device: Any, _loader: int) -> Any:
        """Parts stay where they are: selectors work on arrays."""
        return batch

    def predict_step(self, part: by_class.Part, _place: int) -> None:
        """Select from one part, going on from its checkpoint."""
        title = "select" if part.label is None else f"select class {part.label}"
        watch = Bar(self.checkpoints / f"{part.position}.npz", title, self.shown)
        try:
            self.found[part.position] = by_class.solve(self.selector, part, self.seed, watch)
        finally:
            watch.bar.close()


def select(
    selector: Selector, problem: SelectionProblem, budget: int, seed: int, job: Job, checkpoints: Path
) -> Coreset:
    """The coreset of a problem; the same as `goracs.selection.by_class.select` gives.

    An interrupted search leaves what the next one goes on from in the folder `checkpoints`.
    """
    selector, judged = by_class.settled(selector, problem, budget, seed)
    parts = by_class.parts(selector, problem, budget)
    module = SelectionModule(selector, seed, checkpoints, job.runtime.progress)
    shown = job.runtime.progress and progress.watched()  # each part has lines of its own
    predict_own(module, Parts(parts), replace(job, runtime=replace(job.runtime, progress=shown)))
    found = [module.found[part.position] for part in parts]
    return by_class.told(by_class.join(problem, parts, found, budget, selector), judged)
