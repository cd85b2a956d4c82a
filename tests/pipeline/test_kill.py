"""A job killed at any stage: nothing half-built counts; finished stages, batches and steps are reused."""

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
from goracs.llm.finetune_module import FinetuneModule
from tests.pipeline import kill_points
from tests.pipeline.conftest import TINY, Command
from tests.pipeline.test_road import comparable

CONFIG = "adapter_config.json"  # in which peft writes a set in the order of its process
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
JOBS = {"adapter": "warm up", "embed": "embed pool", "score": "score pool", "finetune": "finetune"}


def test_a_job_killed_at_every_stage_ends_as_an_undisturbed_one(
    goracs: Command, tmp_path: Path, store_root: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "killed"
    small = ["adapter.rows=8", "backbone.batch_tokens=1024", "encoder.batch_tokens=1024"]
    small += [
        "adapter.training.batch_size=2",
        "finetune.batch_size=2",
        "finetune.patience=2",
        "finetune.looks=2",
    ]
    words = [*TINY, *small, "runtime.keep_every=0", f"store.root={store}", f"hydra.run.dir={folder}"]
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
    for stage, job in JOBS.items():
        assert f"  {job}: going on after " in ended.stdout
        place = f"{stage}/{result['digests'][stage][:24]}/manifest.json"
        made, wanted = (json.loads((root / place).read_text())["files"] for root in (store, store_root))
        assert {*made} == {*wanted}
        differing = [name for name in made if made[name] != wanted[name]]  # byte by byte
        assert [name for name in differing if not name.endswith(CONFIG)] == []
    assert [*store.rglob("*.partial"), *store.rglob("*.checkpoint")] == []


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
    assert ended.code == 128 + signal_, ended.text
    assert f"goes on where this one stopped ({NAMES[signal_]} at the stage embed)\n" in ended.text
    again, undisturbed = goracs(*words, store=tmp_path / "store"), goracs(*words)
    assert re.search(r"embed pool: going on after \d+ of 60 examples", again.text)
    assert comparable(again.result) == comparable(undisturbed.result)
    assert list((tmp_path / "store").rglob("*.checkpoint")) == []


@pytest.mark.parametrize(
    ("signal_", "keep_every"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 1000), (signal.SIGHUP, 1000)],
    ids=["Ctrl-C", "terminated", "hung up"],
)
def test_a_fine_tune_that_is_stopped_goes_on_from_the_steps_it_had_done(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_: signal.Signals, keep_every: int
) -> None:
    """Told to terminate it keeps its last step; on Ctrl-C what it had kept counts."""
    words = ("until=finetune", "selector=random", "finetune.batch_size=2", "adapter=init")
    training_step = FinetuneModule.training_step

    def stopped(self: Any, parts: Any, place: int) -> None:
        if len(self.curve) == 2:
            os.kill(os.getpid(), signal_)
        training_step(self, parts, place)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneModule, "training_step", stopped)
        ended = goracs(*words, f"runtime.keep_every={keep_every}", store=tmp_path / "store")
    assert ended.code == 128 + signal_, ended.text
    assert f"goes on where this one stopped ({NAMES[signal_]} at the stage finetune)\n" in ended.text
    assert not (ended.folder / "result.json").exists()
    again, undisturbed = goracs(*words, store=tmp_path / "store"), goracs(*words)
    assert re.search(r"finetune: going on after step [23] of 4", again.text), again.text
    assert comparable(again.result) == comparable(undisturbed.result)
    for name in ("curve.json", "adapter/adapter_model.safetensors"):
        assert (again.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
    assert list((tmp_path / "store").rglob("*.checkpoint")) == []


def test_a_training_that_diverges_ends_with_the_reason_and_leaves_nothing(
    goracs: Command, tmp_path: Path
) -> None:
    words = ("until=finetune", "selector=random", "finetune.batch_size=2", "adapter=init")
    ended = goracs(*words, "finetune.lr=1e30", "runtime.keep_every=0", store=tmp_path / "store")
    assert ended.code == 1
    said = r"error: Training diverged at step \d of 4: .* examples of the coreset .*user \d+, item \d+.*\n"
    assert re.search(said, ended.text), ended.text
    assert "Traceback" not in ended.text
    assert [*(tmp_path / "store").rglob("*.partial"), *(tmp_path / "store").rglob("*.checkpoint")] == []
    assert not [*(tmp_path / "store" / "finetune").glob("*/")]
