"""Adapters as others save them: written by plain peft, and spoilt in every way that was met."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import IA3Config, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Spoil = Callable[[Path], None]


def write(folder: Path, backbone: Path, kind: type = LoraConfig, **settings: Any) -> Path:
    """Save an adapter by plain peft, every weight of it drawn, as if it had been trained."""
    lora = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} if kind is LoraConfig else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers about each other
        base = AutoModelForCausalLM.from_pretrained(backbone)
        made = get_peft_model(base, kind(**{"task_type": "CAUSAL_LM", **lora, **settings}))
    torch.manual_seed(5)
    for weight in made.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_pretrained(str(folder), save_embedding_layers=False)
    with_config(base_model_name_or_path="tiny")(folder)
    return folder


def answers(backbone: Path, adapter: Path | None, ids: Tensor) -> Tensor:
    """[B, T, V] logits by plain transformers and plain peft."""
    logits: Tensor = loaded(backbone, adapter)(input_ids=ids).logits
    return logits.detach()


def loaded(backbone: Path, adapter: Path | None) -> Any:
    """The backbone, with an adapter where one is given, as plain transformers and plain peft load it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_pretrained(backbone).eval()
        return PeftModel.from_pretrained(base, str(adapter)).eval() if adapter else base


def with_config(**changes: Any) -> Spoil:
    """Change fields of adapter_config.json."""

    def spoil(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**config, **changes}))

    return spoil


