"""Several ranks do what one does; one that ends in the middle ends all, with an error that names it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
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

from goracs.llm import adapter, ranks
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
    few = Texts(asked.prompts[:1], [()], [1], 0)  # fewer than ranks
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


def test_two_ranks_do_what_one_does(tiny_weights: Path, tmp_path: Path) -> None:
    inputs, found = {"weights": tiny_weights}, []
    for name, runtime in (("one", RUNTIME), ("two", TWO)):
        folder = tmp_path / f"{name}.partial"
        folder.mkdir()
        if runtime.devices == 1:
            whole_road(runtime)(folder, inputs)
        else:
            ranks.run(whole_road(runtime), folder, inputs, runtime)
        found.append(folder)
    one, two = found
    assert not list(tmp_path.glob("two.rank*"))
    for file in sorted(one.glob("*.npy")):
        np.testing.assert_allclose(np.load(two / file.name), np.load(file), rtol=SAME, err_msg=file.name)
    for tuned in ("tuned", "lonely"):
        curves = [np.array([list(row.values())[:3] for row in read(f / tuned / "curve.json")]) for f in found]
        np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
        mine, theirs = (load_file(folder / tuned / "adapter" / WEIGHTS) for folder in found)
        for name, weight in mine.items():
            torch.testing.assert_close(theirs[name], weight, rtol=1e-3, atol=1e-5)


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def refused(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        raise InvalidInput("what rank 1 found wrong")
    here().meet()


def killed(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    here().meet()


def full(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 1:
        raise OSError("No space left on device")
    here().meet()


def broken(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    if here().number == 0:
        raise ZeroDivisionError
    here().meet()


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
        ranks.run(build, tmp_path / "made.partial", {}, TWO)
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
        ranks.run(half_way, folder, inputs, TWO)
    (tmp_path / "again").touch()
    with caplog.at_level(logging.INFO, logger="goracs"):
        ranks.run(half_way, folder, inputs, TWO)
    assert "score: going on after" in caplog.text
    kept = tmp_path / "made.checkpoint"
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0).eval()
    alone = Job("score", "float32", 32, RUNTIME)
    score(model, TextLoss(), mixed_texts("left"), GRADIENTS, PLAIN, alone, tmp_path / "one", "pool")
    for name in PLAIN:
        found, whole = (np.load(place / f"pool_{name}.npy") for place in (kept, tmp_path / "one"))
        np.testing.assert_allclose(found, whole, rtol=SAME)


def endless(folder: Path, _inputs: Mapping[str, Path]) -> None:
    (folder.parent / f"{here().number}.pid").write_text(str(os.getpid()))
    time.sleep(10 * SOON)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_ranks_end_with_their_starter(tmp_path: Path, end: signal.Signals, code: int) -> None:
    starter = multiprocessing.get_context("spawn").Process(
        target=ranks.run, args=(endless, tmp_path / "made.partial", {}, TWO)
    )
    starter.start()
    files = [tmp_path / f"{number}.pid" for number in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    assert starter.pid is not None
    os.kill(starter.pid, end)
    starter.join()
    assert starter.exitcode == code
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
        ranks.run(killed, tmp_path, {}, replace(TWO, accelerator="gpu"))


@pytest.mark.parametrize("devices", [0, -1, True, 1.5])
def test_devices_are_a_whole_number(devices: Any) -> None:
    with pytest.raises(InvalidInput, match=r"runtime\.devices must be a whole number >= 1"):
        replace(RUNTIME, devices=devices)
