"""CTR evaluation: how much rather the LLM answers Yes than No after each prompt."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.jobs import Batches, Job, gathered, predict, refuse_non_finite
from goracs.llm.losses import AnswerLoss
from goracs.types import FloatArray


class AnswerModule(pl.LightningModule):
    """Predicts the margin [B] = logit yes - logit no of each prompt."""

    def __init__(self, model: Any, loss: AnswerLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Ask one batch."""
        pair = self.loss.pair_logits(self.model, batch)
        return batch.rows, {"margin": pair[:, 1] - pair[:, 0]}


def answer(model: Any, loss: AnswerLoss, texts: Texts, job: Job) -> FloatArray:
    """[count] float32; the margin of each prompt, in the order of `texts`.

    Raises:
        GoracsError: a margin is not finite; the rows are named.
    """
    data = Batches(texts, batches(texts.lengths, job.batch_tokens))
    margins = gathered(predict(AnswerModule(model, loss), data, job), "margin", len(texts))
    refuse_non_finite(margins, "The answer of the test prompts")
    return margins
