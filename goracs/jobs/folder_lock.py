"""A folder is one command's at a time: a lock in it, held until the command ends in whatever way."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from goracs.types import InvalidInput

LOCK = ".goracs.lock"
LOOKED = 2  # seconds: longer than somebody who looks at a lock has it
held: list[FileLock] = []  # by this command; the system lets go of it when the process ends


def hold(folder: Path, refusal: str) -> None:
    """Take a folder for this command.

    Raises:
        InvalidInput: another is at work there; it says `refusal`.
        OSError: nothing can be written there.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=LOOKED)
    except Timeout:
        raise InvalidInput(refusal) from None
    held.append(lock)


def release() -> None:
    """Let other commands have what this one holds."""
    while held:
        held.pop().release()
