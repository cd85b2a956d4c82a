"""Selections on a Ray cluster of this machine whose workers, or whose command, are killed with `kill -9`.

`python -m experiments.cluster_kills [workers=50] [commands=20] [rows=100000] [seed=0]` prints a line of a
table for each. m = 500, n = 100, d = 32; two workers; the cluster is the command's own.

Kill      of a random one of the workers, `GAP` seconds apart on average from the first pricing pass on,
          `EACH` a selection at most; or of the command alone, at a moment between its first pricing pass and
          its end, which is then given again, and finds its checkpoint.
Same      the coreset and its report are those of a selection without a cluster; else the exit code is 1.
Again     pricing passes that a command begins beyond those of an undisturbed one, the most of one selection.
Left      processes of a killed command after `ENDED` seconds, but for two idle agents that Ray lets wait.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planted import planted
from experiments.sweep_kills import MARK, QUIET, marked
from goracs import api
from goracs.cluster.joined import joined
from goracs.cluster.settings import Ray
from goracs.cluster.sharded import Sharded
from goracs.search.watch import Watch
from goracs.selection.goracs import Goracs
from goracs.types import SelectionProblem

TARGET, BUDGET, WIDTH = 500, 100, 32
EACH = 3  # workers that are killed in one selection
GAP = 0.7  # seconds
ENDED = 30.0  # seconds until all of a killed command has ended
WORKER, IDLE = b"OfOneCore", (b"DashboardAgent", b"RuntimeEnvAgent")  # in the words of a process
CLUSTER = Ray(address=None, workers=2, memory=0.5, gpus_per_worker=0, folder=None)
CHILD = "import sys; from experiments.cluster_kills import select; select(sys.argv[1])"
HEAD = ("killed", "kills", "selections", "the same coreset", "passes again, at most", "left")


def main(words: list[str]) -> None:
    """Print a line for the workers and one for the command."""
    asked = {"workers": 50, "commands": 20, "rows": 100_000, "seed": 0}
    asked |= {name: int(value) for name, value in (word.split("=") for word in words)}
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), asked["rows"], np.random.default_rng(asked["seed"]))
        for name in ("workers", "commands"):
            print(f"| {' | '.join([name, *map(str, lab.line(name, asked[name]))])} |", flush=True)
    sys.exit(int(lab.wrong > 0))


def select(folder: str) -> None:
    """Select on a cluster, going on from the folder's checkpoint; each pass is noted when it begins."""
    place = Path(folder)
    cheapest = Sharded.cheapest

    def noted(*of: Any) -> Any:
        with (place / "passes").open("a") as file:
            file.write(".")
        return cheapest(*of)

    Sharded.cheapest = noted  # type: ignore[assignment, method-assign]
    with joined(CLUSTER, place) as spread:
        found = searched(replace(laid(place.parent), spread=spread), Watch(place / "kept.npz"))
    (place / "found.json").write_text(json.dumps(found))


def searched(problem: SelectionProblem, watch: Watch) -> dict[str, Any]:
    """The coreset and what is reported of it."""
    method = api.build("goracs", {"lam": 0.1, "memory": 1e-9})
    assert isinstance(method, Goracs)
    found = method.search(problem, BUDGET, np.random.default_rng(0), watch)
    return {"rows": found.indices.tolist(), "report": dict(found.report)}


def laid(folder: Path) -> SelectionProblem:
    """The problem in a folder, its features as they lie."""
    pool, target, norms = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pool", "target", "norms")
    )
    return SelectionProblem(pool, np.array(target), {"gradient_norm": np.array(norms)})


class Lab:
    """One problem, selected again and again.

    Args:
        root: an empty folder.
        rows: N.
        draw: the moments.
    """

    def __init__(self, root: Path, rows: int, draw: np.random.Generator) -> None:
        self.root, self.draw, self.number, self.wrong, self.again, self.left = root, draw, 0, 0, 0, 0
        made = planted(rows, TARGET, 0, WIDTH)
        parts = {"pool": made.features, "target": made.target_features, "norms": made.scores["gradient_norm"]}
        for name, part in parts.items():
            np.save(root / f"{name}.npy", part)
        self.whole = json.loads(json.dumps(searched(laid(root), Watch())))
        folder = self.begun()
        self._until_passes(folder)
        began = time.monotonic()
        assert self.ended(folder)
        self.seconds, self.passes = time.monotonic() - began, (folder / "passes").stat().st_size

    def line(self, killed: str, kills: int) -> list[Any]:
        """What became of so many kills."""
        done = same = selections = self.again = self.left = 0
        trial = {"workers": self.lost_workers, "commands": self.lost_command}[killed]
        while done < kills:
            made, alike = trial(min(EACH, kills - done))
            done, same, selections = done + made, same + alike, selections + 1
        self.wrong += selections - same
        return [done, selections, same, self.again, self.left]

    def lost_workers(self, most: int) -> tuple[int, bool]:
        """A selection that loses some workers: how many, and whether it ends as it should."""
        folder, killed = self.begun(), 0
        while killed < most and self.process.poll() is None:
            living = self._workers()
            if living and (folder / "passes").exists():
                self._wait(self.draw.exponential(GAP))
                living = self._workers()
                killed += (
                    bool(living) and self.process.poll() is None and _kill(int(self.draw.choice(living)))
                )
            time.sleep(0.05)
        return killed, self.ended(folder)

    def lost_command(self, _most: int) -> tuple[int, bool]:
        """A selection whose command is killed and given again."""
        folder = self.begun()
        self._until_passes(folder)
        self._wait(self.draw.uniform(0, self.seconds))
        killed = self.process.poll() is None and not (folder / "found.json").exists()
        self.process.kill()
        self.process.wait()
        self.left += len(self._until(lambda: not self._others()) or [])
        if (folder / "found.json").exists():
            return int(killed), self.found(folder)
        self._start(folder)
        return int(killed), self.ended(folder)

    def begun(self) -> Path:
        """The folder of a selection that has been started."""
        self.number += 1
        folder = self.root / str(self.number)
        folder.mkdir()
        self._start(folder)
        return folder

    def ended(self, folder: Path) -> bool:
        """Whether a selection has come to its end, and to the right one."""
        return self.process.wait() == 0 and self.found(folder)

    def found(self, folder: Path) -> bool:
        """Whether what was found is what it should be."""
        if hasattr(self, "passes"):
            self.again = max(self.again, (folder / "passes").stat().st_size - self.passes)
        return bool(json.loads((folder / "found.json").read_text()) == self.whole)

    def _start(self, folder: Path) -> None:
        self.mark = f"{self.root.name}-{folder.name}-{time.monotonic()}"
        with (folder / "said").open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(folder)],
                stdout=said, stderr=said, env={**os.environ, **QUIET, MARK: self.mark},
            )  # fmt: skip

    def _until_passes(self, folder: Path) -> None:
        while not (folder / "passes").exists() and self.process.poll() is None:
            time.sleep(0.05)

    def _wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def _workers(self) -> list[int]:
        return [one for one in marked(self.mark) if WORKER in _words(one)]

    def _others(self) -> list[int]:
        return [one for one in marked(self.mark) if not any(idle in _words(one) for idle in IDLE)]

    def _until(self, true: Callable[[], bool]) -> list[int]:
        """Wait; the processes that are left where that was in vain."""
        deadline = time.monotonic() + ENDED
        while not true() and time.monotonic() < deadline:
            time.sleep(0.2)
        return self._others()


def _words(process: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def _kill(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
