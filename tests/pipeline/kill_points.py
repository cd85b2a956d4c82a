"""Runs one tiny job again and again, killed each time around the rename of the next stage; then undisturbed.

Within the stages that keep finished batches or steps it is killed around the note of one, too. The store
renames all stages alike: one has every moment, and of the others each has one, in turns.

Run as a script by test_kill.py: it forks before any model has run, so every child starts alike. Prints one
JSON line per child: the stage and moment it died at, and the stages it built before that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments import imported  # noqa: F401  # before the forks, to be paid for once
from goracs import cli
from goracs.llm import resume, rows
from goracs.store import Stage, Store

STAGES = (
    "prepare",
    "weights",
    "fits",
    "adapter",
    "embed",
    "score",
    "select",
    "assess",
    "finetune",
    "states",
    "evaluate",
    "evaluate_states",
    "rule",
    "result",
)
MOMENTS = ("before", "during", "after")
LONG = "finetune"  # killed at every moment
NOTE = ("stored", "flushed", "noted")  # of a batch or step; two stages share a way to note it
WITHIN = {"embed": NOTE, "score": NOTE[1:2], "adapter": NOTE[1:2], "finetune": NOTE}
KILLED = -signal.SIGKILL


def die() -> None:
    """Vanish, in the way that no process can hear of."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(name: str, moment: str) -> None:
    """Make this process vanish around the rename of the stage called `name`."""
    seal, rename = Store._seal, Path.rename

    def dying_seal(self: Store, stage: Stage, folder: Path, cost: Mapping[str, float | None]) -> None:
        if stage.name == name and moment == "before":
            die()
        seal(self, stage, folder, cost)

    def dying_rename(self: Path, target: Any) -> Path:
        hit = Path(target).parent.name == name
        if hit and moment == "during":
            die()
        moved = rename(self, target)
        if hit and moment == "after":
            die()
        return moved

    Store._seal = dying_seal  # type: ignore[method-assign]
    Path.rename = dying_rename  # type: ignore[method-assign,assignment]


def die_within(name: str, moment: str) -> None:
    """Vanish with the second batch or step of a stage: once it is done, on disk, or noted."""
    sync, kept = os.fsync, list[str]()

    def at(place: str) -> None:
        if kept.count(name) == 2 and place == moment:
            die()

    def dying(keep: Any, stage: Callable[[Any], str]) -> Any:
        def dying_keep(self: Any) -> None:
            kept.append(stage(self))
            at("stored")
            keep(self)
            at("noted")

        return dying_keep

    def dying_sync(fd: Any) -> None:
        at("flushed")
        sync(fd)

    writer, keeper = rows.RowWriter, resume.Keeper
    writer.keep = dying(writer.keep, lambda self: self.note.parent.parent.name)  # type: ignore[method-assign]
    keeper.keep = dying(keeper.keep, lambda self: self.file.parent.parent.name)  # type: ignore[method-assign]
    os.fsync = dying_sync


def child(words: list[str], death: tuple[str, str] | None) -> int:
    """Run the job in a fork; its exit code."""
    pid = os.fork()
    if pid == 0:
        if death:
            (die_within if death[1] in WITHIN.get(death[0], ()) else die_at)(*death)
        sys.argv = ["goracs", *words]
        try:
            cli.main()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Kill once at every point, in the order of the line, then let the job end."""
    store, *words = sys.argv[1:]
    for place, name in enumerate(STAGES):
        around = MOMENTS if name == LONG else MOMENTS[place % 3 :][:1]
        for moment in (*WITHIN.get(name, ()), *around):
            code = child(words, (name, moment))
            finished = sorted(
                {
                    place.parent.parent.name
                    for place in Path(store).glob("*/*/manifest.json")
                    if place.parent.suffix == ""
                }
            )
            print(
                json.dumps({"stage": name, "moment": moment, "code": code, "finished": finished}), flush=True
            )
    print(json.dumps({"stage": None, "code": child(words, None)}), flush=True)


if __name__ == "__main__":
    main()
