"""SeqRec by likelihood: how likely the LLM is to answer each candidate after a prompt.

Score    log p(answer | prompt) in nats: the sum over the answer's tokens, its end token among them, as it is
         trained; `per_token` divides it by their number, so that long titles are no worse for being long.
Cache    a prompt is read once. Its keys and values are expanded to the candidates of a block, whose tokens
         alone are read then; the last is not, since nothing follows it.
Padding  prompts on the left, candidates on the right: real tokens stand side by side, as a sliding window
         counts them.
Law      the numbers are those of one whole forward pass a candidate, up to rounding, whatever the blocks and
         whatever is padded.
Memory   a block's padded tokens, those of the expanded prompts among them, are at most `batch_tokens`; blocks
         that do not fit are made smaller (`goracs.llm.halving`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm.batch import IGNORED, Batch, Texts
from goracs.llm.cache import Ids, Kept, expanded, kept
from goracs.llm.halving import Halving
from goracs.llm.jobs import Batches, Job, predict, refuse_non_finite
from goracs.llm.losses import each_loss
from goracs.types import FloatArray, IndexArray


class LikelihoodModule(pl.LightningModule):
    """Predicts the rows of a batch and the log-likelihood [c] of each of their candidates."""

    def __init__(self, model: Any, candidates: Sequence[Sequence[Ids]], halving: Halving) -> None:
        super().__init__()
        self.model, self.candidates, self.halving = model, candidates, halving

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> list[tuple[int, FloatArray]]:
        """Read one batch of prompts, then the candidates of all of them in blocks."""
        cache, following = self._read(batch)  # the cache under the model's own name for it
        rows = batch.rows.tolist()
        sizes = [len(self.candidates[row]) for row in rows]
        found = self._of_candidates(batch, cache, following)
        return list(zip(rows, np.split(found, np.cumsum(sizes)[:-1]), strict=True))

    def _of_candidates(self, batch: Batch, cache: Kept, following: Tensor) -> FloatArray:
        """The log-likelihood of the candidates of all rows, one after the other."""
        rows = batch.rows.tolist()
        owners = np.repeat(np.arange(len(rows)), [len(self.candidates[row]) for row in rows])
        answers = [ids for row in rows for ids in self.candidates[row]]
        lengths = np.array([len(ids) for ids in answers], dtype=np.int64)
        found: FloatArray = np.full(len(answers), np.nan, dtype=np.float32)
        for block in batches(lengths + batch.ids.shape[1], self.halving.bound):
            own = torch.as_tensor(owners[block], device=batch.ids.device)
            asked = [answers[place] for place in block]
            first = following[own, torch.tensor([ids[0] for ids in asked], device=own.device)]
            found[block] = (first + self._rest(batch, cache, own, asked)).cpu().numpy()
        return found

    def _read(self, batch: Batch) -> tuple[Kept, Tensor]:
        """Keys and values of the prompts, and [B, V] float32, the log-likelihood of what follows them."""
        read = self.model(**batch.inputs, logits_to_keep=1, use_cache=True)
        return kept(read), read.logits[:, -1].float().log_softmax(1)

    def _rest(self, batch: Batch, cache: Kept, own: Tensor, answers: Sequence[Ids]) -> Tensor:
        """[b] float32; the log-likelihood of answers without their first tokens; `own` [b] are their rows."""
        width = max(map(len, answers)) - 1
        if width == 0:
            return torch.zeros(len(answers), device=own.device)
        ids = _padded([ids[:-1] for ids in answers], width, 0).to(own.device)
        labels = _padded([ids[1:] for ids in answers], width, IGNORED).to(own.device)
        steps = torch.arange(width, device=own.device)
        start = batch.positions[own, -1] + 1
        logits = self.model(
            input_ids=ids,
            attention_mask=torch.cat([batch.mask[own], (labels != IGNORED).to(batch.mask.dtype)], dim=1),
            position_ids=start[:, None] + steps,
            use_cache=True,
            **expanded(cache, own),
        ).logits
        return -each_loss(logits.float(), labels).sum(1)


def likelihoods(
    model: Any, texts: Texts, candidates: Sequence[Sequence[Ids]], per_token: bool, job: Job
) -> list[FloatArray]:
    """The log-likelihood [c] float32 of each row's candidates after its prompt, in nats.

    Args:
        model: a causal LM, with an adapter or without.
        texts: whose prompts are read; their answers are not.
        candidates: of each row, at least one; token ids with the end token, none of them empty.
        per_token: whether it is divided by the number of tokens.
        job: how it runs.

    Raises:
        GoracsError: the model keeps no keys and values, or a likelihood is not finite (the rows are named).
    """
    asked = texts.without_answers()
    data = Batches(asked, batches(asked.lengths, job.batch_tokens))
    answers = predict(LikelihoodModule(model, candidates, job.halving), data, job)
    found = dict(pair for answer in answers for pair in answer)
    worst = np.array([found[row].min() for row in range(len(texts))], dtype=np.float32)  # NaN where one is
    refuse_non_finite(worst, "The likelihood of the candidates")
    if not per_token:
        return [found[row] for row in range(len(texts))]
    return [found[row] / _tokens(candidates[row]) for row in range(len(texts))]


def _padded(rows: Sequence[Ids], width: int, fill: int) -> Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def _tokens(candidates: Sequence[Ids]) -> IndexArray:
    return np.array([len(ids) for ids in candidates], dtype=np.int64)
