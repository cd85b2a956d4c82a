"""A job killed at any point: nothing half-built counts, finished stages and batches are reused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goracs.llm import embedding
from tests.pipeline import kill_points
from tests.pipeline.conftest import TINY, Command
from tests.pipeline.test_road import comparable


def test_a_job_killed_at_every_point_ends_as_an_undisturbed_one(
    goracs: Command, tmp_path: Path, store_root: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "killed"
    small = ["adapter.rows=8", "backbone.batch_tokens=1024", "encoder.batch_tokens=1024"]
    words = [*TINY, *small, f"store.root={store}", f"hydra.run.dir={folder}"]
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
        if death["stage"] != "evaluate":  # two artifacts, of which one comes before the last
            assert there == (death["moment"] == "after"), death
    result, undisturbed = json.loads((folder / "result.json").read_text()), goracs(*small).result
    assert comparable(result) == comparable(undisturbed)
    for stage in ("embed", "score"):
        assert f"  {stage} pool: going on after " in ended.stdout
        place = f"{stage}/{result['digests'][stage][:24]}/manifest.json"
        made, wanted = (json.loads((root / place).read_text())["files"] for root in (store, store_root))
        assert made == wanted  # byte by byte
    assert [*store.rglob("*.partial"), *store.rglob("*.checkpoint")] == []


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_stopped_goes_on_from_the_batches_it_had_done(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_: signal.Signals
) -> None:
    words = ("until=embed", "encoder.batch_tokens=1024")
    predict_step = embedding.EmbeddingModule.predict_step

    def stopped(self: Any, batch: Any, place: int) -> Any:
        if place == 2:
            os.kill(os.getpid(), signal_)
        return predict_step(self, batch, place)

    with monkeypatch.context() as patch:
        patch.setattr(embedding.EmbeddingModule, "predict_step", stopped)
        ended = goracs(*words, store=tmp_path / "store")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning hears no second one
    assert ended.code == 130, ended.text
    assert "interrupted: the same command goes on where this one stopped" in ended.text
    again, undisturbed = goracs(*words, store=tmp_path / "store"), goracs(*words)
    assert re.search(r"embed pool: going on after \d+ of 60 examples", again.text)
    assert comparable(again.result) == comparable(undisturbed.result)
    assert list((tmp_path / "store").rglob("*.checkpoint")) == []
