"""Loading a backbone, and converting one GGUF file to a transformers folder.

A loaded backbone carries its public name, not the path it came from, so that an adapter trained on it names
its base for other tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel

from goracs.llm.settings import Backbone

transformers.utils.logging.disable_progress_bar()  # of loading and saving: the jobs have bars of their own
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


def load_tokenizer(place: Path) -> Any:
    """The tokenizer of a transformers folder or a GGUF file.

    Without a padding token the end token pads (it is masked).
    """
    if place.suffix == ".gguf":
        tokenizer = AutoTokenizer.from_pretrained(place.parent, gguf_file=place.name)
    else:
        tokenizer = AutoTokenizer.from_pretrained(place)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, backbone: Backbone) -> PreTrainedModel:
    """The frozen causal LM of a transformers folder, in the (resolved) precision of `backbone`."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[backbone.precision])
    model.config._name_or_path = model.name_or_path = backbone.model
    model.config.use_cache = False
    return model.requires_grad_(False).eval()


def outline(folder: Path) -> PreTrainedModel:
    """The causal LM of a transformers folder without its weights: its modules, on the meta device."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def convert_gguf(file: Path, folder: Path) -> None:
    """De-quantise a GGUF file into a float32 safetensors folder with its tokenizer."""
    gguf = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    loaded = AutoModelForCausalLM.from_pretrained(
        **gguf, quantization_config=GgufConfig(gguf_file=file.name, dequantize=True), dtype=torch.float32
    )
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    # save_pretrained refuses a model loaded from GGUF, so its weights move into one of the same config
    fresh = AutoModelForCausalLM.from_config(loaded.config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**gguf).save_pretrained(folder)
