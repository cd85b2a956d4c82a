"""The locks of a store: of one artifact by who builds it, of all by whoever is at work, or removes something.

They are flock's, which the system takes from a process that ends in whatever way.
"""

from __future__ import annotations

import fcntl
import logging
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from goracs.types import GoracsError, InvalidInput

LOCK = ".lock"  # in the root, of the whole store; beside an artifact's place, of who builds it
log = logging.getLogger("goracs.stages")


@contextmanager
def building(file: Path, name: str) -> Iterator[None]:
    """Hold what one process builds; wait for another that does.

    Raises:
        GoracsError: the file system has locks that keep nobody out.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("  %-9s waiting for another process that builds it", name)
        lock.acquire()
    try:
        _refuse_no_locks(file)
        yield
    finally:
        lock.release()


def share(root: Path, owner: object) -> None:
    """Have nothing removed from a store while an object lives; wait for who removes something now."""
    if (lock := _opened(root)) is not None:
        weakref.finalize(owner, os.close, lock)
        with suppress(OSError):  # no locks there, by which nobody could be alone either
            fcntl.flock(lock, fcntl.LOCK_SH)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold a store with nobody at work in it.

    Raises:
        GoracsError: somebody is, or it cannot be known.
    """
    lock = _opened(root)
    if lock is None:
        raise InvalidInput(f"nothing can be removed from the store {root}: it cannot be written.")
    try:
        _have(lock, root)
        _refuse_no_locks(root / LOCK)
        yield
    finally:
        os.close(lock)


def _have(lock: int, root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidInput(f"a command is at work in the store {root}: wait until it has ended.") from None
    except OSError as error:
        raise InvalidInput(f"the store {root} cannot be locked ({error}): nothing is removed.") from None


def _opened(root: Path) -> int | None:
    """The lock of a store; None where it has none and can have none."""
    with suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        return os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(OSError):
        return os.open(root / LOCK, os.O_RDONLY)
    return None


def _refuse_no_locks(held: Path) -> None:
    """Raise GoracsError where a lock that is held can be had a second time."""
    with held.open() as second:
        try:
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # as it should be; or there are none, and filelock has files take their place
            return
    raise GoracsError(
        f"The file system of {held.parent} does not honour locks (flock), so that two processes would write "
        "one artifact: put the store elsewhere, store.root=FOLDER, or have it mounted with locks."
    )
