"""What faults do to a run: each is brought into the tiny pipeline, and what is served afterwards compared.

`python -m experiments.faults [kills=200] [anywhere=20] [damaged=60] [full=40] [others=10] [seed=0]` prints a
table: a line for each fault, with what its user sees, how often it was injected, and of these survived (the
same command, after what its message says to do, leaves what an undisturbed run leaves), lost (it does not,
or something finished was gone) and wrong (a run that ended well left anything else); tracebacks are counted.

Trial   a store in which the first stages of an undisturbed run are done, one or more faulty runs on it, and a
        last one without a fault.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.faults_run import Before, Command, Ended, Fresh, run
from experiments.tiny import artifacts, leavings
from goracs.llm.resume import Keeper
from goracs.llm.rows import RowWriter
from goracs.search.watch import Watch

CHAIN = 6  # faulty runs of a kind on one store, one after the other
NOBODY = 65534
HEAD = ("fault", "what the user sees", "injected", "survived", "lost", "wrong", "tracebacks")


class Trial:
    """One store and one job folder, with the first stages of an undisturbed run done.

    Args:
        root: an empty folder.
        whole: the store of that run.
        done: how many of its artifacts are there from the start, as they were made.
    """

    def __init__(self, root: Path, whole: Path, done: int) -> None:
        self.root, self.store, self.folder = root, root / "store", root / "job"
        self.store.mkdir(parents=True)
        self.ends: list[Ended] = []
        self.injected, self.gone = 0, False  # faults; whether something finished was lost by one
        order = in_order(whole)
        self.stages = len(order)
        for made in order[:done]:
            shutil.copytree(made, self.store / made.relative_to(whole), copy_function=os.link)

    @property
    def left(self) -> float:
        """The share of the stages that are still to do: a fault falls into what is left of the work."""
        return 1 - len(artifacts(self.store)) / self.stages

    def run(self, before: Before = lambda: None) -> Ended:
        """The command, with a fault in it or before it."""
        self.injected += 1
        self.ends.append(run(self.store, self.folder, before))
        return self.ends[-1]

    def begin(self) -> Command:
        """The command, at work."""
        return Command(self.store, self.folder)

    def wait(self, command: Command) -> None:
        """See a command to its end."""
        self.ends.append(command.ended())


@dataclass
class Ground:
    """What all trials stand on: an undisturbed run, its seconds, and chance."""

    root: Path
    rng: np.random.Generator
    count: int = 0
    whole: Path = field(init=False)
    expected: dict[str, Any] = field(init=False)
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.whole = self.root / "whole"
        ended = run(self.whole, self.root / "job")
        self.expected, self.seconds = leavings(self.root / "job"), ended.seconds
        if ended.code or not self.expected:
            sys.exit(f"the undisturbed run failed:\n{ended.text}")

    def trial(self, done: int | None = None) -> Trial:
        """A new one; `done` artifacts are there, else a random number that leaves something to do."""
        self.count += 1
        made = len(in_order(self.whole))
        done = int(self.rng.integers(made)) if done is None else done
        return Trial(self.root / f"trial{self.count}", self.whole, done)

    def moment(self, trial: Trial) -> float:
        """Seconds after which a fault comes, in what is left to do."""
        return float(self.rng.uniform(0, self.seconds * trial.left))


def in_order(store: Path) -> list[Path]:
    """The artifacts as they were made."""
    return sorted(artifacts(store), key=lambda place: (place / "manifest.json").stat().st_mtime_ns)


Fault = Callable[[Ground], Trial]


def killed(ground: Ground) -> Trial:
    """Killed with no chance to hear of it, again and again."""
    return _signalled(ground, [signal.SIGKILL])


def killed_anywhere(ground: Ground) -> Trial:
    """Any process of a command that begins with its imports, again and again."""
    trial = ground.trial()
    for _ in range(CHAIN):
        before = {*artifacts(trial.store)}
        command = Fresh(trial.store, trial.folder)
        if command.left(float(ground.rng.uniform(0, 2 * ground.seconds * trial.left))):
            trial.injected += 1
            for pid in ground.rng.permutation(command.processes())[:1]:
                os.kill(int(pid), signal.SIGKILL)
        trial.wait(command)
        trial.gone |= not before <= {*artifacts(trial.store)}
    return trial


def _signalled(ground: Ground, signals: Sequence[int]) -> Trial:
    trial = ground.trial()
    for _ in range(CHAIN):
        if not trial.left:  # a kill of a command with nothing to do would flatter the count
            break
        before = {*artifacts(trial.store)}
        command = trial.begin()
        if command.left(ground.moment(trial)):
            trial.injected += 1
            command.told(signals[0])
        for number in signals[1:]:
            if command.left(float(ground.rng.uniform(0, 0.3))):
                command.told(number)
        trial.wait(command)
        trial.gone |= not before <= {*artifacts(trial.store)}
    return trial


def flipped(ground: Ground) -> Trial:
    """One bit of one file of one artifact is another."""
    return _damaged(ground, "flipped")


def cut(ground: Ground) -> Trial:
    """One file of one artifact ends early."""
    return _damaged(ground, "cut")


def emptied(ground: Ground) -> Trial:
    """One file of one artifact has no content."""
    return _damaged(ground, "emptied")


def _damaged(ground: Ground, way: str) -> Trial:
    trial = ground.trial(len(artifacts(ground.whole)))
    stages = sorted({place.parent for place in artifacts(trial.store)})
    stage = stages[ground.rng.integers(len(stages))]
    files = sorted(file for file in stage.glob("*/**/*") if file.is_file() and file.stat().st_size)
    damage(files[ground.rng.integers(len(files))], way, ground.rng)
    if stage.name != "result":  # which brings all of itself
        shutil.rmtree(trial.store / "result")
    trial.run()
    _obey(trial)
    return trial


def damage(file: Path, way: str, rng: np.random.Generator) -> None:
    """Put a damaged copy in a file's place."""
    content = bytearray(file.read_bytes())
    spot = int(rng.integers(len(content)))
    if way == "flipped":
        content[spot] ^= 1 << int(rng.integers(8))
    file.unlink()  # the content may be shared
    file.write_bytes(content if way == "flipped" else content[:spot] if way == "cut" else b"")


