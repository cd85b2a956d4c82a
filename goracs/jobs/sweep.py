"""What the jobs of one sweep know of each other, wherever they run: a few files in the sweep's folder.

plan.json              what the command is to run (`goracs.jobs.plan`)
.goracs/job<n>.json    how job n stands: the jobs of this command, whatever else lies in the folder
.goracs/job<n>.lock    held by the process that runs job n: it may outlive the command that started it
.goracs/said-<digest>  what one of them has told for all
.goracs.lock           held by the command, not by its jobs: two of them in one folder would share these notes
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from goracs.jobs import folder_lock, plan
from goracs.jobs.folder_lock import LOOKED
from goracs.jobs.job_folder import OUTCOME
from goracs.jobs.plan import Plan
from goracs.report.shape import odd_left
from goracs.types import InvalidInput

NOTES = ".goracs"
STATUSES = ("started", "done", "skipped", "failed", "stopped", "interrupted")
log = logging.getLogger("goracs")


def start(folder: Path) -> None:
    """Take the folder for this command.

    Raises:
        InvalidInput: another command's sweep is at work there, its plan is none of this version, or nothing
            can be written.
    """
    try:
        folder_lock.hold(
            folder,
            f"another sweep is at work in {folder}: wait until it has ended (goracs sweep status {folder}), "
            "or give this one a folder of its own, hydra.sweep.dir=FOLDER.",
        )
        plan.read(folder)
        (folder / NOTES).mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"nothing can be written in the sweep's folder {folder} ({error.strerror or error}): choose "
            "another, hydra.sweep.dir=FOLDER. Results lie in the store, and the command brings them again."
        ) from None


def begin(folder: Path, new: Plan) -> None:
    """Forget the notes of an earlier command, now that this one's jobs are known."""
    for file in [*(folder / NOTES).glob("job*.json"), *(folder / NOTES).glob("said-*")]:
        file.unlink()
    plan.write(folder, new)


def planned(folder: Path) -> Plan:
    """What the command is to run.

    Raises:
        InvalidInput: as `plan.read`, or there is no plan.
    """
    found = plan.read(folder)
    if found is None:
        raise InvalidInput(
            f"{folder} has no plan.json, which every sweep writes into its folder: name such a folder, as in "
            "multirun/sweeps/DAY/TIME or the one given by hydra.sweep.dir."
        )
    return found


def number(folder: Path, job: Path, counted: int) -> int:
    """The number of a job by its folder; as its launcher counted where the plan does not name it."""
    names = [str((folder / one.folder).resolve()) for one in planned(folder).jobs or []]
    place = str(job.resolve())
    return names.index(place) if names.count(place) == 1 else counted


@contextmanager
def at_work(folder: Path, number: int) -> Iterator[None]:
    """Hold a job, and wait for a process that an earlier command left at work on it."""
    lock = FileLock(folder / NOTES / f"job{number}.lock")
    try:
        lock.acquire(timeout=LOOKED)
    except Timeout:
        log.warning("waiting for a process of an earlier command, which is still at work on this job")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def note(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Say how one job stands."""
    file = folder / NOTES / f"job{outcome['job']}.json"
    written = file.with_suffix(".partial")
    written.write_text(json.dumps(outcome))
    written.replace(file)


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """How the jobs of this command stand, in their order; not what a process of an earlier one says.

    Raises:
        InvalidInput: a note that cannot be read.
    """
    keys = dict(enumerate(job.key for job in planned(folder).jobs or []))
    found = [_noted(file) for file in sorted((folder / NOTES).glob("job*.json"))]
    ours = (one for one in found if not keys or keys.get(one["job"]) == one["key"])
    return sorted(ours, key=lambda outcome: int(outcome["job"]))


def _noted(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = {}
    if odd_left("job*.json", found) or found["status"] not in STATUSES:
        raise InvalidInput(
            f"{file} is no note of a job by this version of goracs: remove it, and the sweep's command, "
            "given again, writes it anew. Results lie in the store and are not lost with it."
        )
    return {"key": None, "seconds": None, **found}


def states(folder: Path) -> list[dict[str, Any]]:
    """How every job of the plan stands: as noted, but for those that have left no word or were left.

    `status` is waiting, running, done, skipped (it was there), failed, stopped (another had failed), or
    interrupted: nobody runs it any more.
    """
    noted = {one["job"]: one for one in outcomes(folder)}
    waiting = {one["job"]: one for one in _waiting(folder)}
    return [_as_it_is(folder, one) for _, one in sorted((waiting | noted).items())]


def _waiting(folder: Path) -> list[dict[str, Any]]:
    """Every job of the plan as if nobody had begun."""
    found = planned(folder)
    told = {"status": "waiting", "message": "", "since": None, "seconds": None}
    return [
        {
            **told,
            "job": number,
            "key": job.key,
            "folder": str((folder / job.folder).resolve()),
            "overrides": " ".join(job.overrides),
            "words": " ".join(found.differing(job.overrides) or job.overrides),
        }
        for number, job in enumerate(found.jobs or [])
    ]


def _as_it_is(folder: Path, outcome: dict[str, Any]) -> dict[str, Any]:
    if outcome["status"] != "started":
        return outcome
    if is_held(folder / NOTES / f"job{outcome['job']}.lock"):
        return {**outcome, "status": "running"}
    return {**outcome, "status": "interrupted", "message": "its process ended without a word"}


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock; looked at without writing anything."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def first_to_say(folder: Path, text: str) -> bool:
    """Whether no other job of the sweep has told this."""
    try:
        (folder / NOTES / f"said-{hashlib.sha256(text.encode()).hexdigest()[:12]}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def left_before(folder: Path) -> list[str]:
    """The names of job folders in the sweep's folder that no job of this command used."""
    ours = {outcome["folder"] for outcome in states(folder)}
    found = sorted(file.parent for file in folder.rglob(OUTCOME))
    return [str(place.relative_to(folder)) for place in found if str(place.resolve()) not in ours]
