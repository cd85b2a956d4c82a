"""What Hydra says of a mistake, as one paragraph that names the fix: its own is lines of its internals."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from typing import Any

from goracs.config import conf_dir
from goracs.near import meant, no_choice

ABSENT = re.compile(r"Could not (?:override|delete from config\.) '?([^'\n]+)'?")
HIDDEN = {"defaults", "hydra", "_target_"}
AMBIGUOUS = re.compile(r"Ambiguous value for argument '([^'\n]+)'")


def told(error: Exception) -> str:
    """An error of Hydra, OmegaConf or shutil in words; as it stands where nothing is known of it."""
    if isinstance(error, shutil.Error):  # of a tree: a list of (from, to, why)
        return "; ".join(str(why) for *_, why in error.args[0])
    options, said = getattr(error, "options", None), str(error)
    if options is not None:
        group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
        return no_choice(group, name, options)
    if found := ABSENT.match(said):
        return no_name(found[1].strip())
    if found := AMBIGUOUS.match(said):
        word, (name, _, value) = found[1], found[1].partition("=")
        return f"{word} has several values: for a sweep goracs -m {word}; for a list {name}=[{value}]."
    if said.startswith("Error merging override") and error.__cause__:
        said += f": {error.__cause__}"
    return " ".join(line.strip() for line in said.splitlines() if line.strip())


def no_name(name: str) -> str:
    """That the configuration has no such value, with those that stand beside it."""
    group, _, last = name.rpartition(".")
    beside = sorted(_beside(group))
    if not beside:
        return f"the configuration has no {name}: goracs --cfg job shows what it has, goracs --help choices."
    if last in beside:
        return (
            f"{name} is of other choices in conf/{group.partition('.')[0]}: goracs --cfg job shows this one."
        )
    near = meant(last, beside, f"{group}." if group else "")
    return f"the configuration has no {name}.{near} {group or 'At its top it'} has {', '.join(beside)}."


def _beside(group: str) -> set[str]:
    """The names in a part of the configuration, "" for all of it, whatever files of conf/ are chosen."""
    from omegaconf import OmegaConf

    whole, (top, *inner) = OmegaConf.load(conf_dir() / "config.yaml"), group.split(".")
    folders = {one.name for one in conf_dir().iterdir() if one.is_dir()} - HIDDEN
    if not top:
        return {str(name) for name in whole} - HIDDEN | folders
    parts = [OmegaConf.load(file) for file in (conf_dir() / top).rglob("*.yaml")] if top in folders else []
    found = [_inner(part, inner) for part in parts] if parts else [_inner(whole, [top, *inner])]
    return {str(name) for part in found for name in part} - HIDDEN


def _inner(part: Any, names: Iterable[str]) -> Any:
    """What a configuration holds under some names; nothing where that is no part of it."""
    for name in names:
        part = part.get(name) if hasattr(part, "keys") else None
    return part if hasattr(part, "keys") else {}
