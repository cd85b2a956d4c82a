"""plan.json in a sweep's folder: what its command is to run, written before any of it runs.

command    as it was typed
code       the version of goracs, and a digest of its code and configuration files
swept      the names of the words that differ between jobs
jobs       of each its overrides, its key and its folder below the sweep's; null where a sweeper chooses them
           as it goes
Key        a digest of all that may change the job's result, as configured. What is there already the store
           says, which knows the data too.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from goracs.config import conf_dir
from goracs.store import digest, file_digest
from goracs.types import InvalidInput

PLAN = "plan.json"
SCHEMA = 1
SHOWN = 5  # jobs that a change names


@dataclass(frozen=True)
class Planned:
    """One job: its words, its key, and its folder's name below the sweep's."""

    overrides: list[str]
    key: str
    folder: str


@dataclass(frozen=True)
class Plan:
    """What a sweep's folder says of its command."""

    command: str
    code: dict[str, str]
    swept: list[str]
    jobs: list[Planned] | None

    def differing(self, overrides: Sequence[str]) -> list[str]:
        """Of a job's words those that tell it from the others."""
        return [word for word in overrides if word.partition("=")[0] in self.swept]


def read(folder: Path) -> Plan | None:
    """The plan of a folder; None where there is none.

    Raises:
        InvalidInput: it cannot be read, or another version wrote it.
    """
    file = folder / PLAN
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise InvalidInput(
                f"{file} is a plan of schema {found['schema']} and this version of goracs writes schema "
                f"{SCHEMA}: give this command a folder of its own, hydra.sweep.dir=FOLDER, or move plan.json "
                "away. Results lie in the store, and the command brings them from there."
            )
        return _plan(found)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"{file} cannot be read as a plan ({type(error).__name__}: {error}): move it away and give the "
            "command again, which writes it anew. Results lie in the store and are not lost with it."
        ) from None


def _plan(found: dict[str, Any]) -> Plan:
    jobs = found["jobs"]
    texts = [found["command"], *found["swept"], *(found["code"][name] for name in ("goracs", "digest"))]
    for job in jobs or []:
        texts += [*job["overrides"], job["key"], job["folder"]]
    if any(not isinstance(text, str) for text in texts):
        raise TypeError("it holds something else than words where words belong")
    if any("\0" in os.fsdecode(os.fsencode(job["folder"])) for job in jobs or []):
        raise ValueError("it names a folder by what is no name")
    planned = None if jobs is None else [Planned(job["overrides"], job["key"], job["folder"]) for job in jobs]
    return Plan(found["command"], found["code"], found["swept"], planned)


def write(folder: Path, plan: Plan) -> None:
    """Write plan.json at once or not at all."""
    written = folder / f".{PLAN}"
    written.write_text(json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1, ensure_ascii=False), "utf-8")
    written.replace(folder / PLAN)


def command() -> str:
    """What this process was called with."""
    return shlex.join(["goracs", *sys.argv[1:]])


def code() -> dict[str, str]:
    """The version of goracs, and a digest of the files that make it up, which may be ahead of a version."""
    conf, package = conf_dir(), Path(__file__).parents[1]
    files = {f"conf/{file.relative_to(conf)}": file for file in conf.rglob("*.yaml")}
    files |= {str(file.relative_to(package)): file for file in package.rglob("*.py")}
    found = {name: file_digest(file) for name, file in files.items()}
    return {"goracs": version("goracs"), "digest": digest(found)[:12]}


def changes(old: Plan | None, new: Plan) -> list[str]:
    """What a new plan changes of the one in its folder, in lines."""
    if old is None:
        return []
    lines = []
    if old.code != new.code:
        was, now = (f"{plan.code['goracs']} ({plan.code['digest']})" for plan in (old, new))
        lines.append(f"other code: goracs {was} before, {now} now; what it changed is run again")
    before, after = (plan.jobs or [] for plan in (old, new))
    shared = _shared([*before, *after])
    for told, jobs, others in (("adds", after, before), ("drops", before, after)):
        keys = {job.key for job in others}
        if changed := [_differing(job, shared) for job in jobs if job.key not in keys]:
            lines.append(f"{told} {len(changed)} jobs: {_some(changed)}")
    return lines


def _shared(jobs: Sequence[Planned]) -> set[str]:
    """The words that all jobs have."""
    return set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()


def _differing(job: Planned, shared: set[str]) -> str:
    return " ".join(word for word in job.overrides if word not in shared) or "the same words, other defaults"


def _some(told: Sequence[str]) -> str:
    more = len(told) - SHOWN
    return "; ".join(told[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
