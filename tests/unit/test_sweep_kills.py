"""The harness that kills sweeps: it finds what a command leaves, and sees what was made twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.sweep_kills import MARK, Command, Disturbed

LEAVING = (
    "import subprocess, time; subprocess.Popen(['sleep', '60']); print('begun', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(("whole", "left"), [(False, 1), (True, 0)])
def test_what_a_killed_command_leaves_is_found_and_ended_where_all_is_killed(
    tmp_path: Path, whole: bool, left: int
) -> None:
    command = Command.__new__(Command)
    command.mark = str(tmp_path)
    command.process = subprocess.Popen(
        [sys.executable, "-c", LEAVING], stdout=subprocess.PIPE, env={**os.environ, MARK: command.mark}
    )
    assert command.process.stdout is not None
    with command.process.stdout as said:
        assert said.readline() == b"begun\n"
    while len(command.processes()) < 2:  # one that has just been started shows no environment yet
        time.sleep(0.01)
    command.kill(whole)
    assert len(command.processes()) == left
    command.kill(whole=True)
    assert command.outlived().startswith("0 for ")


def test_an_artifact_that_is_made_twice_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goracs.jobs.sweep.states", lambda _: [{"status": "failed"}, {"status": "done"}])
    tried = Disturbed(tmp_path, [])
    for name in ("one", "two"):
        (tmp_path / "store" / "select" / name).mkdir(parents=True)
        (tmp_path / "store" / "select" / name / "manifest.json").write_text("{}")
    tried._look()
    tried._look()
    assert (tried.twice, tried.failed) == (set(), 2)
    again = tmp_path / "again"
    again.write_text("{}")
    again.rename(tmp_path / "store" / "select" / "two" / "manifest.json")
    tried._look()
    tried._look()
    assert tried.twice == {tmp_path / "store" / "select" / "two"}