def _obey(trial: Trial) -> None:
    """Delete what the message says is to be deleted."""
    for place in re.findall(r"The artifact (\S+) is damaged.*Delete that folder", trial.ends[-1].text):
        shutil.rmtree(place)


def swapped(ground: Ground) -> Trial:
    """The content of one artifact under the key of another."""
    trial = ground.trial(len(artifacts(ground.whole)))
    shutil.rmtree(trial.store / "result")
    there = artifacts(trial.store)
    one, other = (there[place] for place in ground.rng.choice(len(there), 2, replace=False))
    shutil.rmtree(one)
    shutil.copytree(other, one)
    trial.run()
    _obey(trial)
    return trial


def checkpoint_damaged(ground: Ground) -> Trial:
    """Killed while a stage keeps what it has done; then a file of what it kept is damaged."""
    trial = ground.trial()
    after = int(ground.rng.integers(1, 12))
    trial.run(lambda: _die_after(after))
    trial.injected = 0
    files = sorted(file for file in trial.store.glob("*/*.checkpoint/*") if file.stat().st_size)
    if files:
        way = str(ground.rng.choice(["flipped", "cut", "emptied"]))
        damage(files[ground.rng.integers(len(files))], way, ground.rng)
        trial.run()
    return trial


def _die_after(kept: int) -> None:
    """Vanish with the `kept`-th state that a stage keeps."""
    left = [kept]

    def dying(keep: Callable[..., None]) -> Callable[..., None]:
        def then(*given: Any) -> None:
            keep(*given)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        return then

    for room, name in ((RowWriter, "keep"), (Keeper, "keep"), (Watch, "save")):
        setattr(room, name, dying(getattr(room, name)))


