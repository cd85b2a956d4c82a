"""What the system refuses Hydra, as a full disk does, told as something to be mended.

Hydra itself would show a traceback, and has one function that tells of errors and no place for another: it is
replaced for the length of a command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal import utils

from goracs.types import GoracsError


@contextmanager
def told() -> Iterator[None]:
    """Leave with a message while this runs; with the traceback too where HYDRA_FULL_ERROR=1 asks for it."""
    report = utils.run_and_report

    def leaving(func: Callable[[], Any]) -> Any:
        return report(lambda: _leaving(func))

    utils.run_and_report = leaving
    try:
        yield
    finally:
        utils.run_and_report = report


def _leaving(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if isinstance(error, GoracsError):
            sys.exit(f"error: {error}")
        refusal = error if isinstance(error, OSError) else error.__cause__  # of a log file
        if not isinstance(refusal, OSError):
            raise
        sys.exit(
            f"error: the command could not be set up, or noted ({refusal}): see that there is room, and that "
            "its folder (hydra.run.dir, of a sweep hydra.sweep.dir) can be written; then give it again."
        )
