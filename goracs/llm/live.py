"""The course of a training as it comes: one JSON line a step to the logger `LIVE`, for whoever listens.

A training is of a stage, which several jobs may share, so it knows no job folder and no tracker: the job
that has it made writes the lines down (`goracs.jobs.job_folder.live`). One that goes on tells its earlier
steps too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from goracs.llm.settings import LIVE

log = logging.getLogger(LIVE)


class Live(pl.Callback):
    """Tells job, step, loss, lr and, after a look, valid_loss."""

    def __init__(self, job: str) -> None:
        self.job = job

    def on_train_start(self, _trainer: Any, module: Any) -> None:
        """What an interrupted run had done."""
        for row in module.curve:
            self._tell(row)

    def on_train_batch_end(self, _trainer: Any, module: Any, *_: Any) -> None:
        """The step that has ended."""
        self._tell(module.curve[-1])

    def _tell(self, row: Mapping[str, float]) -> None:
        log.info("%s", json.dumps({"job": self.job, **row}))