def full(ground: Ground) -> Trial:
    """No file can become larger than a random limit."""
    trial = ground.trial()
    largest = max(file.stat().st_size for file in ground.whole.rglob("*") if file.is_file())
    for _ in range(CHAIN):
        limit = int(np.exp(ground.rng.uniform(np.log(16), np.log(largest))))

        def before(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        trial.run(before)
    return trial


def read_only(ground: Ground) -> Trial:
    """The store is somebody else's."""
    trial = ground.trial()
    _give(trial.store, NOBODY)
    trial.run(_be_nobody_special)
    _give(trial.store, os.getuid())
    return trial


def _give(folder: Path, owner: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, -1)


def _be_nobody_special() -> None:
    """Have root keep to the permissions of files: without CAP_DAC_OVERRIDE."""
    libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    sets[0] &= ~(1 << 1)
    libc.capset(header, sets)


def vanished(ground: Ground) -> Trial:
    """The store is gone from some moment on, and comes back."""
    trial = ground.trial()
    command, away = trial.begin(), trial.root / "away"
    trial.injected = int(command.left(ground.moment(trial)))
    trial.store.rename(away)
    trial.wait(command)
    if trial.store.exists():
        shutil.rmtree(trial.store)
    away.rename(trial.store)
    return trial


def two(ground: Ground) -> Trial:
    """Two processes with the same command, store and job folder."""
    return _racing(ground, [""] * 2)


def eight(ground: Ground) -> Trial:
    """Eight of them."""
    return _racing(ground, [""] * 8)


def two_apart(ground: Ground) -> Trial:
    """Two processes with the same command and store, a folder each."""
    return _racing(ground, ["", "1"])


def eight_apart(ground: Ground) -> Trial:
    """Eight of them."""
    return _racing(ground, ["", *"1234567"])


def _racing(ground: Ground, folders: Sequence[str]) -> Trial:
    trial = ground.trial()
    for command in [Command(trial.store, Path(f"{trial.folder}{name}")) for name in folders]:
        trial.wait(command)
    trial.injected = 1
    return trial


def terminated(ground: Ground) -> Trial:
    """SIGTERM."""
    return _signalled(ground, [signal.SIGTERM])


def hung_up(ground: Ground) -> Trial:
    """SIGHUP, as of a terminal that is closed."""
    return _signalled(ground, [signal.SIGHUP])


def interrupted(ground: Ground) -> Trial:
    """Ctrl-C."""
    return _signalled(ground, [signal.SIGINT])


def interrupted_twice(ground: Ground) -> Trial:
    """Ctrl-C, and once more a moment later."""
    return _signalled(ground, [signal.SIGINT, signal.SIGINT])


def clock_back(ground: Ground) -> Trial:
    """The clock goes back by a day in the midst of a run."""
    trial, at = ground.trial(), int(ground.rng.integers(1, 60))
    trial.run(lambda: _turn_back(at))
    return trial


def _turn_back(at: int) -> None:
    now, asked = time.time, [0]

    def turned() -> float:
        asked[0] += 1
        return now() - (86_400 if asked[0] > at else 0)

    time.time = turned


def lockless(ground: Ground) -> Trial:
    """The file system says yes to every lock."""
    trial = ground.trial()
    trial.run(lambda: setattr(fcntl, "flock", lambda *_: None))
    return trial


FAULTS: dict[str, tuple[str, Fault]] = {  # what it is called -> how often, and how it is done
    "kill -9 at a random moment": ("kills", killed),
    "kill -9 of any process, from the first import on": ("anywhere", killed_anywhere),
    "an artifact's file with one bit turned": ("damaged", flipped),
    "an artifact's file cut": ("damaged", cut),
    "an artifact's file emptied": ("damaged", emptied),
    "a checkpoint's file turned, cut or emptied": ("damaged", checkpoint_damaged),
    "another's content under a key": ("others", swapped),
    "no room for a file (RLIMIT_FSIZE)": ("full", full),
    "store not writable": ("others", read_only),
    "store away from a random moment on": ("others", vanished),
    "two at once, one folder": ("others", two),
    "eight at once, one folder": ("others", eight),
    "two at once for the same stages": ("others", two_apart),
    "eight at once for the same stages": ("others", eight_apart),
    "SIGTERM": ("others", terminated),
    "SIGHUP": ("others", hung_up),
    "Ctrl-C": ("others", interrupted),
    "Ctrl-C twice": ("others", interrupted_twice),
    "clock back by a day": ("others", clock_back),
    "locks that keep nobody out": ("others", lockless),
}


@dataclass
class Tally:
    """Of one fault."""

    injected: int = 0
    survived: int = 0
    lost: int = 0
    wrong: int = 0
    tracebacks: int = 0
    said: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)

    def add(self, ground: Ground, trial: Trial) -> None:
        """Judge a trial: its faulty runs, and one more without a fault."""
        faulty, injected = [*trial.ends], trial.injected
        served = leavings(trial.folder)
        last = trial.run()
        found = leavings(trial.folder)
        self.injected += injected
        self.tracebacks += sum(end.untidy for end in trial.ends)
        self.said.update(_plain(end.said, trial.root) for end in faulty)
        self.texts += [end.text for end in trial.ends if end.untidy]
        if (served and served != ground.expected) or (last.code == 0 and found != ground.expected):
            self.wrong += injected
        elif last.code or trial.gone:
            self.lost += injected
        else:
            self.survived += injected
            shutil.rmtree(trial.root)

    def line(self, name: str) -> list[str]:
        """Of the table."""
        said = "; ".join(f"{words} ({count})" for words, count in self.said.most_common(3))
        counts = (self.injected, self.survived, self.lost, self.wrong, self.tracebacks)
        return [name, said, *map(str, counts)]


def _plain(said: str, root: Path) -> str:
    """What was said, without what differs from trial to trial."""
    return re.sub(r"[0-9a-f]{16,}", "KEY", said.replace(str(root), "")).replace("|", "/")[:160]


def main(words: list[str]) -> None:
    """Print the table; trials that were not survived stay where they are."""
    given = {"kills": 200, "anywhere": 20, "damaged": 60, "full": 40, "others": 10, "seed": 0}
    given |= {name: int(value) for name, _, value in (word.partition("=") for word in words)}
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    root.chmod(0o755)
    ground = Ground(root, np.random.default_rng(given["seed"]))
    print(f"An undisturbed run: {ground.seconds:.1f} s; trials in {root}.", file=sys.stderr)
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    for name, (often, fault) in FAULTS.items():
        tally = Tally()
        while tally.injected < given[often]:
            tally.add(ground, fault(ground))
        if tally.injected:
            print(f"| {' | '.join(tally.line(name))} |", flush=True)
        for text in tally.texts:
            print(f"\n{name}:\n{text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