def with_weights(change: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> Spoil:
    """Change what the file of weights holds."""

    def spoil(folder: Path) -> None:
        save_file(dict(change(load_file(folder / WEIGHTS))), folder / WEIGHTS)

    return spoil


def with_one(value: float) -> Spoil:
    """Put one number into one weight."""

    def change(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        changed = {name: weight.clone() for name, weight in weights.items()}
        next(iter(changed.values()))[0, 0] = value
        return changed

    return with_weights(change)


def in_bytes(name: str, content: bytes) -> Spoil:
    """Replace or add a file; whatever else held weights goes."""

    def spoil(folder: Path) -> None:
        if name != CONFIG:
            (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(content)

    return spoil


def as_bin(change: Callable[[dict[str, Tensor]], Any] = lambda weights: weights) -> Spoil:
    """Pickled weights, as old versions of peft save them, and no others."""

    def spoil(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        torch.save(change(weights), folder / "adapter_model.bin")

    return spoil


def renamed(old: str, new: str) -> Spoil:
    """Change the names of the weights."""
    return with_weights(lambda weights: {name.replace(old, new): weight for name, weight in weights.items()})


OTHER_KINDS: dict[str, dict[str, Any]] = {
    "activated by tokens": {"alora_invocation_tokens": [5, 7]},
    "ia3": {"kind": IA3Config, "target_modules": ["k_proj"], "feedforward_modules": []},
    "prompt tuning": {"kind": PromptTuningConfig, "num_virtual_tokens": 3},
    "a head of its own": {"modules_to_save": ["lm_head"]},
    "biases": {"bias": "all"},
    "biases of lora_B": {"lora_bias": True},
}
OTHER_KIND_MESSAGES = {
    "activated by tokens": r"asks for alora_invocation_tokens=\[5, 7\]; only LoRA, rsLoRA and DoRA",
    "ia3": "is of peft_type 'IA3'; only LORA",
    "prompt tuning": "is of peft_type 'PROMPT_TUNING'; only LORA",
    "a head of its own": r'asks for modules_to_save=\["lm_head"\]',
    "biases": 'asks for bias="all"',
    "biases of lora_B": "asks for lora_bias=true",
}
# refused from the files alone, before anything is built
UNUSABLE: dict[str, tuple[Spoil, str]] = {
    "no weights file": (lambda folder: (folder / WEIGHTS).unlink(), "has no weights: neither"),
    "empty weights": (with_weights(lambda _: {}), "is empty: it holds no weights"),
    "nan": (with_one(float("nan")), r"has weights that are not finite numbers: .*q_proj\.lora_A\.weight"),
    "infinite": (with_one(float("inf")), "has weights that are not finite numbers"),
    "whole numbers": (
        with_weights(lambda weights: {name: weight.to(torch.int8) for name, weight in weights.items()}),
        "are not finite numbers",
    ),
    "a file that is cut": (in_bytes(WEIGHTS, b"version https://git-lfs"), "cannot be read as weights"),
    "a bin that is cut": (in_bytes("adapter_model.bin", b"PK\x03\x04"), "cannot be read as weights"),
    "a bin of something else": (as_bin(lambda weights: list(weights.values())), "does not hold weights by"),
    "config is no json": (in_bytes(CONFIG, b"{'r': 8"), "adapter_config.json cannot be read"),
    "config is a list": (in_bytes(CONFIG, b"[]"), "adapter_config.json is not a JSON object"),
    "another task": (with_config(task_type="SEQ_CLS"), "is of task_type 'SEQ_CLS'"),
    "no peft type": (with_config(peft_type=None), "is of peft_type None"),
    "a rank that is no number": (with_config(r="many"), 'says r="many", which means nothing there'),
    "ranks that are no table": (with_config(rank_pattern=[4]), r"says rank_pattern=\[4\]"),
    "no scale": (with_config(lora_alpha=None), "adapter_config.json does not say lora_alpha"),
    "started from the backbone's weights": (
        with_config(init_lora_weights="pissa_niter_4"),
        "started by init_lora_weights='pissa_niter_4', which changes the weights of the backbone",
    ),
    "a field of tomorrow": (
        with_config(use_more=True),
        "asks for use_more=true.* does not know use_more",
    ),
}
# found on the backbone: by name and shape
MISFITS: dict[str, tuple[Spoil, str]] = {
    "another prefix": (
        renamed("base_model.model.", "model."),
        r"8 missing \(base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight, .*, \.\.\.\); "
        r"8 unexpected \(model\.model\.layers",
    ),
    "names with the adapter's": (renamed(".weight", ".default.weight"), "8 missing .*8 unexpected"),
    "half of the layers": (
        with_weights(lambda weights: {name: weights[name] for name in weights if "layers.0" in name}),
        r"of its weights: 4 missing \(.*layers\.1\.self_attn\.q_proj.*\)\. Config",
    ),
    "one weight less": (
        with_weights(lambda weights: dict(list(weights.items())[1:])),
        r"1 missing \(base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight\)",
    ),
    "a config of fewer modules": (
        with_config(target_modules=["v_proj"]),
        r"4 unexpected \(base_model\.model\.model\.layers\.0\.self_attn\.q_proj",
    ),
    "a config of more modules": (with_config(target_modules=["q_proj", "k_proj", "v_proj"]), "4 missing"),
    "another rank": (
        with_config(r=8),
        r"8 of another shape \(.*is \[4, 32\] instead of \[8, 32\]",
    ),
    "another width": (
        with_weights(lambda weights: {name: torch.zeros(3, 3) for name in weights}),
        r"is \[3, 3\] instead of \[4, 32\]",
    ),
    "an expression that is none": (with_config(target_modules="(v_proj"), "does not fit this backbone"),
    "modules of another model": (
        with_config(target_modules=["query_key_value"]),
        "does not fit this backbone",
    ),
}
# what is taken: settings of peft, and what is done to the folder
TAKEN: dict[str, tuple[dict[str, Any], Spoil]] = {
    "plain": ({}, lambda _: None),
    "pickled": ({}, as_bin()),
    "bf16": ({}, with_weights(lambda weights: {name: w.bfloat16() for name, w in weights.items()})),
    "dora": ({"use_dora": True}, lambda _: None),
    "dora, scaled by rank": ({"use_dora": True, "use_rslora": True}, as_bin()),
    "scaled by rank": ({"use_rslora": True, "lora_alpha": 3}, lambda _: None),
    "ranks by layer": ({"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 1}}, lambda _: None),
    "one layer": ({"layers_to_transform": [1]}, lambda _: None),
    "an expression": ({"target_modules": r".*\.1\..*(q|v)_proj"}, lambda _: None),
    "all linears": ({"target_modules": "all-linear"}, lambda _: None),
    "all but one": ({"target_modules": "all-linear", "exclude_modules": ["k_proj"]}, lambda _: None),
    "no task": ({}, with_config(task_type=None)),
    "drawn otherwise": ({}, with_config(init_lora_weights="gaussian")),
    "fields of old": ({}, with_config(enable_lora=None, merge_weights=False)),
}
