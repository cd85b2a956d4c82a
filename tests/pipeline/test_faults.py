"""The short form of `python -m experiments.faults`: what a fault leaves, what is seen and served of it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from experiments.faults import damage
from goracs import mistakes
from goracs.jobs import sweep
from goracs.store import DamagedArtifact, Stage, Store
from tests.pipeline.conftest import TINY, Command

pytestmark = pytest.mark.xdist_group("sweep")
SELECT = ("until=select", "selector=random")
AT_WORK = """
import signal, sys, time
from goracs import cli, store
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
store.Store._seal = lambda *_: time.sleep(600)
cli.main()
"""


def test_what_is_damaged_in_whatever_artifact_is_never_served(
    goracs: Command, store_root: Path, tmp_path: Path
) -> None:
    digests = goracs("adapter.rows=8").result["digests"]
    rng, tried = np.random.default_rng(0), 0
    for name, key in digests.items():
        for place in store_root.glob(f"*/{key[:24]}"):
            stage, copy = place.parent.name, tmp_path / "store" / place.parent.name / place.name
            shutil.copytree(place, copy)
            for file in (path for path in copy.rglob("*") if path.is_file() and path.stat().st_size):
                whole = file.read_bytes()
                for way in ("flipped", "cut", "emptied"):
                    if way == "flipped" and file.name == "manifest.json":
                        continue  # what it says of seconds and memory decides nothing: test_store.py
                    damage(file, way, rng)
                    with pytest.raises(DamagedArtifact, match=f"{copy} is damaged.*Delete that folder"):
                        Store(tmp_path / "store").kept(stage, key)
                    file.write_bytes(whole)
                    tried += 1
            assert Store(tmp_path / "store").kept(stage, key)
        assert tried, name


@pytest.mark.parametrize("taken", [".hydra", "goracs.log", ".outcome.json"])
def test_what_the_system_refuses_to_write_is_told_in_a_line(
    goracs: Command, tmp_path: Path, taken: str
) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / taken).touch() if taken == ".hydra" else (folder / taken).mkdir()
    ended = goracs(*SELECT, f"hydra.run.dir={folder}")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    assert ended.text.count("error: ") == 1
    assert f"{folder}/{taken}'" in ended.text
    assert not (folder / "result.json").exists()
    (folder / taken).unlink() if taken == ".hydra" else (folder / taken).rmdir()
    assert goracs(*SELECT, f"hydra.run.dir={folder}").code == 0


def test_a_tree_that_cannot_be_copied_is_told_by_its_reasons(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    os.mkfifo(tmp_path / "from" / "pipe")
    with pytest.raises(shutil.Error) as refused:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert mistakes.told(refused.value) == f"`{tmp_path / 'from' / 'pipe'}` is a named pipe"


def test_a_sweep_that_is_told_to_end_does_and_goes_on(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("-m", *SELECT, "seed=7000,7001,7002")
    seal, sealed = Store._seal, []

    def told(self: Store, stage: Stage, folder: Path, cost: Mapping[str, float | None]) -> None:
        sealed.append(stage.name)
        if sealed.count("select") == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        seal(self, stage, folder, cost)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_seal", told)
        ended = goracs(*words, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert ended.code == 128 + signal.SIGTERM
    assert "goes on where this one stopped (SIGTERM at the stage select)\n" in ended.text
    assert "jobs: " not in ended.text
    states = [(one["status"], one["message"]) for one in sweep.states(tmp_path / "sweep")]
    assert [status for status, _ in states] == ["done", "interrupted", "waiting"]
    assert states[1][1] == "SIGTERM at the stage select"
    again = goracs(*words, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert again.code == 0
    assert "3 jobs: 1 skipped, 2 done" in again.text


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals there")
def test_a_terminal_that_is_closed_leaves_nothing_running(tmp_path: Path) -> None:
    words = [*TINY, "until=prepare", f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'job'}"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", AT_WORK, *words])
    said = b""
    while b"prepare   ..." not in said:
        said += os.read(terminal, 4096)
    while not list((tmp_path / "store").rglob("*.partial/*")):
        time.sleep(0.05)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 128 + signal.SIGHUP
    told = json.loads((tmp_path / "job" / "outcome.json").read_text())
    assert (told["status"], told["message"]) == ("interrupted", "SIGHUP at the stage prepare")
    assert not list((tmp_path / "store").rglob("*.partial"))
    assert not list((tmp_path / "store").rglob("manifest.json"))
