"""The word `store`: what takes room among the finished stages; `prune` removes what no kept result needs.

goracs store [--store FOLDER]                            each stage: artifacts, size, when one was last used
goracs store prune FOLDER... [yes=true] [--store FOLDER]

FOLDERs hold the results that are kept, at any depth. Without yes=true it only says what would be removed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from goracs import room
from goracs.config import usual_store
from goracs.report.results import read_results
from goracs.room import DAMAGED, FINISHED, KEPT, Place
from goracs.store_lock import alone
from goracs.types import GoracsError, InvalidInput

PRUNE, YES = "prune", "yes=true"
HEAD = ("stage", "artifacts", "size", "last used", "others")


def run(words: Sequence[str]) -> int:
    """List what lies in a store, or remove from it; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs store", description="What takes room in a store.")
    parser.add_argument("words", nargs="*", metavar=PRUNE, help=f"{PRUNE} FOLDER... [{YES}]")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root, if another than usual")
    asked = parser.parse_intermixed_args(words)
    root = asked.store or usual_store()
    try:
        if not root.is_dir():
            raise InvalidInput(f"{root} is no folder: name a store by --store FOLDER.")
        if not asked.words:
            print(_listed(root, room.places(root)))
        else:
            _prune(root, asked.words)
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _listed(root: Path, found: Sequence[Place]) -> str:
    lines = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    for stage, group in groupby(found, lambda place: place.stage):
        there = [*group]
        used = f"{datetime.fromtimestamp(max(place.used for place in there)):%Y-%m-%d %H:%M}"
        finished = sum(place.state == FINISHED for place in there)
        cells = (stage, str(finished), _size(there), used, _others(there))
        lines.append(f"| {' | '.join(cells)} |")
    damaged = [f"damaged: {place.path}" for place in found if place.state == DAMAGED]
    return "\n".join([*lines, *damaged, f"{_size(found)} in {root}"])


def _others(there: Sequence[Place]) -> str:
    counts = Counter(place.state for place in there if place.state != FINISHED)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "-"


def _prune(root: Path, words: Sequence[str]) -> None:
    """Say what no result needs, and remove it if that is asked.

    Raises:
        GoracsError: no folder, no result or one that cannot be read, or somebody is at work in the store.
    """
    folders = [word for word in words[1:] if word != YES]
    if words[0] != PRUNE or not folders or any(word.startswith("yes=") for word in folders):
        raise InvalidInput(
            f"goracs store takes nothing, or {PRUNE} FOLDER... [{YES}], where FOLDERs hold the results that "
            f"are kept, such as multirun/; got {' '.join(words)}."
        )
    with alone(root):
        results = read_results(folders)  # none is finished while we look
        keys = {key for result in results for key in result["digests"].values()}
        found = room.places(root)
        some = room.unneeded(found, keys)
        for place in some:
            print(f"{place.path} ({place.state}, {_size([place])})")
        kept = sum(place.state == KEPT for place in found)
        left = f"; {kept} of interrupted commands stay, which go on from them" if kept else ""
        told = f"{len(some)} of {len(found)} folders, {_size(some)}, needed by none of {len(results)} results"
        if YES not in words:
            print(f"would remove {told}{left}. Nothing is removed without {YES}.")
            return
        for place in room.remove(some):
            print(f"removed {place.path}")
        print(f"removed {told}{left}.")


def _size(some: Sequence[Place]) -> str:
    size, units = float(sum(place.size for place in some)), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"
