"""A saved LoRA adapter, read and judged from its own files, without the model it is for.

Taken        LoRA, rsLoRA and DoRA for causal language models: what is trained and evaluated here is lora_A,
             lora_B and DoRA's magnitudes alone. A config that asks for anything else is refused, since its
             weights would be used for something they are not.
Not here     whether it fits a backbone (`goracs.llm.adapter`).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

import peft
import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from goracs.types import GoracsError

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")  # peft, too, takes the first that is there
HEEDED: dict[str, tuple[type, ...]] = {  # fields of the config that are acted on; null is as if not there
    "r": (int,),
    "lora_alpha": (int, float),
    "lora_dropout": (int, float),
    "use_rslora": (bool,),
    "use_dora": (bool,),
    "rank_pattern": (dict,),
    "alpha_pattern": (dict,),
    "fan_in_fan_out": (bool,),
    "target_modules": (str, list),
    "exclude_modules": (str, list),
    "layers_to_transform": (int, list),
    "layers_pattern": (str, list),
}
OF_NO_EFFECT = {  # on saved weights of what can be used: what they are, whence they come, how they were drawn
    *("peft_type", "task_type", "peft_version", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "runtime_config", "init_lora_weights", "loftq_config", "eva_config"),
    *("corda_config", "lora_ga_config"),
}
PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")  # the others change the backbone's own weights
SHOWN = 3  # names of a list in a message


@dataclass(frozen=True)
class Saved:
    """What lies in the folder of an adapter: its config as it stands there, its weights [...] in float32."""

    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    def lora_config(self, trainable: bool, base: str) -> LoraConfig:
        """The config for peft, of the fields that count here; `base` is the backbone it now stands on."""
        heeded = {name: self.config[name] for name in HEEDED if self.config.get(name) is not None}
        return LoraConfig(
            **heeded, task_type="CAUSAL_LM", inference_mode=not trainable, base_model_name_or_path=base
        )


def read(folder: Path) -> Saved:
    """The adapter in a folder.

    Raises:
        GoracsError: a file that is missing or cannot be read, a config that is not of LoRA, rsLoRA or DoRA
            for a causal language model, no weights, or a weight that is not a finite number.
    """
    config = _config(folder)
    _refuse_other_than_lora(config, folder)
    _refuse_what_is_not_said(config, folder)
    _refuse_what_is_not_heeded(config, folder)
    weights = _weights(weights_file(folder))
    broken = [name for name, weight in weights.items() if not _is_finite(weight)]
    if broken:
        raise GoracsError(f"{_the(folder)} has weights that are not finite numbers: {listed(broken)}.")
    return Saved(config, {name: weight.float() for name, weight in weights.items()})


def weights_file(folder: Path) -> Path:
    """The file of the weights.

    Raises:
        GoracsError: there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise GoracsError(f"{_the(folder)} has no weights: neither {' nor '.join(WEIGHTS)} is there.")


def linears(folder: Path) -> frozenset[str]:
    """The names of the linears that an adapter is for, such as q_proj."""
    names = _weights(weights_file(folder))
    return frozenset(name.partition(".lora_")[0].rpartition(".")[2] for name in names if ".lora_" in name)


def doubts(folder: Path, backbone: str) -> tuple[str, ...]:
    """What is odd about an adapter, in sentences; another name of its base alone does not refuse it."""
    base = _config(folder).get("base_model_name_or_path")
    if base in (None, "", backbone):
        return ()
    return (
        f"The adapter in {folder} says that it was trained on '{base}'; here it is used on backbone.model="
        f"{backbone}. Whether both are the same model, only you can say.",
    )


