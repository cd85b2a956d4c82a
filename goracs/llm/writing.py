"""SeqRec by free writing: the LLM writes a title, which is grounded in the catalogue.

Generation   beam search after the prompt, up to `max_new_tokens`, by the settings of `decoding` alone: what a
             model brings in its generation_config (penalties, suppressed or forced tokens, sampling) is not
             followed, so models are compared by one rule.
End          the tokenizer's end token, with which every answer ends in training; beside it those the model
             declares (an instruct model's end of turn), where they are special tokens: no title contains one.
Grounding    a title is represented by the last layer's hidden state at its last token; items are ranked by
             their Euclidean distance to the generated title (`goracs.evaluation.grounding`).
Source       BIGRec (Bao et al. 2023), as GORACS uses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.jobs import Batches, Job, gathered, predict, refuse_non_finite
from goracs.llm.settings import Evaluate
from goracs.types import FloatArray


class WritingModule(pl.LightningModule):
    """Predicts the rows of a batch and the text the LLM writes after each prompt."""

    def __init__(self, model: Any, tokenizer: Any, decoding: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.tokenizer, self.decoding = model, tokenizer, GenerationConfig(**decoding)

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> list[tuple[int, str]]:
        """Write after one batch of prompts."""
        with alone(self.decoding, self.model):
            ids = self.model.generate(
                input_ids=batch.ids, attention_mask=batch.mask, generation_config=self.decoding
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


def decoding(model: Any, tokenizer: Any, settings: Evaluate) -> dict[str, Any]:
    """How titles are written, in the words of transformers; what is not named is neutral there."""
    return {
        "num_beams": settings.beams,
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": False,
        "length_penalty": 1.0,
        "early_stopping": False,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "use_cache": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": _ends(model, tokenizer),
    }


def write_titles(
    model: Any, tokenizer: Any, texts: Texts, decoding: Mapping[str, Any], job: Job
) -> list[str]:
    """What the LLM writes after each prompt, in the order of `texts`; their answers are not read.

    Args:
        model: a causal LM, with an adapter or without.
        tokenizer: its own.
        texts: whose prompts are asked.
        decoding: as `decoding` has it; nothing else has a say.
        job: how it runs.
    """
    asked = texts.without_answers()
    data = Batches(asked, batches(asked.lengths + decoding["max_new_tokens"], job.batch_tokens))
    answers = predict(WritingModule(model, tokenizer, decoding), data, job)
    written = dict(pair for answer in answers for pair in answer)
    return [written[row] for row in range(len(texts))]


@contextmanager
def alone(config: GenerationConfig, model: Any) -> Iterator[None]:
    """Put `config` in the place of the model's own, from which `generate` takes what another leaves open."""
    writer = model.get_base_model() if isinstance(model, PeftModel) else model
    own = writer.generation_config
    writer.generation_config = config
    try:
        yield
    finally:
        writer.generation_config = own


def _ends(model: Any, tokenizer: Any) -> list[int]:
    declared = model.generation_config.eos_token_id
    named = set(declared if isinstance(declared, list) else [declared])
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    return [tokenizer.eos_token_id, *sorted((named & special) - {tokenizer.eos_token_id})]


def represent(model: Any, tokenizer: Any, titles: Sequence[str], job: Job) -> FloatArray:
    """[count, d] float32; the representation of each title.

    Raises:
        GoracsError: a representation is not finite; the rows are named.
    """
    texts = read_titles(tokenizer, titles)
    answers = predict(TitleModule(model), Batches(texts, batches(texts.lengths, job.batch_tokens)), job)
    found = gathered(answers, "title", len(texts))
    refuse_non_finite(found, "The representation of the titles")
    return found


def read_titles(tokenizer: Any, titles: Sequence[str]) -> Texts:
    """Titles as `represent` reads them; an empty one is the end token alone."""
    ids = [tuple(row) or (tokenizer.eos_token_id,) for row in tokenizer(list(titles)).input_ids]
    return Texts.of(ids, [()] * len(ids), [-1] * len(ids), tokenizer.pad_token_id)
