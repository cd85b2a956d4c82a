"""LoRA adapters: made from a seed, loaded from a folder, saved as peft does, checked after training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from goracs.llm.settings import Lora
from goracs.types import GoracsError


def fresh(model: Any, lora: Lora, seed: int) -> PeftModel:
    """A peft model with a LoRA drawn from `seed`; its weights are float32 whatever the backbone's are.

    Raises:
        GoracsError: the backbone has none of the linears that `lora.targets` names.
    """
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), _quiet():
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise GoracsError(
                f"adapter.lora.targets={list(lora.targets)} does not fit this backbone: {error}"
            ) from error


def load(model: Any, folder: Path, trainable: bool) -> PeftModel:
    """The peft model of a saved adapter on a freshly loaded backbone.

    Raises:
        GoracsError: the adapter was made for another backbone.
    """
    try:
        with _quiet():
            return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (RuntimeError, ValueError) as error:
        raise GoracsError(f"The adapter in {folder} does not fit this backbone: {error}") from error


def save(model: PeftModel, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, and nothing else."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card


def weights(model: PeftModel) -> dict[str, Tensor]:
    """A copy of the LoRA weights by name."""
    return {
        name: weight.detach().cpu().clone() for name, weight in model.named_parameters() if "lora_" in name
    }


def refuse_unchanged(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    """Raise GoracsError if training left every LoRA weight as it was, or made one that is not finite."""
    if all(torch.equal(before[name], after[name]) for name in before):
        raise GoracsError(
            "Training changed no weight of the adapter: raise finetune.lr, or train for longer."
        )
    broken = [name for name, weight in after.items() if not weight.isfinite().all()]
    if broken:
        raise GoracsError(f"Training diverged: {broken[0]} is not finite. Lower finetune.lr.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what peft does to transformers that transformers is about to rename."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
