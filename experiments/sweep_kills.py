"""A sweep of tiny jobs whose command is killed with `kill -9` and given again, by any launcher.

`python -m experiments.sweep_kills launcher=slurm_local kills=3 [seeds=4] [until=evaluate] [seed=0]` prints a
line of a table; launcher is a file of conf/hydra/launcher, or basic: Hydra's own, all jobs in one process.

Kill    up to two seconds after a random number of jobs was done, the more with each kill, while others are at
        work: in turns of the command alone, whose other processes may go on and meet the next command's, and
        of every process of it.
Same    the table printed at the end, and what every job leaves, as of a sweep by Hydra's own launcher that
        nobody killed, in another store.
Twice   a stage that is sealed a second time either replaces a manifest or cannot take its place, which fails
        its job: neither is to be seen after any command.
Left    processes of a command killed alone; how long until the last of them has ended by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tiny import WORDS, artifacts, leavings
from goracs.jobs import sweep
from goracs.jobs.plan import PLAN
from goracs.store import MANIFEST

SWEPT = ("selector=random,goracs,kcenter", "budget=8,12")
TWO_AT_ONCE = {
    "basic": (),
    "parallel": ("hydra.launcher.n_jobs=2",),
    "slurm_local": ("hydra.sweeper.max_batch_size=2",),
    "ray_cluster": ("+hydra.launcher.ray.init.num_cpus=2",),
}
QUIET = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
MARK = "GORACS_SWEEP_KILLS"
ENDED = 600.0  # seconds after which a process is said to stay
HEAD = ("launcher", "jobs", "killed alone", "killed whole", "table", "jobs alike", "twice", "failed", "left")


class Command:
    """The sweep's command at work, its processes known by a mark in their environment."""

    def __init__(self, root: Path, number: int, words: list[str]) -> None:
        self.mark, self.printed = f"{root.name}-{number}", root / f"printed-{number}"
        with self.printed.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "goracs.cli", "-m", *words],
                stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **QUIET, MARK: self.mark},
            )  # fmt: skip

    @property
    def table(self) -> list[str]:
        """What it printed at its end."""
        return [line for line in self.printed.read_text().splitlines() if line.startswith("|")]

    def processes(self) -> list[int]:
        """Those of it that live."""
        return marked(self.mark)

    def kill(self, whole: bool) -> None:
        """Kill it, or every process of it."""
        self.process.kill()
        self.process.wait()
        while whole and (living := self.processes()):
            for one in living:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            time.sleep(0.1)

    def outlived(self) -> str:
        """How many processes it left, and when the last of them had ended by itself."""
        since, names = time.monotonic(), [_name(one) for one in self.processes()]
        while self.processes():
            if time.monotonic() > since + ENDED:
                return f"{len(names)}: {', '.join(_name(one) for one in self.processes())} stay"
            time.sleep(0.5)
        return f"{len(names)} for {time.monotonic() - since:.0f} s"


def marked(mark: str) -> list[int]:
    """The processes that live with a mark in their environment."""
    sought, found = f"{MARK}={mark}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if sought in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def _name(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return "ended"


def words(root: Path, launcher: str, seeds: int, until: str) -> list[str]:
    """Of the sweep."""
    chosen = [] if launcher == "basic" else [f"hydra/launcher={launcher}"]
    places = [f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'sweep'}"]
    swept = [*SWEPT, f"seed={','.join(map(str, range(seeds)))}", f"until={until}"]
    return [
        *(one for one in WORDS if not one.startswith("budget=")),
        *swept,
        *chosen,
        *TWO_AT_ONCE[launcher],
        *places,
    ]


def reached(command: Command, folder: Path, done: int, pause: float) -> bool:
    """Wait until so many jobs are done while another is at work, and a pause; whether it is still there."""
    while command.process.poll() is None and _done(folder) < done:
        time.sleep(0.1)
    with suppress(subprocess.TimeoutExpired):
        command.process.wait(pause)
    return command.process.poll() is None


