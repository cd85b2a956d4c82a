"""Stages that end otherwise than well; next to nothing is imported, for each rank imports it too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from goracs.llm.ranks import here
from goracs.types import InvalidInput

LONG = 600.0  # seconds; nobody waits for as long


def refused(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        raise InvalidInput("what rank 1 found wrong")
    here().meet()


def killed(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    here().meet()


def full(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        raise OSError("No space left on device")
    here().meet()


def broken(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 0:
        raise ZeroDivisionError
    here().meet()


def endless(folder: Path, _inputs: Mapping[str, Path]) -> None:
    (folder.parent / f"{here().number}.pid").write_text(str(os.getpid()))
    time.sleep(LONG)


def deserted(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    """Who keeps rank 1 is gone."""
    if here().number == 1:
        os.kill(os.getppid(), signal.SIGKILL)
    here().meet()
