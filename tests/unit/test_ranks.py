"""Several ranks do what one does; one that ends in the middle ends all, with an error that names it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from goracs.llm import adapter, starter
from goracs.llm.answers import answer
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.finetune import finetune
from goracs.llm.gradient import score
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss, TextLoss
from goracs.llm.ranks import here
from goracs.llm.settings import Finetune, Runtime
from goracs.types import GoracsError, InvalidInput
from tests.conftest import LORA, RUNTIME, TINY
from tests.rank_ends import broken, endless, full, killed, refused
from tests.saved_adapters import WEIGHTS
from tests.unit.test_finetune import SETTINGS
from tests.unit.test_gradient import PLAIN, mixed_texts
from tests.unit.test_gradient import SETTINGS as GRADIENTS

TWO = replace(RUNTIME, devices=2)
LOSS = AnswerLoss(300, 301)
SAME = 1e-5  # float32: the same batches, but for sums over ranks
SOON = 60.0  # seconds in which a process must be gone


def whole_road(runtime: Runtime) -> Callable[[Path, Mapping[str, Path]], None]:
    """Scores, answers and a fine-tune with looks, all that ranks share, in one stage."""
    texts = mixed_texts("left")
    asked = texts.without_answers()
    few = Texts.of(asked.prompts[:1], [()], [1], 0)  # fewer than ranks
    settings = Finetune(**{**vars(SETTINGS), "batch_size": 4}, patience=9, looks=2)

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        def job(name: str) -> Job:
            return Job(name, "float32", 64, runtime)

        kept = folder.with_suffix(".checkpoint")
        model = adapter.fresh(load_model(inputs["weights"], TINY), replace(LORA, dropout=0.0), seed=0)
        score(model.eval(), TextLoss(), texts, GRADIENTS, PLAIN, job("score"), kept, "pool")
        for name in PLAIN:
            np.save(folder / f"{name}.npy", np.load(kept / f"pool_{name}.npy"))
        np.save(folder / "answers.npy", answer(model, LOSS, asked, job("answer")))
        np.save(folder / "few.npy", answer(model, LOSS, few, job("answer")))
        for name, examples in (("tuned", asked), ("lonely", few)):
            into = folder / name
            into.mkdir()
            finetune(model, LOSS, examples, settings, 0, job(name), into, kept / name, judging=asked)

    return build


@pytest.fixture(scope="module")
def by_one(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the whole road makes in this process."""
    folder = tmp_path_factory.mktemp("one") / "one.partial"
    folder.mkdir()
    whole_road(RUNTIME)(folder, {"weights": tiny_weights})
    return folder


def test_two_ranks_do_what_one_does(tiny_weights: Path, tmp_path: Path, by_one: Path) -> None:
    folder = tmp_path / "two.partial"
    folder.mkdir()
    starter.run(whole_road(TWO), folder, {"weights": tiny_weights}, TWO)
    assert not list(tmp_path.glob("two.rank*"))
    same(folder, by_one)


def same(found: Path, one: Path) -> None:
    for file in sorted(one.glob("*.npy")):
        np.testing.assert_allclose(np.load(found / file.name), np.load(file), rtol=SAME, err_msg=file.name)
    for tuned in ("tuned", "lonely"):
        curves = [
            np.array([list(row.values())[:3] for row in read(folder / tuned / "curve.json")])
            for folder in (one, found)
        ]
        np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
        mine, theirs = (load_file(folder / tuned / "adapter" / WEIGHTS) for folder in (one, found))
        for name, weight in mine.items():
            torch.testing.assert_close(theirs[name], weight, rtol=1e-3, atol=1e-5)


def test_two_processes_of_torchrun_do_what_one_does(tiny_weights: Path, tmp_path: Path, by_one: Path) -> None:
    """And in a stage that ends badly leave nothing, but a message that names the rank."""
    late = "--monitor-interval=3"  # seconds until it ends the others too: before that, rank 0 has its say
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", late)
    words = [*torchrun, "-m", "tests.group_road", str(tiny_weights), str(tmp_path)]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=20 * SOON)
    same(tmp_path / "group.partial", by_one)
    named = rf"rank 1 of 2 \(on {re.escape(socket.gethostname())}\) ended in the middle "
    assert re.match(rf"{named}\(signal 9\), so the others were ended", (tmp_path / "killed.txt").read_text())
    assert ended.returncode == 1
    assert re.search(rf"{named}\(nothing is heard of its machine or process\)", ended.stderr), ended.stderr
    left = {file.name for file in tmp_path.iterdir()} - {"group.partial", "group.checkpoint", "killed.txt"}
    (pid,) = (int(name.removesuffix(".led")) for name in left)  # of the one process that did the command
    assert not alive(pid)


