"""The command, run in this process on the tiny backbone, with one store for all tests of a process."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goracs import cli

TINY = (
    "backbone=tiny",
    "encoder=tiny",
    "dataset.size=60",
    "dataset.history=3",
    "split.valid=24",
    "split.test=24",
    "split.per_user=4",
    "finetune.epochs=1",
    "evaluate.draws=50",
    "budget=8",
    "surrogate.epochs=3",
    "surrogate.depth=20",
    "task.lam=0.5",  # auto takes many selections, and has roads of its own
    "runtime.progress=false",
    "runtime.threads=1",
    "runtime.accelerator=cpu",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it printed, its folder."""

    code: int
    text: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        """result.json of a single run."""
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found


Command = Callable[..., Ended]


@pytest.fixture
def store_root(shared: Path) -> Path:
    """The store that the pipeline tests share."""
    return shared / "store"


@pytest.fixture
def goracs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, store_root: Path
) -> Command:
    """Run `goracs` with the tiny settings and the given words; each call has a folder of its own.

    `without` names tiny settings that the chosen data set or split does not have.
    """

    def run(*words: str, store: Path = store_root, without: Sequence[str] = ()) -> Ended:
        folder = tmp_path / f"job{len(list(tmp_path.glob('job*')))}"
        places = [f"store.root={store}", f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
        flags = [word for word in words if word.startswith("-")]
        given = [word for word in words if word not in flags]
        if not any(word.startswith("adapter=") for word in given):
            given.append("adapter.rows=8")
        tiny = [word for word in TINY if word.partition("=")[0] not in without]
        monkeypatch.setattr(sys, "argv", ["goracs", *flags, *tiny, *places, *given])
        capfd.readouterr()
        root = logging.getLogger()
        before = root.handlers[:]
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in the background
        with pytest.raises(SystemExit) as end:
            cli.main()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # an interrupted command hears no second one
        for handler in {*root.handlers} - {*before}:  # Hydra's write to what this test captures
            handler.close()
        root.handlers[:] = before
        printed = capfd.readouterr()
        code = end.value.code
        return Ended(code if isinstance(code, int) else 1, printed.out + printed.err + str(code), folder)

    return run
