"""Sentence embeddings: the mean of the last hidden states over a text's real tokens, float32."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from transformers import AutoModel

from goracs.llm.backbone import explained, load_tokenizer
from goracs.llm.batch import Batch, Texts
from goracs.llm.forecast import SHORTER
from goracs.llm.jobs import Job
from goracs.llm.kept_texts import once
from goracs.llm.rows import Pass
from goracs.llm.settings import Encoder, Runtime

log = logging.getLogger("goracs")


class EmbeddingModule(pl.LightningModule):
    """Predicts the mean-pooled embedding [B, d] of each text of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Embed one batch."""
        hidden = self.model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        weight = batch.mask.unsqueeze(2).to(hidden.dtype)
        return batch.rows, {"embedding": (hidden * weight).sum(1) / weight.sum(1)}


def load(weights: Path) -> Any:
    """The frozen encoder of a transformers folder, float32."""
    with explained(weights):
        model = AutoModel.from_pretrained(weights, dtype=torch.float32, trust_remote_code=False)
    return model.requires_grad_(False).eval()


def read(
    blocks: Iterable[Sequence[str]], weights: Path, encoder: Encoder, side: str, kept: Path | None
) -> Texts:
    """Texts as the encoder reads them: what is longer than its window is cut at its end, with a warning.

    Where a folder is given the ids are kept there, for all who read them (`goracs.llm.kept_texts`).
    """
    tokenizer, longest = load_tokenizer(weights), encoder.max_length
    parts = (_windows(list(texts), tokenizer, longest) for texts in blocks)
    read = once(kept, side, {"side": side, "max_length": longest}, parts)
    if read.shortened:
        log.warning(
            "warning: %d of %d %s texts are longer than the encoder's %d tokens; their ends are not "
            "embedded. Raise encoder.max_length or lower dataset.history.",
            read.shortened, len(read), side, longest,
        )  # fmt: skip
    return read


def _windows(texts: list[str], tokenizer: Any, longest: int) -> Texts:
    ids = tokenizer(texts, truncation=True, max_length=longest).input_ids
    cut = sum(len(whole) > longest for whole in tokenizer(texts, verbose=False).input_ids)
    count, side = len(ids), "right"  # encoders with absolute positions count from the left
    found = Texts.of(ids, [()] * count, [-1] * count, tokenizer.pad_token_id, side)
    return replace(found, shortened=cut)


def job(encoder: Encoder, runtime: Runtime, side: str) -> Job:
    """How the encoder runs."""
    return Job(f"embed {side}", "float32", encoder.batch_tokens, runtime, SHORTER[side])


def embedding(
    texts: Texts, weights: Path, encoder: Encoder, runtime: Runtime, folder: Path, side: str
) -> Pass:
    """The pass that writes folder/<side>_embedding.npy, float32 [len(texts), d]."""
    model = load(weights)
    shapes = {"embedding": (model.config.hidden_size,)}
    return Pass(EmbeddingModule(model), texts, shapes, job(encoder, runtime, side), folder, side)
