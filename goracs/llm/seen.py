"""Whether other machines see the files of this one: a file beside a stage's folder with a word in it."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goracs.types import InvalidInput


@dataclass(frozen=True)
class Sign:
    """A file, and the word that is in it for whoever sees the same file system."""

    file: Path
    word: str


@contextmanager
def signed(folder: Path) -> Iterator[Sign]:
    """A sign beside the folder of a stage."""
    sign = Sign(folder.with_suffix(".meeting"), uuid.uuid4().hex)
    sign.file.write_text(sign.word)
    try:
        yield sign
    finally:
        sign.file.unlink()


def unseen(sign: Sign, places: Iterable[Path]) -> Path | None:
    """The first of some places that is not here, or not the one that who wrote the sign sees."""
    if not sign.file.exists() or sign.file.read_text() != sign.word:
        return sign.file.parent
    return next((place for place in places if not place.exists()), None)


def blind(who: str, place: Path, others: str) -> InvalidInput:
    """What is wrong where somebody does not see a place as others do."""
    return InvalidInput(
        f"{who} (on {socket.gethostname()}) does not see {place} as {others} does. Several machines work on "
        "one store: set store.root to a folder of a file system that all of them have under the same path, "
        "and have the files of the models there too, or on each of them."
    )
