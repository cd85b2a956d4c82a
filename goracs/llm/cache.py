"""Keys and values of what a model has read, for what may come behind it: a beginning is read once for all.

Kept      by the model's own name for them. Only a key-value cache in every layer can be expanded to rows.
Padding   what comes behind is padded on the right, so that real tokens stand side by side, as a sliding
          window counts them.
Law       what is read behind a cache is read as after the whole beginning, up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin

from goracs.llm.batch import Batch
from goracs.types import GoracsError

Ids = tuple[int, ...]
Kept = dict[str, DynamicCache]


class NoCache(GoracsError):
    """A model that keeps no keys and values, or in some layer the state of another mechanism."""


@dataclass(frozen=True)
class Beginning:
    """One beginning of many prompts: its number of tokens, and what the model has kept of it."""

    length: int
    cache: Kept

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """What a model is given to read a batch behind it; `batch` is padded on the right."""
        count = len(batch.ids)
        read = batch.mask.new_ones((count, self.length))
        return {
            "input_ids": batch.ids,
            "attention_mask": torch.cat([read, batch.mask], dim=1),
            "position_ids": batch.positions + self.length,
            "use_cache": True,
            **expanded(self.cache, torch.zeros(count, dtype=torch.int64, device=batch.ids.device)),
        }


@torch.no_grad()
def beginning(model: Any, ids: Ids, device: torch.device) -> Beginning:
    """Have a model read one.

    Raises:
        NoCache: nothing can be read behind what it keeps.
    """
    read = model(input_ids=torch.tensor([ids], device=device), logits_to_keep=1, use_cache=True)
    return Beginning(len(ids), kept(read))


def kept(read: Mapping[str, Any]) -> Kept:
    """The keys and values among a model's output, by the name that it gives and takes them under.

    Raises:
        NoCache: there are none, or they hold the state of another mechanism.
    """
    found = {name: value for name, value in read.items() if isinstance(value, DynamicCache)}
    layers = [layer for cache in found.values() for layer in cache.layers]
    if layers and not any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in layers):
        return found
    raise NoCache(
        "evaluate.method=likelihood reads a prompt once for all its candidates, which takes a backbone that "
        "keeps the keys and values of what it has read (a key-value cache in every layer); this one does "
        "not. Take evaluate.method=ground or constrained, or another backbone."
    )


def expanded(cache: Kept, rows: Tensor) -> Kept:
    """The cache of some of its rows, which may come many times; it stays as it was."""
    chosen = {name: copy(keys_and_values) for name, keys_and_values in cache.items()}
    for keys_and_values in chosen.values():
        keys_and_values.layers = [copy(layer) for layer in keys_and_values.layers]  # not what they hold
        keys_and_values.batch_select_indices(rows)
    return chosen


def common_beginning(prompts: Sequence[Ids]) -> Ids:
    """The longest beginning of all prompts that leaves at least one token of each."""
    first, last = min(prompts), max(prompts)  # in the order of words: what these share all share
    apart = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(apart, min(map(len, prompts)) - 1)]
