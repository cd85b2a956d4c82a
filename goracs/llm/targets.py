"""Which linears a LoRA adapts, and at which of them gradients are taken, where the settings say auto.

Targets   what peft takes for the family of the backbone; else the query and value projections by their usual
          names; else one that holds both; else all linears but the output layer.
Layer     the value projection among the adapted linears; else one that holds it.
Read      from config.json: the model is made without weights.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import torch
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as BY_FAMILY
from transformers.pytorch_utils import Conv1D

from goracs.llm.settings import ALL_LINEAR
from goracs.types import InvalidInput

APART = (("q_proj", "v_proj"), ("query", "value"), ("wq", "wv"))
FUSED = ("qkv_proj", "query_key_value", "c_attn", "Wqkv", "qkv")
VALUES = (*(value for _, value in APART), *FUSED)


def chosen_targets(model: Any) -> str | tuple[str, ...]:
    """The linears that a LoRA adapts on this backbone, in the form of `adapter.lora.targets`."""
    names = {name.rpartition(".")[2] for name in linears(model)}
    for targets in (BY_FAMILY.get(model.config.model_type), *APART, *((fused,) for fused in FUSED)):
        if isinstance(targets, str):
            return targets
        if targets and names.issuperset(targets):
            return tuple(targets)
    return ALL_LINEAR


def chosen_layer(adapted: Collection[str]) -> str:
    """The one of the adapted linears where gradients are taken.

    Raises:
        InvalidInput: none of them is known to hold the values.
    """
    for name in VALUES:
        if name in adapted:
            return name
    raise InvalidInput(
        "score.layer=auto finds no value projection among the adapted linears, "
        f"{', '.join(sorted(adapted))}: set score.layer to the one whose gradients you want."
    )


def adapted(model: Any, targets: str) -> frozenset[str]:
    """The names of the linears that all-linear or a regular expression for whole names adapts."""
    found = linears(model)
    if targets != ALL_LINEAR:
        found = [name for name in found if re.fullmatch(targets, name)]
    return frozenset(name.rpartition(".")[2] for name in found)


def linears(model: Any) -> list[str]:
    """The whole names of a model's linears (`Conv1D` is GPT-2's), its output layer left out."""
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head
    ]
