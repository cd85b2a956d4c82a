"""Tiny random backbones of several families, made from their transformers configs: no weights are fetched."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from goracs.llm import adapter
from goracs.llm.settings import Lora

LAYERS = {"hidden_size": 32, "num_hidden_layers": 2}
USUAL = {**LAYERS, "num_attention_heads": 4, "intermediate_size": 48}
WIDE = {**USUAL, "hidden_size": 128, "intermediate_size": 128, "initializer_range": 0.08}  # to be quantised
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SIZES: dict[str, dict[str, Any]] = {
    "llama": USUAL,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": USUAL,
    "phi3": USUAL,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": {**LAYERS, "num_attention_heads": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "qwen3_moe": {**USUAL, **EXPERTS, "num_key_value_heads": 2, "head_dim": 8},
    "mamba": LAYERS,
    "mistral": {**WIDE, "num_key_value_heads": 4},
}
FEW = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}


def config(family: str, vocabulary: int = 1024) -> Any:
    """Two layers of a family; marks that are in every vocabulary."""
    return AutoConfig.for_model(family, vocab_size=vocabulary, **{**FEW, **SIZES[family]})


def model(family: str, vocabulary: int = 1024) -> Any:
    """With random weights, always the same."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers about its own defaults
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config(family, vocabulary)).requires_grad_(False).eval()


def adapted(bare: Any, lora: Lora) -> Any:
    """A model with a LoRA whose B is not 0, as after a training; always the same."""
    made = adapter.fresh(bare, lora, seed=0)
    torch.manual_seed(1)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return made.eval()


def write(folder: Path, family: str, tokenizer: Path) -> Path:
    """A folder as transformers saves it, with the tokenizer of another."""
    spoken = AutoTokenizer.from_pretrained(tokenizer)
    model(family, len(spoken)).save_pretrained(folder)
    spoken.save_pretrained(folder)
    return folder


def with_code(folder: Path, backbone: Path, code: str) -> Path:
    """A backbone whose classes are in Python code beside its weights: HomemadeConfig, HomemadeForCausalLM."""
    shutil.copytree(backbone, folder, ignore=shutil.ignore_patterns("manifest.json"))
    (folder / "homemade.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "homemade.HomemadeConfig", "AutoModelForCausalLM": "homemade.HomemadeForCausalLM"}
    changed = {"model_type": "homemade", "architectures": ["HomemadeForCausalLM"], "auto_map": own}
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    return folder
