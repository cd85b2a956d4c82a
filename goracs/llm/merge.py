"""A backbone with its adapter merged into it: a folder that plain transformers loads.

Law     the merged model gives the logits of the adapter on its backbone, both in float32, but for rounding;
        what is loaded from the folder has its weights, in the precision of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from goracs.llm import adapter
from goracs.llm.backbone import DTYPES, load_model, load_tokenizer
from goracs.llm.saved_adapter import differences
from goracs.llm.settings import Backbone
from goracs.types import GoracsError

TOLERANCE = 1e-4  # of the largest logit: float32, sums in another order
LOOKED_AT = 64  # tokens of a text


def merge(weights: Path, backbone: Backbone, saved: Path, texts: Sequence[str], folder: Path) -> None:
    """Write a full model and its tokenizer, merged in float32, kept in the (resolved) precision of the run.

    Args:
        weights: the folder of the backbone.
        backbone: its settings in the run.
        saved: the adapter.
        texts: some that it was trained on, to compare logits by.
        folder: made here.

    Raises:
        GoracsError: the merged model does not answer as the adapter's did, or what is loaded is another.
    """
    exact = replace(backbone, precision="float32", attention="auto", quantize=None)
    tokenizer = load_tokenizer(weights, backbone.trust_remote_code)
    rows = [tokenizer(text, return_tensors="pt").input_ids[:, :LOOKED_AT] for text in texts]
    adapted = adapter.load(load_model(weights, exact), saved, trainable=False)
    expected = _logits(adapted, rows)
    merged: Any = adapted.merge_and_unload(safe_merge=True)
    _refuse_apart(expected, _logits(merged, rows))
    for weight in merged.parameters():  # not .to(), which would round the frequencies of positions too
        weight.data = weight.data.to(DTYPES[backbone.precision])
    merged.config.use_cache = True
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    trust = backbone.trust_remote_code
    again = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=trust)
    kept = merged.state_dict()
    loaded = {
        name: weight.to(kept[name].dtype) for name, weight in again.state_dict().items() if name in kept
    }
    wrong = differences(kept, loaded)
    if wrong:
        raise GoracsError(f"The model written is not the merged one; of its weights: {wrong}.")


@torch.no_grad()
def _logits(model: Any, rows: Sequence[Tensor]) -> list[Tensor]:
    return [model(input_ids=ids).logits.float() for ids in rows]


def _refuse_apart(expected: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    for one, other in zip(expected, found, strict=True):
        apart, size = float((one - other).abs().max()), float(one.abs().max())
        if not apart <= TOLERANCE * size:
            raise GoracsError(
                f"The merged model's logits are not those of the adapter on its backbone: {apart:.2g} of "
                f"{size:.2g} apart."
            )
