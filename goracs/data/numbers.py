"""What configured numbers of data sets and splits must be: refused before any file is read.

Raises   InvalidInput that names the key, here as everywhere below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from goracs.types import InvalidInput


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def check_whole(key: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, or one below `least`."""
    if not is_whole(value) or value < least:
        raise InvalidInput(f"{key} must be a whole number >= {least}, got {value!r}.")


def check_memory(reader: str, value: Any) -> None:
    """Refuse a memory that is no number > 0; `reader` is whose it is."""
    if not is_number(value) or value <= 0:
        raise InvalidInput(f"{reader}: memory must be a number > 0, in GB; got {value!r}.")


def check_amount(key: str, value: Any) -> None:
    """Refuse what is neither a count >= 1 nor a share in (0, 1); 1.0 could be either, so it is neither."""
    count, share = is_whole(value) and value >= 1, is_number(value) and 0 < value < 1
    if not count and not share:
        meant = is_number(value) and value >= 1 and value == int(value)
        advice = f" For a count of {int(value)}: {key}={int(value)}." if meant else ""
        raise InvalidInput(f"{key} must be a whole number >= 1 or a share in (0, 1), got {value!r}.{advice}")


def check_scale(scale: Any) -> None:
    """Refuse a rating scale that is not two finite numbers, the lesser first; None is any scale."""
    if scale is None:
        return
    ends = list(scale) if isinstance(scale, Sequence) and not isinstance(scale, str) else []
    if len(ends) != 2 or not all(map(is_number, ends)) or ends[0] > ends[1]:
        raise InvalidInput(f"dataset.scale must be two numbers, the lesser first, or null; got {scale!r}.")
