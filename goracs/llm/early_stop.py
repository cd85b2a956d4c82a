"""Early stopping: the validation loss is looked at now and then, and the adapter of the best look is kept."""

from __future__ import annotations

from math import ceil, inf, isfinite
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm import adapter
from goracs.llm.batch import Texts
from goracs.llm.jobs import Batches
from goracs.llm.settings import Finetune
from goracs.types import GoracsError


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
        batch_tokens: of a pass.
    """

    def __init__(self, judging: Texts, settings: Finetune, total: int, batch_tokens: int) -> None:
        assert settings.patience is not None
        self.read = Batches(judging, batches(judging.lengths, batch_tokens))
        self.steps, self.patience = set(look_steps(total, settings.looks)), settings.patience
        self.best, self.kept, self.worse = inf, dict[str, Tensor](), 0

    def on_train_batch_end(self, trainer: Any, module: Any, _outputs: Any, _batch: Any, step: int) -> None:
        """Look, if this step is one to look after.

        Raises:
            GoracsError: the loss is not finite.
        """
        if step + 1 not in self.steps:
            return
        with trainer.strategy.precision_plugin.val_step_context():
            loss = mean_loss(module.model, module.loss, self.read)
        if not isfinite(loss):
            raise GoracsError(
                f"Training diverged: the validation loss is {loss} after {step + 1} steps. Lower finetune.lr."
            )
        module.curve[-1]["valid_loss"] = loss
        if loss < self.best:
            self.best, self.kept, self.worse = loss, adapter.weights(module.model), 0
        else:
            self.worse += 1
        trainer.should_stop = self.worse >= self.patience

    def restore(self, model: Any) -> None:
        """Give a model the LoRA weights of the best look."""
        named = dict(model.named_parameters())
        with torch.no_grad():
            for name, weight in self.kept.items():
                named[name].copy_(weight)


@torch.no_grad()
def mean_loss(model: Any, loss: Any, read: Batches) -> float:
    """Nats; the mean over all examples, dropout off."""
    model.eval()
    parts = [loss(model, read[place].to(model.device)).losses.double() for place in range(len(read))]
    model.train()
    return float(torch.cat(parts).mean())
