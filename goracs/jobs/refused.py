"""What Hydra finds wrong, or the system refuses it as a full disk does, told as something to be mended.

Hydra itself would show lines of its internals, and has one function that tells of errors and no place for
another: it is replaced for the length of a command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal import utils
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes
from goracs.types import InvalidInput


@contextmanager
def told() -> Iterator[None]:
    """Raise InvalidInput in its place while this runs; its own error where HYDRA_FULL_ERROR=1."""
    report, utils.run_and_report = utils.run_and_report, _reported
    try:
        yield
    finally:
        utils.run_and_report = report


def _reported(func: Callable[[], Any]) -> Any:
    try:
        return func()
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or isinstance(error, BrokenPipeError):
            raise
        refusal = error if isinstance(error, OSError) else error.__cause__  # of a log file
        if isinstance(refusal, OSError) and not isinstance(error, MissingConfigException):  # which is both
            raise InvalidInput(
                f"the command could not be set up, or noted ({refusal}): see that there is room, and that "
                "its folder (hydra.run.dir, of a sweep hydra.sweep.dir) can be written; then give it again."
            ) from None
        if isinstance(error, HydraException | OmegaConfBaseException):
            raise InvalidInput(mistakes.told(error)) from None
        raise
