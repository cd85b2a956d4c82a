"""SeqRec evaluation: the LLM writes a title, which is grounded in the catalogue.

Generation   beam search after the prompt, up to `max_new_tokens`.
Grounding    a title is represented by the last layer's hidden state at its last token; items are ranked by
             their Euclidean distance to the generated title (`goracs.evaluation.grounding`).
Source       BIGRec (Bao et al. 2023), as GORACS uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.jobs import Batches, Job, gathered, predict, refuse_non_finite
from goracs.llm.settings import Evaluate
from goracs.types import FloatArray


class WritingModule(pl.LightningModule):
    """Predicts the rows of a batch and the text the LLM writes after each prompt."""

    def __init__(self, model: Any, tokenizer: Any, settings: Evaluate) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings = model, tokenizer, settings

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> list[tuple[int, str]]:
        """Write after one batch of prompts."""
        ids = self.model.generate(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            num_beams=self.settings.beams,
            max_new_tokens=self.settings.max_new_tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
        )
        written = self.tokenizer.batch_decode(ids[:, batch.ids.shape[1] :], skip_special_tokens=True)
        return list(zip(batch.rows.tolist(), written, strict=True))


class TitleModule(pl.LightningModule):
    """Predicts the last hidden state [B, d] at the last token of each title."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Represent one batch of titles."""
        hidden = self.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            logits_to_keep=1,
            output_hidden_states=True,
        ).hidden_states[-1]
        return batch.rows, {"title": hidden[torch.arange(len(batch.ids)), batch.last]}


def write_titles(model: Any, tokenizer: Any, texts: Texts, settings: Evaluate, job: Job) -> list[str]:
    """What the LLM writes after each prompt, in the order of `texts`; their answers are not read."""
    asked = Texts(texts.prompts, [()] * len(texts), texts.labels, texts.pad_id)
    data = Batches(asked, batches(asked.lengths + settings.max_new_tokens, job.batch_tokens))
    written = dict(
        pair for answers in predict(WritingModule(model, tokenizer, settings), data, job) for pair in answers
    )
    return [written[row] for row in range(len(texts))]


def represent(model: Any, tokenizer: Any, titles: Sequence[str], job: Job) -> FloatArray:
    """[count, d] float32; the representation of each title.

    An empty title is represented by the end token alone.

    Raises:
        GoracsError: a representation is not finite; the rows are named.
    """
    ids = [tuple(row) or (tokenizer.eos_token_id,) for row in tokenizer(list(titles)).input_ids]
    texts = Texts(ids, [()] * len(ids), [-1] * len(ids), tokenizer.pad_token_id)
    answers = predict(TitleModule(model), Batches(texts, batches(texts.lengths, job.batch_tokens)), job)
    found = gathered(answers, "title", len(ids))
    refuse_non_finite(found, "The representation of the titles")
    return found
