"""What takes room in a store, and what of it no kept result needs.

Needed      an artifact whose key some result names, and what a result itself is in the store; what an
            interrupted command goes on from, and all that this was made of.
Half-built  what an interrupted command goes on from (`.checkpoint`, kept) or has no use for (`.partial`).
Damaged     by its manifest; no file is read again to know it (the store does when it opens an artifact).
Not here    whether somebody is at work in the store (`goracs.store_lock.alone`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goracs.store import CHECKPOINT, NEEDS, PARTIAL, PLACE, read_manifest
from goracs.store_lock import LOCK
from goracs.types import GoracsError

FINISHED, KEPT, HALF, DAMAGED = "finished", "interrupted", "half-built", "damaged"
OURS = re.compile(rf"[0-9a-f]{{{PLACE}}}({re.escape(PARTIAL)}|{re.escape(CHECKPOINT)})?")  # names of folders
OF_RESULTS = "result"  # the stage whose artifacts no result names: they are results


@dataclass(frozen=True)
class Place:
    """One folder of a store: its state, its bytes, when it was last used, the keys of its inputs."""

    path: Path
    state: str
    size: int
    used: float
    inputs: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Its name."""
        return self.path.parent.name

    @property
    def key(self) -> str:
        """The beginning of it."""
        return self.path.stem


def places(root: Path) -> list[Place]:
    """What lies in a store but its locks, by stage and key; what is named as no store's is passed over."""
    named = (path for path in sorted(root.glob("*/*")) if OURS.fullmatch(path.name))
    return [_looked_at(path) for path in named if path.is_dir() and not path.is_symlink()]


def _looked_at(path: Path) -> Place:
    state, inputs = _state(path)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Place(path, state, size, path.stat().st_mtime, inputs)


def _state(path: Path) -> tuple[str, tuple[str, ...]]:
    if path.suffix:
        return (KEPT, _needs(path)) if path.suffix == CHECKPOINT else (HALF, ())
    try:
        manifest = read_manifest(path)
    except (GoracsError, OSError):
        return DAMAGED, ()
    return FINISHED, tuple(manifest["inputs"].values())


def _needs(checkpoint: Path) -> tuple[str, ...]:
    """The keys of the inputs of what goes on from a checkpoint; none where the store did not note them."""
    try:
        keys = json.loads(checkpoint.with_suffix(NEEDS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()


def unneeded(found: Sequence[Place], keys: Collection[str]) -> list[Place]:
    """What no result needs, of those that name these keys, and no interrupted command."""
    named = {key[:PLACE] for key in keys} | _of_interrupted(found)

    def needed(place: Place) -> bool:
        if place.stage == OF_RESULTS and place.state == FINISHED:
            return {key[:PLACE] for key in place.inputs} <= named
        return place.key in named or place.state == KEPT

    return [place for place in found if place.state == HALF or not needed(place)]


def _of_interrupted(found: Sequence[Place]) -> set[str]:
    """What interrupted commands begin with, and what that was made of, as far as it is there."""
    inputs = {place.key: place.inputs for place in found if place.state == FINISHED}
    ahead = [key[:PLACE] for place in found if place.state == KEPT for key in place.inputs]
    needed = set[str]()
    while ahead:
        key = ahead.pop()
        if key not in needed:
            needed.add(key)
            ahead += [one[:PLACE] for one in inputs.get(key, ())]
    return needed


def remove(some: Sequence[Place]) -> Iterator[Place]:
    """Remove places, each at once as the store sees it; those that are gone, one after the other."""
    for place in some:
        gone = place.path
        if place.state != HALF:
            gone = place.path.with_suffix(PARTIAL)
            shutil.rmtree(gone, ignore_errors=True)
            place.path.rename(gone)
        shutil.rmtree(gone)
        place.path.with_suffix(LOCK).unlink(missing_ok=True)
        if not place.path.with_suffix(CHECKPOINT).exists():
            place.path.with_suffix(NEEDS).unlink(missing_ok=True)
        yield place
