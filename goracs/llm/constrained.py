"""SeqRec by constrained writing: a beam search that can write titles of the candidates and nothing else.

Trie     the token ids of a row's candidates, end token included; transformers' own beam search may go on with
         its branches alone. A title that begins another one ends or goes on, as the likelihoods have it.
Score    the model's own log-likelihood of a title, not renormalised over the branches, its mean or sum.
Order    the titles in the beams, best first. All others come behind them, in one tie: nothing is known of
         them but that they were left. So no more places are told apart than there are beams.
Law      with as many beams as titles the order is that of `goracs.llm.likelihood`.
Source   De Cao et al. 2021 (Autoregressive Entity Retrieval).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from transformers import GenerationConfig

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.cache import Ids
from goracs.llm.jobs import Batches, Job, predict
from goracs.llm.writing import alone
from goracs.types import GoracsError

Trie = dict[int, Any]  # token -> the trie behind it


class ConstrainedModule(pl.LightningModule):
    """Predicts the rows of a batch and which of their candidates the beams end with, best first."""

    def __init__(self, model: Any, candidates: Sequence[Sequence[Ids]], decoding: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.candidates, self.decoding = model, candidates, GenerationConfig(**decoding)

    @torch.no_grad()
    def predict_step(self, batch: Batch, _place: int) -> list[tuple[int, list[Ids]]]:
        """Write after one batch of prompts."""
        rows, width = batch.rows.tolist(), batch.ids.shape[1]
        tries = [trie(self.candidates[row]) for row in rows]
        end = self.decoding.eos_token_id[0]

        def allowed(place: int, ids: torch.Tensor) -> list[int]:
            return branches(tries[place], ids[width:].tolist()) or [end]  # a beam that is left over ends

        with alone(self.decoding, self.model):
            ids = self.model.generate(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                generation_config=self.decoding,
                prefix_allowed_tokens_fn=allowed,
            )
        beams = ids[:, width:].reshape(len(rows), self.decoding.num_beams, -1).tolist()
        return [
            (row, complete(written, self.candidates[row], end))
            for row, written in zip(rows, beams, strict=True)
        ]


def decoding(tokenizer: Any, beams: int, longest: int, per_token: bool) -> dict[str, Any]:
    """How titles are searched for, in the words of transformers; what is not named is neutral there.

    `longest` is the number of tokens of the longest candidate: none is cut off, and the search goes on until
    no unfinished title can be among the best.
    """
    return {
        "num_beams": beams,
        "num_return_sequences": beams,
        "max_new_tokens": longest,
        "do_sample": False,
        "length_penalty": 1.0 if per_token else 0.0,
        "early_stopping": "never",
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "use_cache": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": [tokenizer.eos_token_id],
    }


def write_candidates(
    model: Any, texts: Texts, candidates: Sequence[Sequence[Ids]], decoding: Mapping[str, Any], job: Job
) -> list[list[Ids]]:
    """The candidates that the beams of each row end with, best first, in the order of `texts`.

    Args:
        model: a causal LM, with an adapter or without.
        texts: whose prompts are asked; their answers are not read.
        candidates: of each row, at least one; token ids with the end token.
        decoding: as `decoding` has it; nothing else has a say.
        job: how it runs.

    Returns: for each row at least one candidate, none twice.

    Raises:
        GoracsError: no beam ended with a candidate (the rows are named).
    """
    asked = texts.without_answers()
    data = Batches(asked, batches(asked.lengths + decoding["max_new_tokens"], job.batch_tokens))
    answers = predict(ConstrainedModule(model, candidates, decoding), data, job)
    found = dict(pair for answer in answers for pair in answer)
    empty = [row for row in range(len(texts)) if not found[row]]
    if empty:
        raise GoracsError(
            f"no beam ended with a title for {len(empty)} of {len(texts)} prompts (rows {empty[:10]}): the "
            "model's logits are hardly finite there. Try backbone.precision=float32."
        )
    return [found[row] for row in range(len(texts))]


def trie(titles: Iterable[Ids]) -> Trie:
    """The token ids of titles as branches."""
    root: Trie = {}
    for ids in titles:
        node = root
        for token in ids:
            node = node.setdefault(token, {})
    return root


def branches(root: Trie, written: Sequence[int]) -> list[int]:
    """The tokens that may follow what is written; none behind a title's end, and off the trie."""
    node = root
    for token in written:
        node = node.get(token, {})
    return list(node)


def complete(beams: Sequence[Sequence[int]], candidates: Sequence[Ids], end: int) -> list[Ids]:
    """The candidates among the beams, each once, in order.

    A search with more beams than titles fills them with copies and with what it never finished.
    """
    ended = [tuple(ids[: ids.index(end) + 1]) for ids in beams if end in ids]
    known = set(candidates)
    return [ids for ids in dict.fromkeys(ended) if ids in known]
