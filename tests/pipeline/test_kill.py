"""A job killed around the rename of any stage: nothing half-built counts, finished stages are reused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.pipeline import kill_points
from tests.pipeline.conftest import TINY, Command
from tests.pipeline.test_road import comparable


def test_a_job_killed_at_every_point_ends_as_an_undisturbed_one(goracs: Command, tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "killed"
    words = [*TINY, "adapter.rows=8", f"store.root={store}", f"hydra.run.dir={folder}"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.kill_points", str(store), *words],
        capture_output=True, text=True, env=os.environ, check=False,
    )  # fmt: skip
    deaths = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert deaths, ended.stderr
    *killed, last = deaths
    assert [death["code"] for death in killed] == [kill_points.KILLED] * len(killed), deaths
    assert last["code"] == 0, ended.stdout + ended.stderr
    for death in killed:
        there = death["stage"] in death["finished"]
        if death["stage"] != "evaluate":  # three artifacts, of which two come before the last
            assert there == (death["moment"] == "after"), death
    result = json.loads((folder / "result.json").read_text())
    assert comparable(result) == comparable(goracs().result)
    assert list(store.rglob("*.partial")) == []
