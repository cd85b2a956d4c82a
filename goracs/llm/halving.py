"""What does not fit into memory is done in halves: of each batch, three times at most, and said.

Numbers   rows of a batch do not touch each other, so predictions stay what they were, up to rounding; in a
          training dropout falls otherwise on smaller batches.
Memory    once something did not fit, everything after it in the job is cut as small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from goracs.llm.batch import Batch
from goracs.types import GoracsError

HALVINGS = 3
BOUND = "batch_tokens"  # as it is noted
CPU_WORDS = ("DefaultCPUAllocator", "not enough memory")  # torch has no error of its own for a CPU's
log = logging.getLogger("goracs")
T = TypeVar("T")


class OutOfMemory(GoracsError):
    """What would fit on another machine, or at another time."""


class Halving:
    """Cuts the batches of one job.

    Args:
        job: what messages call it.
        batch_tokens: the bound on the padded tokens of a pass that was asked for.
        told: where `batch_tokens` is noted as it turned out, if it had to be smaller.
    """

    def __init__(self, job: str, batch_tokens: int, told: dict[str, int]) -> None:
        self.job, self.batch_tokens, self.told, self.parts = job, batch_tokens, told, 1

    @property
    def bound(self) -> int:
        """The padded tokens of a pass that fits, as far as is known."""
        return self.batch_tokens // self.parts

    def cut(self, batch: Batch) -> list[Batch]:
        """A batch in as many parts as it takes, rows in order; a row is never cut."""
        return batch.split(min(self.parts, len(batch.rows)))

    def fitting(self, work: Callable[[], T], rows: int) -> T:
        """What `work` returns, begun anew with smaller parts as long as it runs out of memory.

        Args:
            work: cuts its batches by this.
            rows: of the largest of them.

        Raises:
            OutOfMemory: it does after `HALVINGS` halvings, or with one row alone.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve(error, rows)
            if torch.cuda.is_available():  # outside the handler: the error's frames hold what has to go
                torch.cuda.empty_cache()

    def go_on(self, parts: int) -> None:
        """Cut as small as an interrupted job had to."""
        self.parts = parts
        if parts > 1:
            self._note()

    def _note(self) -> None:
        self.told[BOUND] = min(self.bound, self.told.get(BOUND, self.bound))

    def _halve(self, error: BaseException, rows: int) -> None:
        if self.parts == 2**HALVINGS or self.parts >= rows:
            said = str(error).partition("\n")[0]
            alone = f"passes of {self.bound} tokens" if self.parts < rows else "a pass of one example alone"
            raise OutOfMemory(
                f"{self.job}: out of memory, even in {alone}: "
                "lower backbone.batch_tokens, backbone.max_length or dataset.history, or take a smaller "
                f"backbone or a machine with more memory. ({said})"
            ) from error
        self.parts *= 2
        bound = self.bound
        self._note()
        log.warning(
            "  %s: out of memory in passes of up to %d tokens: it goes on with %d, as with "
            "backbone.batch_tokens=%d",
            self.job, bound * 2, bound, bound,
        )  # fmt: skip


def joined(parts: list[Any]) -> Any:
    """What a step returns for a batch, of what it did for its parts: (rows, {name: values}), or a list."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [one for part in parts for one in part]
    rows, values = zip(*parts, strict=True)
    return torch.cat(rows), {name: torch.cat([value[name] for value in values]) for name in values[0]}


def _is_out_of_memory(error: BaseException) -> bool:
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(word in str(error) for word in CPU_WORDS)
