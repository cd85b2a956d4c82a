"""Broken folders of jobs and of sweeps given to the words that read them, for `experiments.fuzz`.

A word that says what is wrong has refused, one that says that all is well has read.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

from experiments import tiny
from experiments.fuzz_target import Target
from goracs.commands import sweep as sweep_word
from goracs.jobs import job_folder, plan, sweep
from goracs.types import GoracsError

RESULTS = 8  # of so many inputs one more changes result.json than each other file
HYDRA = tuple(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides"))


def told(run: Callable[[Sequence[str]], int], *words: str) -> None:
    """Give words to a word of the command line.

    Raises:
        GoracsError: it ended with another exit code than 0.
    """
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = run(words)
    if code:
        raise GoracsError(said.getvalue())


def swept() -> Target:
    """A sweep that was killed: what its command was to run, and how its jobs stand."""
    jobs = [plan.Planned([f"seed={seed}"], "ab", str(seed)) for seed in range(3)]
    note = {"key": "ab", "overrides": "seed=0", "words": "seed=0", "message": "no", "since": 1e9}
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        folder = Path(place)
        (folder / sweep.NOTES).mkdir()
        plan.write(folder, plan.Plan("goracs -m seed=0,1,2", plan.code(), ["seed"], jobs))
        for number, status in enumerate(("done", "failed", "started")):
            seconds = 1.5 if status == "done" else None
            known = {"job": number, "folder": str(number), "status": status, "seconds": seconds}
            sweep.note(folder, {**note, **known})
        files = _files(folder)
    return Target(files, lambda folder: told(sweep_word.run, "status", str(folder)))


def recorded() -> Target:
    """What a job folder says of the run before, which the next one removes."""
    outcome = {"status": "done", "left": ["result.json", "adapter"], "key": "ab", "seconds": 1.5}

    def read(folder: Path) -> None:
        try:
            job_folder.claim(folder, {"dataset": {"path": "elsewhere"}})
        except OSError as error:  # told as it is
            raise GoracsError(str(error)) from error

    return Target({job_folder.OUTCOME: json.dumps(outcome).encode()}, read)


@cache
def ran() -> tuple[dict[str, bytes], str]:
    """What a tiny run leaves in its job folder, and its store, which is there until this process ends."""
    place = Path(tempfile.mkdtemp(prefix="fuzz"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    places = f"store.root={place / 'store'}", f"hydra.run.dir={place / 'job'}"
    words = [sys.executable, "-m", "goracs.cli", *tiny.WORDS, *places]
    subprocess.run(words, check=True, capture_output=True)
    return _files(place / "job"), str(place / "store")


def _files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _of_run(read: Callable[[Path, str], None]) -> Target:
    """A job folder, of which result.json is changed most often."""
    files, store = ran()
    changed = [*files, *[job_folder.RESULT] * RESULTS]
    return Target(files, lambda folder: read(folder, store), changed)


def verified() -> Target:
    """A job folder whose figures are worked out anew."""
    from goracs.commands import verify

    return _of_run(lambda folder, store: told(verify.run, str(folder), "--store", store))


def exported() -> Target:
    """A job folder that is made a folder to give away."""
    from goracs.commands import export

    def read(folder: Path, store: str) -> None:
        told(export.run, str(folder), str(folder / "given"), "--store", store)

    return _of_run(read)


def recommended() -> Target:
    """A job folder whose run is asked what it recommends."""
    from goracs.commands import recommend

    def read(folder: Path, store: str) -> None:
        told(recommend.run, str(folder), "history=Heat (1995)", "top=1", "--store", store)

    return _of_run(read)


TARGETS = {"sweep status": swept(), "outcome.json": recorded()}
LATE: dict[str, Callable[[], Target]] = {  # which make a run first
    "verify": verified,
    "export": exported,
    "recommend": recommended,
}
