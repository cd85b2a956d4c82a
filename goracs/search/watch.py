"""What a long search tells while it runs, and where it keeps a checkpoint.

Checkpoint  a file of arrays, replaced by one rename, that a later search of the same problem continues from.
            Each array has its checksum there: a damaged file is told and not used.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from goracs.types import Coreset, SelectionProblem

UNREADABLE = (  # what a damaged .npz can raise
    OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError
)  # fmt: skip
log = logging.getLogger("goracs")


class Watch:
    """A silent one; `goracs.llm.selection` shows a bar.

    Args:
        checkpoint: the file to keep and to continue from; None keeps nothing.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        self.checkpoint = checkpoint

    def step(self, phase: str, objective: float, gap: float | None) -> None:
        """Told at each progress how far the search is."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep arrays and numbers by name."""
        if self.checkpoint is not None:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = self.checkpoint.with_suffix(".partial.npz")
            np.savez(partial, **state)
            partial.replace(self.checkpoint)

    def load(self) -> dict[str, Any] | None:
        """What was kept, if anything that is whole."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        try:
            with self.checkpoint.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return dict(kept)
        except UNREADABLE as error:
            log.warning(
                "  select: what an interrupted search kept in %s is damaged (%s): it starts anew",
                self.checkpoint, error,
            )  # fmt: skip
            return None


@runtime_checkable
class Searcher(Protocol):
    """A selector that searches for long: it can be watched, and goes on from a checkpoint."""

    def search(  # noqa: D102
        self, problem: SelectionProblem, budget: int, rng: np.random.Generator, watch: Watch
    ) -> Coreset: ...