def differences(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """How `given` differs from `wanted` in names, shapes and values, in words; empty if it does not.

    Weights of `wanted` that lie on the meta device have no values to compare.
    """
    both = [name for name in wanted if name in given]
    shapes = [
        f"{name} is {list(given[name].shape)} instead of {list(wanted[name].shape)}"
        for name in both
        if given[name].shape != wanted[name].shape
    ]
    found = {
        "missing": [name for name in wanted if name not in given],
        "unexpected": [name for name in given if name not in wanted],
        "of another shape": shapes,
        "of other values": [] if shapes else [name for name in both if _differ(wanted[name], given[name])],
    }
    return "; ".join(f"{len(names)} {what} ({listed(names)})" for what, names in found.items() if names)


def listed(names: Iterable[str]) -> str:
    """The first names of a list, and that there are more."""
    every = list(names)
    return ", ".join(every[:SHOWN]) + (", ..." if len(every) > SHOWN else "")


def _differ(wanted: Tensor, given: Tensor) -> bool:
    return not wanted.is_meta and not torch.equal(wanted, given)


def _is_finite(weight: Tensor) -> bool:
    return weight.is_floating_point() and bool(weight.float().isfinite().all())


def _the(folder: Path) -> str:
    return f"The adapter in {folder}"


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GoracsError(f"{_the(folder)} cannot be used: {CONFIG} cannot be read ({error}).") from error
    if not isinstance(config, dict):
        raise GoracsError(f"{_the(folder)} cannot be used: {CONFIG} is not a JSON object.")
    return config


def _refuse_other_than_lora(config: Mapping[str, Any], folder: Path) -> None:
    kind, task, start = (config.get(name) for name in ("peft_type", "task_type", "init_lora_weights"))
    if kind != "LORA":
        raise GoracsError(f"{_the(folder)} is of peft_type {kind!r}; only LORA can be used here.")
    if task not in ("CAUSAL_LM", None):
        raise GoracsError(
            f"{_the(folder)} is of task_type {task!r}: what it was trained to give is not the next token. "
            "Give an adapter of task_type CAUSAL_LM."
        )
    if start is not None and start not in PLAIN_STARTS:
        raise GoracsError(
            f"{_the(folder)} was started by init_lora_weights={start!r}, which changes the weights of the "
            "backbone too: save it again with peft's path_initial_model_for_weight_conversion."
        )


def _refuse_what_is_not_said(config: Mapping[str, Any], folder: Path) -> None:
    """A field that is needed and not there, or one that is there and not what it should be."""
    unsaid = [name for name in ("r", "lora_alpha", "target_modules") if config.get(name) is None]
    if unsaid:
        raise GoracsError(f"{_the(folder)} cannot be used: {CONFIG} does not say {listed(unsaid)}.")
    wrong = [name for name, kinds in HEEDED.items() if not isinstance(config.get(name), (*kinds, NoneType))]
    if wrong:
        said = listed(f"{name}={json.dumps(config[name])}" for name in wrong)
        raise GoracsError(f"{_the(folder)} cannot be used: {CONFIG} says {said}, which means nothing there.")


def _refuse_what_is_not_heeded(config: Mapping[str, Any], folder: Path) -> None:
    """A field with a value that means something, and that nothing here would act on."""
    usual = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(LoraConfig)
    }
    asked = {
        name: value
        for name, value in config.items()
        if name not in HEEDED.keys() | OF_NO_EFFECT and value and value != usual.get(name)
    }
    if not asked:
        return
    said = listed(f"{name}={json.dumps(value)}" for name, value in asked.items())
    unknown = [name for name in asked if name not in usual]
    hint = (
        f" peft {peft.__version__} does not know {listed(unknown)}: if that means nothing for the weights, "
        f"take it out of {CONFIG}."
        if unknown
        else ""
    )
    raise GoracsError(f"{_the(folder)} asks for {said}; only LoRA, rsLoRA and DoRA can be used here.{hint}")


def _weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a file, as they stand there."""
    try:
        if file.suffix == ".safetensors":
            weights: Any = load_file(file)
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise GoracsError(f"{file} cannot be read as weights ({error}): is it whole?") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise GoracsError(f"{file} does not hold weights by name.")
    if not weights:
        raise GoracsError(f"{file} is empty: it holds no weights.")
    return weights