def _done(folder: Path) -> int:
    """How many jobs are done while another is at work; below 0 where none is."""
    with suppress(OSError, ValueError):  # notes that are just replaced
        states = [one["status"] for one in sweep.states(folder)] if (folder / PLAN).exists() else []
        return sum(one in ("done", "skipped") for one in states) if "running" in states else -1
    return -1


def seals(store: Path) -> dict[Path, tuple[int, int]]:
    """Of each finished artifact what changes if it is made again."""
    found = {place: (place / MANIFEST).stat() for place in artifacts(store)}
    return {place: (stat.st_ino, stat.st_mtime_ns) for place, stat in found.items()}


def left_by_jobs(folder: Path) -> dict[str, Any]:
    """What each job of a sweep left."""
    return {place.name: leavings(place) for place in sorted(folder.glob("[0-9]*"))}


class Disturbed:
    """A sweep given again and again, the first times killed, until a command has come to its end."""

    def __init__(self, root: Path, given: list[str]) -> None:
        self.root, self.folder, self.words = root, root / "sweep", given
        self.alone = self.whole = self.failed = 0
        self.first, self.twice = dict[Path, tuple[int, int]](), set[Path]()
        self.left = list[Future[str]]()

    def run(self, kills: int, jobs: int, rng: np.random.Generator) -> Command:
        """The command that came to its end."""
        moments: list[int | None] = [*sorted(rng.choice(jobs - 1, kills, replace=False).tolist()), None]
        with ThreadPoolExecutor(len(moments)) as watching:
            for number, moment in enumerate(moments, 1):
                command = Command(self.root, number, self.words)
                if moment is not None and reached(command, self.folder, moment, rng.uniform(0, 2)):
                    self._kill(command)
                command.process.wait()
                self.left.append(watching.submit(command.outlived))
                self._look()
        return command

    def _kill(self, command: Command) -> None:
        whole = self.alone > self.whole
        command.kill(whole)
        self.whole, self.alone = self.whole + whole, self.alone + (not whole)

    def _look(self) -> None:
        """For what was made twice, and jobs that failed."""
        now = seals(self.root / "store")
        self.twice |= {place for place, seal in self.first.items() if now.get(place) != seal}
        self.first = now | self.first
        self.failed += sum(one["status"] == "failed" for one in sweep.states(self.folder))


def line(root: Path, launcher: str, kills: int, seeds: int, until: str, seed: int) -> list[str]:
    """Of the table."""
    undisturbed = Command(root, 0, words(root / "undisturbed", "basic", seeds, until))
    if undisturbed.process.wait():
        sys.exit(f"the undisturbed sweep failed:\n{undisturbed.printed.read_text()}")
    expected = left_by_jobs(root / "undisturbed" / "sweep")
    tried = Disturbed(root, words(root, launcher, seeds, until))
    last = tried.run(kills, len(expected), np.random.default_rng(seed))
    found = left_by_jobs(root / "sweep")
    alike = sum(bool(left) and found.get(job) == left for job, left in expected.items())
    table = f"{len(last.table)} lines {'equal' if last.table == undisturbed.table else 'DIFFERENT'}"
    counts = [str(tried.alone), str(tried.whole), table, str(alike), str(len(tried.twice)), str(tried.failed)]
    return [launcher, str(len(expected)), *counts, "; ".join(one.result() for one in tried.left)]


def main(given: list[str]) -> None:
    """Print the table's line."""
    asked = {"launcher": "basic", "kills": "3", "seeds": "4", "until": "evaluate", "seed": "0"}
    asked |= dict(word.split("=", 1) for word in given)
    kills, seeds, seed = (int(asked[name]) for name in ("kills", "seeds", "seed"))
    root = Path(tempfile.mkdtemp(prefix="sweep_kills-"))
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    print(f"| {' | '.join(line(root, asked['launcher'], kills, seeds, asked['until'], seed))} |")
    print(f"{root} has what was printed.", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
