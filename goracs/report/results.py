"""result.json (schema 1) as runs leave it, read and checked. Written by `goracs.stages.result`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from goracs.report.shape import odd, odd_left
from goracs.types import GoracsError

Result = dict[str, Any]

SCHEMA = 1
FIELDS = ("config", "command", "seed", "coreset", "metrics", "digests")  # that every version wrote
SHOWN = 5  # of the fields that are not as they should be
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
        result = loaded(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise GoracsError(
            f"{file.parent} is not the folder of one job: give the one that holds its {file.name}."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise GoracsError(f"{file} cannot be read as JSON ({error}): run its job again.") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise GoracsError(f"{file} is not a result of schema {SCHEMA}: run its job again, or remove it.")
    bad = [key for key in FIELDS if key not in result] or sorted({*odd(result)})
    if bad:
        shown = ", ".join(bad[:SHOWN]) + (", ..." if len(bad) > SHOWN else "")
        raise GoracsError(f"{file} has no valid {shown}: run its job again, or remove it.")
    return {**result, "file": str(file)}


def loaded(file: Path) -> Any:
    """A file's JSON; ValueError where it is none, or holds half a character, which no file could take."""
    found = json.loads(file.read_text(encoding="utf-8"))
    json.dumps(found, ensure_ascii=False).encode()
    return found


def read_left(file: Path) -> Any:
    """What a JSON file that a job left beside its result says, checked; None where it is not there.

    Raises:
        GoracsError: it cannot be read, or is not what a report relies on.
    """
    if not file.exists():
        return None
    try:
        found = loaded(file)
    except (OSError, ValueError, RecursionError) as error:
        raise GoracsError(f"{file} cannot be read as JSON ({error}): run its job again.") from error
    if bad := odd_left(file.name, found):
        raise GoracsError(f"{file} has no valid {', '.join(bad[:SHOWN])}: run its job again.")
    return found


def setting_of(result: Result) -> str | None:
    """How the backbone computed, in words: its precision and batches; None where no stage asked it."""
    backbone = result["config"].get("backbone", {})
    told = result.get("precision") or {}
    precision = told.get("backbone") or backbone.get("precision", UNASKED)
    batch_tokens = told.get("batch_tokens") or backbone.get("batch_tokens")
    if precision == UNASKED:
        return None
    others = [str(told[name]) for name in ("quantize", "attention") if told.get(name) not in (None, "auto")]
    return ", ".join([str(precision), *others, f"batch_tokens {batch_tokens}"])
