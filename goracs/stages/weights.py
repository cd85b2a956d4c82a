"""A model's files: made in the store, or a folder outside it known by its commit or content."""

from __future__ import annotations

from pathlib import Path

from goracs.stages.common import Source
from goracs.store import External, Stage, file_digest, folder_digest


def stage(model: str) -> Source:
    """A model's files: made in the store, or a folder outside it known by its commit or content."""
    from goracs.llm import weights

    if model == "tiny":
        return Stage("weights", 1, {"made": "tiny"}, {}, lambda folder, _: _make_tiny(folder))
    source = weights.locate(model)
    if source.path.suffix == ".gguf":
        return Stage(
            "weights",
            1,
            {"gguf": file_digest(source.path)},
            {},
            lambda folder, _: _convert(source.path, folder),
        )
    return External("weights", source.commit or folder_digest(source.path), source.path)


def _make_tiny(folder: Path) -> None:
    from goracs.data.readers import movielens
    from goracs.llm import tiny

    tiny.write(folder, movielens.read("bundled", None).items["title"].to_list())


def _convert(file: Path, folder: Path) -> None:
    from goracs.llm.backbone import convert_gguf

    convert_gguf(file, folder)
