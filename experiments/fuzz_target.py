"""What `experiments.fuzz` changes and reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A valid set of files by name, what reads it in its folder, and which of them are changed (all)."""

    files: Mapping[str, bytes]
    read: Callable[[Path], object]
    changed: Sequence[str] = field(default=())
