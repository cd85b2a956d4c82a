"""Early stopping: the validation loss is looked at now and then, and the adapter of the best look is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import ceil, inf, isfinite
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm import adapter
from goracs.llm.batch import Batch, Texts
from goracs.llm.diverged import diverged
from goracs.llm.halving import Halving
from goracs.llm.jobs import Batches, Job
from goracs.llm.losses import Loss
from goracs.llm.ranks import here
from goracs.llm.resume import State
from goracs.llm.settings import Finetune


def look_steps(total: int, looks: int) -> list[int]:
    """After which of the steps 1..total to look: `looks` of them, evenly spaced, the last one among them.

    Where there are fewer steps than looks it is after every step.
    """
    return sorted({ceil(total * look / looks) for look in range(1, looks + 1)})


class BestLook(pl.Callback):
    """Ends a training after `settings.patience` looks without a smaller loss; `restore` brings the best back.

    Args:
        judging: the validation examples, as the loss reads them.
        settings: with a patience.
        total: steps of the whole training.
        job: of the training.
    """

    def __init__(self, judging: Texts, settings: Finetune, total: int, job: Job) -> None:
        assert settings.patience is not None
        self.read = Batches(judging, batches(judging.lengths, job.batch_tokens))
        self.halving = job.halving
        self.settings, self.patience = settings, settings.patience
        self.steps = set(look_steps(total, settings.looks))
        self.best, self.kept, self.worse = inf, dict[str, Tensor](), 0

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        return self.worse >= self.patience

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Look, if this step is one to look after.

        Raises:
            GoracsError: a loss is not finite.
        """
        step = len(module.curve)
        if step not in self.steps:
            return
        with trainer.strategy.precision_plugin.val_step_context():
            rows, losses = example_losses(module.model, module.loss, self.read, self.halving)
        loss = float(losses.mean())
        if not isfinite(loss):
            told = f"the look after step {step}"
            texts, of = self.read.texts, "the validation set"
            raise diverged(module.model, self.settings, told, texts, of, rows, losses)
        module.curve[-1]["valid_loss"] = loss
        if loss < self.best:
            self.best, self.kept, self.worse = loss, adapter.weights(module.model), 0
        else:
            self.worse += 1
        trainer.should_stop = self.over

    def restore(self, model: Any) -> None:
        """Give a model the LoRA weights of the best look."""
        adapter.put(model, self.kept)

    def state(self) -> State:
        """The best look, and how many came after it."""
        return State({"best": self.best, "worse": self.worse}, self.kept)

    def go_on(self, state: State) -> None:
        """Be as when `state` was taken."""
        self.best, self.worse, self.kept = state.plain["best"], state.plain["worse"], dict(state.tensors)


@torch.no_grad()
def example_losses(model: Any, loss: Loss, read: Batches, halving: Halving) -> tuple[Tensor, Tensor]:
    """Rows [m], and the loss of each in nats, float64 [m], dropout off."""

    def of(batch: Batch) -> Tensor:
        parts = [loss(model, part.to(model.device)).losses for part in halving.cut(batch)]
        return torch.cat(parts).double()

    model.eval()
    mine = replace(read, groups=here().share(read.groups))
    each = (mine[place] for place in range(len(mine)))
    losses = here().gather([halving.fitting(partial(of, one), len(one.rows)).cpu() for one in each])
    model.train()
    return torch.from_numpy(np.concatenate(here().gather(mine.groups))), torch.cat(losses)
