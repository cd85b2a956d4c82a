"""What jobs side by side save where they share stages, and whether they ever wait for each other for ever.

`python -m experiments.speed_sweeps [turns=2] [starts=20] [epochs=60]` prints, for each turn, the seconds by
the clock and of CPU of four tiny jobs that share all but their coresets and fine-tunes: one after the other
(Hydra's own launcher, one process) and two at a time (joblib), each from an empty store. Then it starts four
jobs at once that all want one stage, again and again from an empty store, and counts those starts that are
not through in ten minutes.

CPU     of the command and of the workers that it waited for.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.tiny import WORDS

JOBS = ("selector=random,kcenter,herding,kmeans", "budget=8")  # of one length
ONE_STAGE = ("selector=random", "seed=0,1,2,3", "until=prepare")
SIDE_BY_SIDE = ("hydra/launcher=parallel", "hydra.launcher.n_jobs=2")
AT_ONCE = ("hydra/launcher=parallel", "hydra.launcher.n_jobs=4")
HANGS = 600.0  # seconds
HEAD = ("four jobs", "by the clock, s", "CPU, s", "through")


@dataclass(frozen=True)
class Took:
    """Seconds, and whether it came to a good end."""

    clock: float
    cpu: float
    ended: bool


def run(words: Sequence[str]) -> Took:
    """One command from an empty store; all its processes are killed where it hangs."""
    root = Path(tempfile.mkdtemp(prefix="speed_sweeps-"))
    own = {word.partition("=")[0] for word in words}
    tiny = [word for word in WORDS if word.partition("=")[0] not in own]
    places = [f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'sweep'}"]
    began, before = time.monotonic(), _cpu()
    with (root / "printed").open("w") as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "goracs.cli", "-m", *tiny, *words, *places],
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = command.wait(HANGS)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            code = command.wait()
    return Took(time.monotonic() - began, _cpu() - before, code == 0)


def _cpu() -> float:
    """Seconds of the processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(given: Sequence[str]) -> None:
    """Print the table, and how many starts hung."""
    asked = {"turns": 2, "starts": 20, "epochs": 60}
    asked |= {name: int(value) for name, _, value in (word.partition("=") for word in given)}
    long = [*JOBS, f"finetune.epochs={asked['epochs']}", "runtime.keep_every=100"]
    ways = [("one after the other", ()), ("two at a time", SIDE_BY_SIDE)]
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    for turn in range(asked["turns"]):
        for name, way in ways if turn % 2 == 0 else ways[::-1]:
            took = run([*long, *way])
            cells = [name, f"{took.clock:.0f}", f"{took.cpu:.0f}", "yes" if took.ended else "NO"]
            print(f"| {' | '.join(cells)} |", flush=True)
    starts = [run([*ONE_STAGE, *AT_ONCE]) for _ in range(asked["starts"])]
    through = sum(one.ended for one in starts)
    longest = max((one.clock for one in starts), default=0.0)
    print(
        f"\n{through} of {len(starts)} starts of four at once were through, the longest in {longest:.0f} s."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
