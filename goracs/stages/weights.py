"""The files of models: each made in the store, or a folder outside it known by its commit or content."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from goracs.stages.common import Source
from goracs.store import External, Stage, file_digest, folder_digest

TINY = "tiny"


def stages(models: Iterable[str]) -> dict[str, Source]:
    """The files of each model; all that are nowhere to be had are named at once (GoracsError)."""
    from goracs.llm import weights

    wanted = set(models)
    located = weights.locate(sorted(wanted - {TINY}))
    found: dict[str, Source] = {model: _source(at.path, at.commit) for model, at in located.items()}
    if TINY in wanted:
        found[TINY] = Stage("weights", 1, {"made": TINY}, {}, lambda folder, _: _make_tiny(folder))
    return found


def stage(model: str) -> Source:
    """The files of one model."""
    return stages([model])[model]


def _source(path: Path, commit: str | None) -> Source:
    if path.suffix == ".gguf":
        digest = _digest(path, _stamps(path))
        return Stage("weights", 1, {"gguf": digest}, {}, lambda folder, _: _convert(path, folder))
    return External("weights", commit or _digest(path, _stamps(path)), path)


@cache
def _digest(path: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:  # noqa: ARG001
    """Content, read once in a process while nobody touches the files: every job of a sweep asks."""
    return folder_digest(path) if path.is_dir() else file_digest(path)


def _stamps(path: Path) -> tuple[tuple[str, int, int], ...]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _make_tiny(folder: Path) -> None:
    from goracs.data.readers import movielens
    from goracs.llm import tiny

    tiny.write(folder, movielens.read("bundled", None).items["title"].to_list())


def _convert(file: Path, folder: Path) -> None:
    from goracs.llm.backbone import convert_gguf

    convert_gguf(file, folder)
