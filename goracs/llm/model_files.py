"""What is wrong with the files of a model's folder, as far as looking at each of them tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import __version__
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken")  # at least one of them


def wrong(folder: Path) -> str:
    """The first thing that is, with its file's name; "" where none is seen."""
    return next(_wrong(folder), "")


def _wrong(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.json")):
        try:
            told = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            yield f"{file.name} is no whole JSON file ({error})"
            return
        if file.name == "config.json":
            yield from _untold(told)
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except SafetensorError as error:
            yield f"{file.name} is cut or damaged ({error})"
    if not any(found for name in TOKENIZERS for found in folder.glob(name)):
        yield f"it has no file of a tokenizer ({', '.join(TOKENIZERS)})"


def _untold(config: object) -> Iterator[str]:
    """What config.json does not tell of the model's kind, unless code of the model's own knows it."""
    told = config if isinstance(config, dict) else {}
    kind = told.get("model_type")
    if kind is None:
        yield "config.json names no model_type"
    elif kind not in CONFIG_MAPPING and "auto_map" not in told:
        yield f"config.json names the model_type {kind!r}, which transformers {__version__} lacks"
