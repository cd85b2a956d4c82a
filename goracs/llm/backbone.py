"""Loading a backbone, and converting one GGUF file to a transformers folder.

A loaded backbone carries its public name, not the path it came from, so that an adapter trained on it names
its base for other tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    PreTrainedModel,
    modeling_gguf_pytorch_utils,
)

from goracs import progress
from goracs.llm.model_files import wrong
from goracs.llm.settings import AUTO, Backbone
from goracs.types import GoracsError

transformers.utils.logging.disable_progress_bar()  # of loading and saving: the jobs have bars of their own
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "float32": torch.float32}


def load_tokenizer(place: Path, trust: bool = False) -> Any:
    """The tokenizer of a transformers folder or a GGUF file; `trust` lets its own code run.

    Without a padding token the end token pads (it is masked).

    Raises:
        GoracsError: it needs code of its own, and is not trusted.
    """
    gguf = {"gguf_file": place.name} if place.suffix == ".gguf" else {}
    with explained(place):
        tokenizer = AutoTokenizer.from_pretrained(
            place.parent if gguf else place, trust_remote_code=trust, **gguf
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, backbone: Backbone) -> PreTrainedModel:
    """The frozen causal LM of a transformers folder, as `backbone` says (its precision resolved).

    Raises:
        GoracsError: it needs code of its own and is not trusted, has no such attention, or its output layer
            would be quantised.
    """
    asked = {} if backbone.attention == AUTO else {"attn_implementation": backbone.attention}
    with explained(folder, backbone):
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[backbone.precision],
            trust_remote_code=backbone.trust_remote_code,
            **asked,
            **_quantized(backbone),
        )
    if backbone.quantize and type(model.get_output_embeddings()) is not torch.nn.Linear:
        raise GoracsError(
            f"backbone.quantize={backbone.quantize} would quantise the output layer of this backbone too, "
            "and its logits with it: take backbone.quantize=null."
        )
    model.config._name_or_path = model.name_or_path = backbone.model
    model.config.use_cache = False
    return model.requires_grad_(False).eval()


def outline(folder: Path, backbone: Backbone) -> PreTrainedModel:
    """The causal LM of a transformers folder without its weights: its modules, on the meta device.

    Raises:
        GoracsError: it needs code of its own, and is not trusted.
    """
    trust = backbone.trust_remote_code
    with explained(folder), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust)


@contextmanager
def explained(place: Path, backbone: Backbone | None = None) -> Iterator[None]:
    """Tell what transformers refuses of the model at a place as a user's mistake.

    Its files, code of its own, an attention it lacks. A full memory and a failing disk are told as they are.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, GoracsError):
        raise
    except Exception as error:  # as many kinds as there are damages
        full = isinstance(error, RuntimeError) and "memory" in str(error)  # torch's word for it on a CPU
        if full or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise GoracsError(_said(error, place, backbone)) from error


def _said(error: Exception, place: Path, backbone: Backbone | None) -> str:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    if "trust_remote_code" in str(error):
        return (
            "This model is made by Python code that comes with it, which is not run unasked: if you "
            "trust who wrote it, set backbone.trust_remote_code=true (an encoder's is never run). "
            f"transformers says: {said}"
        )
    if place.is_dir() and (bad := wrong(place)):
        return (
            f"The model in {place} cannot be loaded: {bad}. Bring its files back, as by downloading it anew, "
            "or take another model."
        )
    if backbone and backbone.attention != AUTO and isinstance(error, ImportError | ValueError):
        return f"backbone.attention={backbone.attention} does not go with this backbone ({said}): take auto."
    if isinstance(error, ImportError):
        return f"This model cannot be loaded: {said}"
    return (
        f"The model in {place} cannot be loaded; transformers says: {said.rstrip('.')}. See that its files "
        "are whole and of one model, or take another model."
    )


def _quantized(backbone: Backbone) -> dict[str, Any]:
    """How the weights of the linears are quantised on the GPU; transformers itself skips the output layer."""
    if backbone.quantize is None:
        return {}
    kinds: dict[str, dict[str, Any]] = {
        "4bit": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": DTYPES[backbone.precision],
        },
        "8bit": {"load_in_8bit": True},
    }
    device = {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"}
    return {"quantization_config": BitsAndBytesConfig(**kinds[backbone.quantize]), "device_map": device}


def convert_gguf(file: Path, folder: Path) -> None:
    """De-quantise a GGUF file into a float32 safetensors folder with its tokenizer."""
    modeling_gguf_pytorch_utils.tqdm = progress.over  # its bar, as lines where nobody watches
    gguf = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    with explained(file):
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
