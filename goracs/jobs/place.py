"""A job's place in its command: its folder, its number, what tells it from the others; where it is noted."""

from __future__ import annotations

import logging
import math
import shlex
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from goracs.jobs import job_folder
from goracs.jobs import sweep as sweep_notes
from goracs.store import digest
from goracs.types import InvalidInput

GROUP = 128  # characters
log = logging.getLogger("goracs")


class Place:
    """Of one job.

    Args:
        folder: of the job; made by Hydra.
        number: from 0.
        overrides: the job's words.
        sweep: the folder of the sweep it belongs to, or None for a single job.
    """

    def __init__(self, folder: Path, number: int, overrides: list[str], sweep: Path | None) -> None:
        self.folder, self.number, self.overrides, self.sweep = folder.resolve(), number, overrides, sweep
        self.plan = sweep_notes.planned(sweep) if sweep else None  # as it is now: a later command has its own
        self.outcome: dict[str, Any] = {}
        self.claimed = False
        self.since = time.time()
        self.before: dict[str, Any] = {}

    @property
    def words(self) -> str:
        """What tells the job from the others of its command; for a single job, all of its words."""
        return " ".join(self.differing or self.overrides) or "the defaults"

    @property
    def differing(self) -> list[str]:
        """The words in which the jobs of the sweep differ."""
        return self.plan.differing(self.overrides) if self.plan else []

    @property
    def group(self) -> str | None:
        """The sweep's command, which is the same when it is resumed; cut to what a tracker takes."""
        words = shlex.split(self.plan.command) if self.plan else []
        command = shlex.join(word for word in words if not word.startswith(("-", "hydra")))
        short = f"{command[:100]}... {digest(command)[:8]}" if len(command) > GROUP else command
        return short or None

    @property
    def key(self) -> str | None:
        """The plan's, where it names the jobs."""
        return self.plan.jobs[self.number].key if self.plan and self.plan.jobs else None

    def at_work(self) -> AbstractContextManager[None]:
        """Hold the job, so that others see that somebody runs it."""
        return sweep_notes.at_work(self.sweep, self.number) if self.sweep else nullcontext()

    def claim(self, config: Mapping[str, Any]) -> None:
        """Make the folder this job's own: what an earlier run left is removed.

        Args:
            config: of the job, with the files and folders that it reads.

        Raises:
            GoracsError: it cannot be, or another job of the command has it.
        """
        for other in sweep_notes.outcomes(self.sweep) if self.sweep else []:
            if other["folder"] == str(self.folder) and other["job"] != self.number:
                raise InvalidInput(
                    f"hydra.sweep.subdir gives jobs {other['job'] + 1} and {self.number + 1} one folder "
                    f"({self.folder}); it must differ from job to job, as ${{hydra.job.num}} does."
                )
        self.since = time.time()  # not what it waited for another process
        self.before = job_folder.recorded(self.folder)
        job_folder.claim(self.folder, config)
        self.claimed = True
        self.note("started", "")

    def note(self, status: str, message: str) -> None:
        """Record how the job stands, where its report and the next run in the folder look."""
        told = {"job": self.number, "folder": str(self.folder), "overrides": " ".join(self.overrides)}
        told |= {"words": self.words, "status": status, "message": message, "key": self.key}
        self.outcome = {**told, "since": self.since, "seconds": self._seconds(status)}
        if self.claimed:
            job_folder.record(self.folder, self.outcome)
        if self.sweep:
            sweep_notes.note(self.sweep, self.outcome)

    def _seconds(self, status: str) -> float | None:
        """What the job took; of one that was there already, what it had taken."""
        if status == "skipped":
            took = self.before.get("seconds") if self.before.get("key") == self.key else None
            return took if isinstance(took, int | float) and 0 <= took < math.inf else None
        return round(time.time() - self.since, 1) if status == "done" else None

    def say(self, text: str) -> None:
        """Tell what is the same for every job of a command: once."""
        if not self.sweep or sweep_notes.first_to_say(self.sweep, text):
            log.info("%s", text)
