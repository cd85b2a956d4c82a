"""How long a job will take, told once in the log, as soon as some of its batches have been timed.

Time is taken to grow with the padded tokens of a batch. Nothing is told of a job that ends before `MEASURED`.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl

from goracs.progress import in_words
from goracs.types import IndexArray

MEASURED = 1.0  # seconds of work from which a forecast is made
LONG = 30.0  # seconds from which it says what makes the job shorter
SHORTER = {"pool": "dataset.size or dataset.history", "target": "split.valid or dataset.history"}
log = logging.getLogger("goracs")


class Forecast(pl.Callback):
    """Tells examples, tokens and the time they will take.

    Args:
        name: of the job.
        shorter: the configured names that make it shorter, the most useful first; "" where there are none.
        examples, tokens: that it reads.
        work: [batches] what each batch costs, in any unit.
    """

    def __init__(self, name: str, shorter: str, examples: int, tokens: int, work: IndexArray) -> None:
        self.job, self.shorter, self.work = f"{name}: {examples:,} examples, {tokens:,} tokens", shorter, work
        self.started, self.told = 0.0, False

    def on_predict_start(self, *_: Any) -> None:
        """Begin to measure."""
        self.started = time.monotonic()

    on_train_start = on_predict_start

    def on_predict_batch_end(
        self, _trainer: Any, _module: Any, _answers: Any, _batch: Any, place: int, *_: Any
    ) -> None:
        """Tell, if it is time; there is nothing to tell of a job at its end."""
        seconds = time.monotonic() - self.started
        if self.told or seconds < MEASURED or place + 1 == len(self.work):
            return
        self.told = True
        whole = seconds * float(self.work.sum()) / float(self.work[: place + 1].sum())
        less = f"; less with a smaller {self.shorter}" if self.shorter and whole > LONG else ""
        log.info("  %s, %s%s", self.job, in_words(whole), less)

    on_train_batch_end = on_predict_batch_end