def read(file: Path) -> Any:
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (refused, InvalidInput, r"^what rank 1 found wrong$"),
        (
            killed,
            GoracsError,
            r"^rank 1 of 2 ended in the middle \(signal 9\), so the others were ended too\.",
        ),
        (full, OSError, r"^No space left on device$"),
        (broken, RuntimeError, r"(?s)^rank 0 of 2 failed:\nTraceback .*ZeroDivisionError"),
    ],
)
def test_the_rank_that_failed_is_the_one_that_is_named(
    tmp_path: Path, build: Any, error: type[Exception], message: str
) -> None:
    before = time.monotonic()
    with pytest.raises(error, match=message):
        starter.run(build, tmp_path / "made.partial", {}, TWO)
    assert time.monotonic() - before < 10 * SOON  # whoever waited for it did not wait for ever
    assert multiprocessing.active_children() == []
    assert list(tmp_path.iterdir()) == []


def half_way(folder: Path, inputs: Mapping[str, Path]) -> None:
    """Rank 1 vanishes after its first batch has been kept."""
    runtime = replace(TWO, keep_every=0)
    if here().number == 1 and not (folder.parent / "again").exists():
        from goracs.llm.rows import RowWriter

        keep = RowWriter.keep

        def last(self: RowWriter) -> None:
            keep(self)
            os.kill(os.getpid(), signal.SIGKILL)

        RowWriter.keep = last  # type: ignore[method-assign]
    model = adapter.fresh(load_model(inputs["weights"], TINY), LORA, seed=0).eval()
    kept, job = folder.with_suffix(".checkpoint"), Job("score", "float32", 32, runtime)
    score(model, TextLoss(), mixed_texts("left"), GRADIENTS, PLAIN, job, kept, "pool")


def test_ranks_go_on_from_what_each_had_kept(
    tiny_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, inputs = tmp_path / "made.partial", {"weights": tiny_weights}
    folder.mkdir()
    with pytest.raises(GoracsError, match="rank 1 of 2 ended in the middle"):
        starter.run(half_way, folder, inputs, TWO)
    (tmp_path / "again").touch()
    with caplog.at_level(logging.INFO, logger="goracs"):
        starter.run(half_way, folder, inputs, TWO)
    assert "score: going on after" in caplog.text
    kept = tmp_path / "made.checkpoint"
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0).eval()
    alone = Job("score", "float32", 32, RUNTIME)
    score(model, TextLoss(), mixed_texts("left"), GRADIENTS, PLAIN, alone, tmp_path / "one", "pool")
    for name in PLAIN:
        found, whole = (np.load(place / f"pool_{name}.npy") for place in (kept, tmp_path / "one"))
        np.testing.assert_allclose(found, whole, rtol=SAME)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_ranks_end_with_their_starter(tmp_path: Path, end: signal.Signals, code: int) -> None:
    command = multiprocessing.get_context("spawn").Process(
        target=starter.run, args=(endless, tmp_path / "made.partial", {}, TWO)
    )
    command.start()
    files = [tmp_path / f"{number}.pid" for number in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    assert command.pid is not None
    os.kill(command.pid, end)
    command.join()
    assert command.exitcode == code
    wait_until(lambda: not any(alive(int(file.read_text())) for file in files))
    assert end == signal.SIGKILL or not list(tmp_path.glob("*.rank*"))


def wait_until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + 5 * SOON
    while not so():
        assert time.monotonic() < end
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_more_devices_than_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInput, match=r"runtime\.devices=2, and this machine has 1 GPUs"):
        starter.run(killed, tmp_path, {}, replace(TWO, accelerator="gpu"))


@pytest.mark.parametrize("devices", [0, -1, True, 1.5])
def test_devices_are_a_whole_number(devices: Any) -> None:
    with pytest.raises(InvalidInput, match=r"runtime\.devices must be a whole number >= 1"):
        replace(RUNTIME, devices=devices)
