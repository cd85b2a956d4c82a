"""The word `sweep`: how the jobs of a sweep stand, those of a killed one too.

    goracs sweep status FOLDER               done, running, failed and why, and the time left
    goracs sweep status FOLDER output=json   the same as JSON

FOLDER is the sweep's: the one its command ends with, or hydra.sweep.dir. Nothing is written there.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import time
from typing import Any

from goracs.harmless import shown
from goracs.jobs import sweep
from goracs.types import GoracsError, InvalidInput

OUTPUTS = ("output=text", "output=json")
THERE = ("done", "skipped")
LEFT = ("running", "waiting", "interrupted", "failed", "stopped")  # to do, if the command is given again
TOLD = ("running", "interrupted", "failed")


def run(words: Sequence[str]) -> int:
    """Print how the jobs of a sweep stand; the exit code."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    try:
        folder, output = _asked(words)
        found = _status(folder)
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=1) if output == "output=json" else shown(_text(found)))
    return 0


def _asked(words: Sequence[str]) -> tuple[Path, str]:
    outputs = [word for word in words if word.startswith("output=")]
    rest = [word for word in words if word not in outputs]
    if len(rest) != 2 or rest[0] != "status" or not {*outputs} <= {*OUTPUTS}:
        raise InvalidInput(
            f"goracs sweep takes: status FOLDER, and output=text or output=json; got {' '.join(words)!r}."
        )
    if Path(rest[1]).is_file():
        raise InvalidInput(f"{rest[1]} is a file: name the folder of the sweep, which holds its plan.json.")
    return Path(rest[1]), [OUTPUTS[0], *outputs][-1]


def _status(folder: Path) -> dict[str, Any]:
    """What there is to say of a sweep, as plain values."""
    plan = sweep.planned(folder)
    jobs = [_as_told(job) for job in sweep.states(folder)]
    at_work = sweep.is_held(folder / f"{sweep.NOTES}.lock")
    return {
        "folder": str(folder),
        "command": plan.command,
        "code": plan.code,
        "at_work": at_work,
        "counts": dict(Counter(job["status"] for job in jobs)),
        "seconds_left": _left(jobs, at_work),
        "jobs": jobs,
    }


def _as_told(job: Mapping[str, Any]) -> dict[str, Any]:
    """As a user counts: what was there already is done."""
    return {**job, "status": "done" if job["status"] in THERE else job["status"]}


def _left(jobs: Sequence[Mapping[str, Any]], at_work: bool) -> float | None:
    """Seconds until the jobs that are to do are done, each as long as half of those that are; None: unknown.

    As many run side by side as do now. Of a sweep that nobody is at, what its command would do next.
    """
    to_do = [job for job in jobs if job["status"] in (("running", "waiting") if at_work else LEFT)]
    took = [job["seconds"] for job in jobs if job["seconds"] is not None]
    if not to_do or not took:
        return None if to_do else 0.0
    each, now = float(median(took)), time()
    running = [job for job in to_do if job["status"] == "running"]
    begun = sum(min(each, now - float(job["since"])) for job in running)
    return round((each * len(to_do) - begun) / max(1, len(running)), 1)


def _text(found: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in found["counts"].items())
    work = "a command is at work there" if found["at_work"] else "no command is at work there"
    lines = [
        f"{found['command']}",
        f"goracs {found['code']['goracs']} (code {found['code']['digest']}); {work}",
        f"{len(found['jobs'])} jobs: {counts}; {_time(found)}",
    ]
    return "\n".join(lines + [_line(job) for job in found["jobs"] if job["status"] in TOLD])


def _time(found: Mapping[str, Any]) -> str:
    seconds = found["seconds_left"]
    if seconds is None:
        return "how long the rest takes is not known before a job is done"
    if seconds == 0:
        return "nothing is left to do"
    about = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"about {about if seconds < 6000 else f'{seconds / 3600:.1f} h'} left"


def _line(job: Mapping[str, Any]) -> str:
    why = f"for {time() - job['since']:.0f} s" if job["status"] == "running" else job["message"]
    return f"{job['status']}: {job['words']} ({job['folder']}): {why}"
