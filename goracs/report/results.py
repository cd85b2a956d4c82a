"""result.json (schema 1) as runs leave it, read and checked. Written by `goracs.stages.result`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from goracs.types import GoracsError

Result = dict[str, Any]

SCHEMA = 1
FIELDS = {
    "config": dict,
    "command": str,
    "seed": int,
    "coreset": dict | None,
    "metrics": dict | None,
    "digests": dict,
}
GROUPS = ("dataset", "split", "task", "encoder", "backbone", "features", "selector", "finetune", "evaluate")
FIGURE = ("value", "low", "high", "n", "users")
UNASKED = "auto"  # the precision of a backbone that no stage of the run asked for


def read_results(folders: Iterable[str | Path]) -> list[Result]:
    """Every result.json below the folders, each once, with its path under the added key `file`.

    Args:
        folders: searched to any depth; they may overlap.

    Returns:
        The results, sorted by path.

    Raises:
        GoracsError: a folder that is not there, no result below any of them, or a file that cannot be read
            or is not of schema 1 (it is named).
    """
    asked = [Path(folder) for folder in folders]
    for folder in asked:
        if not folder.is_dir():
            raise GoracsError(f"{folder} is not a folder: give folders that hold runs, such as multirun/.")
    files = {file.resolve(): file for folder in asked for file in folder.rglob("result.json")}
    if not files:
        raise GoracsError(
            f"no result.json below {', '.join(map(str, asked))}: a finished run leaves one in its folder. "
            "Run an experiment first, or give the folder it wrote to."
        )
    return [read_result(files[key]) for key in sorted(files)]


def read_result(file: Path) -> Result:
    """One result.json, checked, with its path under the added key `file`.

    Raises:
        GoracsError: it cannot be read, or is not of schema 1.
    """
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GoracsError(f"{file} cannot be read as JSON ({error}): run its job again.") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise GoracsError(f"{file} is not a result of schema {SCHEMA}: run its job again, or remove it.")
    bad = [key for key, kinds in FIELDS.items() if key not in result or not isinstance(result[key], kinds)]
    bad = bad or list(_odd(result))
    if bad:
        raise GoracsError(f"{file} has no valid {', '.join(bad)}: run its job again, or remove it.")
    return {**result, "file": str(file)}


def _odd(result: Result) -> Iterator[str]:
    """The names of what is inside the fields and not of its kind: tables and reports rely on it."""
    yield from (f"digests.{name}" for name, key in result["digests"].items() if not isinstance(key, str))
    groups = [name for name in GROUPS if not isinstance(result["config"].get(name, {}), dict)]
    yield from (f"config.{name}" for name in groups)
    told = result.get("precision") or {}
    if not isinstance(told, dict) or any(isinstance(value, dict | list) for value in told.values()):
        yield "precision"
    for part, cells in (result["metrics"] or {}).items():
        if not isinstance(cells, dict | None):
            yield f"metrics.{part}"
            continue
        yield from (f"metrics.{part}.{name}" for name, one in (cells or {}).items() if not _is_figure(one))


def _is_figure(cell: Any) -> bool:
    """Whether its five fields are numbers or null."""
    numbers = (cell.get(name) for name in FIGURE) if isinstance(cell, dict) else [""]
    return all(isinstance(one, int | float | None) and not isinstance(one, bool) for one in numbers)


def setting_of(result: Result) -> str | None:
    """How the backbone computed, in words: its precision and batches; None where no stage asked it."""
    backbone = result["config"].get("backbone", {})
    told = result.get("precision") or {}
    precision = told.get("backbone") or backbone.get("precision", UNASKED)
    batch_tokens = told.get("batch_tokens") or backbone.get("batch_tokens")
    if precision == UNASKED:
        return None
    others = [str(told[name]) for name in ("quantize", "attention") if told.get(name) not in (None, "auto")]
    return ", ".join([precision, *others, f"batch_tokens {batch_tokens}"])
