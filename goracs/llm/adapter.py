"""LoRA adapters on a backbone: made from a seed, loaded from a folder, saved as peft does.

Law     the weights of a model are exactly those of its file (names, shapes, values), after every loading and
        after every saving: no answer, no gradient and no training rests on weights that nobody trained.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from goracs.llm.saved_adapter import CONFIG, Saved, differences, listed, read
from goracs.llm.settings import Lora
from goracs.types import GoracsError


def fresh(model: Any, lora: Lora, seed: int) -> PeftModel:
    """A peft model with a LoRA drawn from `seed`; its weights are float32 whatever the backbone's are.

    Raises:
        GoracsError: the backbone has none of the linears that `lora.targets` names, or not all of a list.
    """
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2's linears
    )
    with torch.random.fork_rng([]), _quiet():
        torch.manual_seed(seed)
        try:
            made = get_peft_model(model, config)
        except ValueError as error:
            raise GoracsError(
                f"adapter.lora.targets={targets} does not fit this backbone: {error}"
            ) from error
    _refuse_absent(lora, made.targeted_module_names)
    return made


def load(model: Any, folder: Path, trainable: bool) -> PeftModel:
    """The peft model of a saved adapter on a freshly loaded backbone, with dropout off.

    Nothing is drawn; the weights are float32 whatever the backbone's are.

    Raises:
        GoracsError: the adapter cannot be used (see `goracs.llm.saved_adapter.read`), or its weights are not,
            by name and shape, those that its config asks for on this backbone.
    """
    saved = read(folder)
    try:
        with _quiet():
            config = saved.lora_config(trainable, model.name_or_path)
            adapted = get_peft_model(model, config, low_cpu_mem_usage=True)
    except (AttributeError, TypeError, ValueError, re.error) as error:
        raise GoracsError(f"The adapter in {folder} does not fit this backbone: {error}") from error
    _refuse_misfit(adapted, saved, folder)
    _make_room(adapted)
    set_peft_model_state_dict(adapted, dict(saved.weights))
    _refuse_misfit(adapted, saved, folder)
    return adapted.eval()


def save(model: PeftModel, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, and nothing else.

    Raises:
        GoracsError: what then lies there is not, by name, shape and value, what the model has.
    """
    _sort_names(model.peft_config["default"])
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
    wrong = differences(_held(model), read(folder).weights)
    if wrong:
        raise GoracsError(f"The adapter saved in {folder} is not that of the model; of its weights: {wrong}.")


def _sort_names(config: Any) -> None:
    """Have them written in one order: peft holds them as sets, whose order each process has its own of."""
    for field in ("target_modules", "exclude_modules"):
        if isinstance(names := getattr(config, field), set):
            setattr(config, field, sorted(names))


def weights(model: PeftModel) -> dict[str, Tensor]:
    """A copy of the LoRA weights by name."""
    return {
        name: weight.detach().cpu().clone() for name, weight in model.named_parameters() if "lora_" in name
    }


def put(model: PeftModel, kept: Mapping[str, Tensor]) -> None:
    """Give a model LoRA weights that `weights` copied."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in kept.items():
            named[name].copy_(weight)


def refuse_unchanged(before: dict[str, Tensor], after: dict[str, Tensor], settings: str) -> None:
    """Raise GoracsError if training by the settings of that name left every LoRA weight as it was."""
    if all(torch.equal(before[name], after[name]) for name in before):
        raise GoracsError(
            f"Training changed no weight of the adapter: raise {settings}.lr, or train for longer."
        )


def refuse_diverged(after: dict[str, Tensor], settings: str) -> None:
    """Raise GoracsError if training by the settings of that name made a LoRA weight that is not finite."""
    broken = [name for name, weight in after.items() if not weight.isfinite().all()]
    if broken:
        raise GoracsError(f"Training diverged: {broken[0]} is not finite. Lower {settings}.lr.")


def _held(model: PeftModel) -> dict[str, Tensor]:
    """The adapter's weights in a model, under the names of its file."""
    held = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {
        name: weight if weight.is_meta else weight.detach().float().cpu() for name, weight in held.items()
    }


def _make_room(model: PeftModel) -> None:
    """Give the weights on the meta device places in float32, NaN until those of a file come.

    What peft itself would put there is drawn, or rounded to the backbone's precision.
    """
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if weight.is_meta:
                empty = torch.full(weight.shape, torch.nan)
                setattr(module, name, torch.nn.Parameter(empty, requires_grad=weight.requires_grad))


def _refuse_misfit(adapted: PeftModel, saved: Saved, folder: Path) -> None:
    wrong = differences(_held(adapted), saved.weights)
    if wrong:
        raise GoracsError(
            f"The adapter in {folder} does not fit this backbone by its own {CONFIG}; of its weights: "
            f"{wrong}. Config and weights must be of one training, on this backbone, saved by peft."
        )


def _refuse_absent(lora: Lora, adapted: Sequence[str]) -> None:
    """A name in a list that no linear answers to: peft passes it over."""
    if isinstance(lora.targets, str):
        return
    absent = [
        name for name in lora.targets if not any(f".{linear}".endswith(f".{name}") for linear in adapted)
    ]
    if absent:
        raise GoracsError(
            f"adapter.lora.targets={list(lora.targets)} does not fit this backbone: "
            f"it has no {listed(absent)}."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what peft does to transformers that transformers is about to rename."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
