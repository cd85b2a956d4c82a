"""CTR evaluation: how much rather the LLM answers Yes than No after each prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.cache import Beginning, Ids, NoCache, beginning, common_beginning
from goracs.llm.jobs import Batches, Job, gathered, predict, refuse_non_finite
from goracs.llm.losses import AnswerLoss
from goracs.types import FloatArray


class AnswerModule(pl.LightningModule):
    """Predicts the margin [B] = logit yes - logit no of each prompt, read behind the tokens `before`."""

    def __init__(self, model: Any, loss: AnswerLoss, before: Ids = ()) -> None:
        super().__init__()
        self.model, self.loss, self.before = model, loss, before
        self.beginning: Beginning | None = None

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Ask one batch."""
        if self.before and self.beginning is None:
            self.beginning = beginning(self.model, self.before, batch.ids.device)
        pair = self.loss.pair_logits(self.model, batch, self.beginning)
        return batch.rows, {"margin": pair[:, 1] - pair[:, 0]}


def answer(model: Any, loss: AnswerLoss, texts: Texts, job: Job) -> FloatArray:
    """[count] float32; the margin of each prompt, in the order of `texts`.

    Raises:
        GoracsError: a margin is not finite; the rows are named.
    """
    return _margins(AnswerModule(model, loss), texts, texts, job)


def answer_alike(model: Any, loss: AnswerLoss, texts: Texts, job: Job) -> FloatArray:
    """`answer`, up to rounding, of prompts that begin alike: what all begin with is read once.

    A model that keeps nothing of what it has read reads each prompt whole.
    """
    before = common_beginning(texts.prompts)
    behind = replace(texts, prompts=texts.prompts.behind(len(before)), side="right")
    try:
        return _margins(AnswerModule(model, loss, before), behind, texts, job)
    except NoCache:
        return answer(model, loss, texts, job)


def _margins(module: AnswerModule, read: Texts, whole: Texts, job: Job) -> FloatArray:
    """Of the batches of whole prompts: keys and values of a beginning take the room of its tokens."""
    data = Batches(read, batches(whole.lengths, job.batch_tokens))
    margins = gathered(predict(module, data, job), "margin", len(whole))
    refuse_non_finite(margins, "The answer of the test prompts")
    return margins
