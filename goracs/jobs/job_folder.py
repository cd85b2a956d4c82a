"""A job folder: what one run leaves in it is its own, and nothing of the run before.

Record     outcome.json: the job, how it stands (started, done, skipped, failed, interrupted), its message,
           and the names of what it left. The next run in the folder removes these, and no other file.
Order      what a run leaves is put in place at its end, result.json last: a killed run leaves nothing that
           looks finished.
Live       live.jsonl: the steps of its trainings, a line each as they come, until the result is there. After
           a run that failed or was interrupted it stays until the next.
Lock       one run at a time is at work in a folder (`goracs.jobs.folder_lock`).
Not here   Hydra's own files (.hydra/, goracs.log), what result.json says (`goracs.stages.result`).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goracs.jobs import folder_lock
from goracs.llm.settings import LIVE
from goracs.types import GoracsError, InvalidInput

OUTCOME = "outcome.json"
RESULT = "result.json"
PARTIAL = ".partial"  # where a run gathers what it leaves
STEPS = "live.jsonl"


def hold(folder: Path) -> None:
    """Take the folder for this command.

    Raises:
        InvalidInput: another is at work there, or nothing can be written.
    """
    other = "or give this one a folder of its own, hydra.run.dir=FOLDER."
    here = f"in the job folder {folder}"
    try:
        folder_lock.hold(folder, f"another command is at work {here}: wait until it has ended, {other}")
    except OSError as error:
        raise InvalidInput(
            f"nothing can be written {here} ({error.strerror or error}): make room, {other}"
        ) from None


def claim(folder: Path, config: Mapping[str, Any]) -> None:
    """Remove what an earlier run left.

    Args:
        folder: of the job; it exists.
        config: of the run, plain values, with the files and folders that it reads.

    Raises:
        InvalidInput: the run would read what it has to remove.
        GoracsError: an outcome.json that no run of goracs wrote.
    """
    left = [folder / name for name in recorded(folder)["left"] if _is_name(name)]
    for path in map(Path, _texts(config)):
        if any(path.resolve().is_relative_to(own.resolve()) for own in left):
            raise InvalidInput(
                f"this run reads {path}, which an earlier run left in the job folder {folder}: it would be "
                "replaced. Give this run a folder of its own: hydra.run.dir=FOLDER or hydra.sweep.dir=FOLDER."
            )
    for path in [*left, folder / PARTIAL, folder / STEPS]:
        _remove(path)
    _write(folder, {"status": "started", "left": []})


def record(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Note how the job stands, beside the names of what it left."""
    _write(folder, {**recorded(folder), **outcome})


def recorded(folder: Path) -> dict[str, Any]:
    """What outcome.json says, or that nothing was left where there is none.

    Raises:
        GoracsError: it is none of ours.
    """
    file = folder / OUTCOME
    try:
        found = json.loads(file.read_text()) if file.exists() else {"left": []}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("left"), list):
        raise GoracsError(
            f"{file} is no record of this version of goracs: take another job folder, or move it away."
        )
    return found


@contextmanager
def live(folder: Path) -> Iterator[None]:
    """Write down what trainings tell; once the run is through, their curves take its place."""
    handler = logging.FileHandler(folder / STEPS, mode="w", encoding="utf-8", delay=True)
    logger = logging.getLogger(LIVE)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # neither the console nor goracs.log shows every step
    logger.addHandler(handler)
    try:
        yield
        _remove(folder / STEPS)
    finally:
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to gather what the run leaves; its files are put in place at the end, result.json last.

    Raises:
        GoracsError: a file of one of these names is there that no run of goracs left.
    """
    partial = folder / PARTIAL
    partial.mkdir()
    try:
        yield partial
        _place(partial, folder)
    finally:
        _remove(partial)


def _place(partial: Path, folder: Path) -> None:
    names = sorted((path.name for path in partial.iterdir()), key=lambda name: (name == RESULT, name))
    foreign = [name for name in names if (folder / name).exists()]
    if foreign:
        raise GoracsError(
            f"the job folder {folder} has {', '.join(foreign)}, which no run of goracs recorded there and "
            "this one would overwrite. Move it away, or choose another folder: the result is kept in the "
            "store, and the same command brings it at once."
        )
    record(folder, {"left": names})
    for name in names:
        (partial / name).rename(folder / name)


def _is_name(value: object) -> bool:
    """Whether it names something in a folder, and nothing above or below it: a record may be anybody's."""
    known = isinstance(value, str) and value.isprintable() and value not in ("", "..")
    return known and Path(str(value)).name == value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a configuration: any of them may be a path."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else []:
        yield from _texts(inner)


def _write(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Write outcome.json at once or not at all."""
    written = folder / f".{OUTCOME}"
    written.write_text(json.dumps(outcome, indent=1))
    written.replace(folder / OUTCOME)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
