"""An interrupted job goes on from its whole batches, and ends as one that nobody disturbed."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from goracs.llm import rows
from goracs.llm.batch import Batch, Texts
from goracs.llm.jobs import Job, in_parts
from goracs.llm.rows import Pass, fill
from goracs.types import GoracsError
from tests.conftest import RUNTIME

JOB = Job("score pool", "float32", 40, RUNTIME)
SHAPES: dict[str, tuple[int, ...]] = {"loss": (), "sketch": (3,)}


class Halt(Exception):
    """What interrupts a job."""


class Sums(pl.LightningModule):  # type: ignore[misc]
    """Predicts sums of a row's tokens; `read` keeps the rows; it halts after `ends` batches."""

    def __init__(self, ends: int | None = None, spoilt: int = -1, width: int = 3) -> None:
        super().__init__()
        self.ends, self.spoilt, self.width, self.read = ends, spoilt, width, list[int]()

    def predict_step(self, batch: Batch, place: int) -> Any:
        if place == self.ends:
            raise Halt
        self.read += batch.rows.tolist()
        loss = (batch.ids * batch.mask).sum(1).float()
        loss[batch.rows == self.spoilt] = torch.nan
        return batch.rows, {"loss": loss, "sketch": loss[:, None] * torch.arange(self.width)}


def texts(count: int = 12) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(1, 99, size).tolist()) for size in rng.integers(5, 20, count)]
    return Texts.of(prompts, [()] * count, [-1] * count, pad_id=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a job leaves that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    fill(Pass(Sums(), texts(), SHAPES, JOB, folder, "pool"))
    return contents(folder)


@pytest.fixture(params=[0.0, np.inf], ids=["kept after every batch", "kept at the end"])
def often(request: pytest.FixtureRequest) -> Job:
    return replace(JOB, runtime=replace(RUNTIME, keep_every=request.param))


@pytest.mark.parametrize("ends", [0, 1, 3])
def test_an_interrupted_job_goes_on_where_it_stopped(
    whole: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture, ends: int, often: Job
) -> None:
    caplog.set_level(logging.INFO, "goracs")
    first, second = Sums(ends), Sums()
    with pytest.raises(Halt):
        fill(Pass(first, texts(), SHAPES, often, tmp_path / "kept", "pool"))
    assert contents(tmp_path / "kept") != whole
    fill(Pass(second, texts(), SHAPES, often, tmp_path / "kept", "pool"))
    assert sorted(first.read + second.read) == list(range(12))
    assert contents(tmp_path / "kept") == whole
    said = f"score pool: going on after {len(first.read)} of 12 examples"
    assert (said in caplog.text) == (ends > 0)


def test_a_pass_is_named_by_the_json_of_what_its_batches_follow_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many lengths are written at a time: what an earlier version kept is gone on from."""
    parts = [texts().lengths.tolist(), JOB.batch_tokens, [("loss", (12,)), ("sketch", (12, 3))]]
    name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    for at_once in (5, 12, 99):
        monkeypatch.setattr(rows, "ROWS", at_once)
        assert Pass(Sums(), texts(), SHAPES, JOB, tmp_path, "pool").name == name


def test_a_finished_job_is_not_done_again(whole: dict[str, bytes], tmp_path: Path) -> None:
    fill(Pass(Sums(), texts(), SHAPES, JOB, tmp_path, "pool"))
    again = Sums()
    fill(Pass(again, texts(), SHAPES, JOB, tmp_path, "pool"))
    assert again.read == []
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("other", ["texts", "bound", "shapes", "an array is gone"])
def test_a_job_never_goes_on_from_what_another_left(tmp_path: Path, other: str) -> None:
    with pytest.raises(Halt):
        fill(Pass(Sums(2), texts(), SHAPES, JOB, tmp_path, "pool"))
    if other == "an array is gone":
        (tmp_path / "pool_loss.npy").unlink()
    width = 4 if other == "shapes" else 3
    second, asked = Sums(width=width), texts(11 if other == "texts" else 12)
    job = replace(JOB, batch_tokens=60) if other == "bound" else JOB
    fill(Pass(second, asked, {"loss": (), "sketch": (width,)}, job, tmp_path, "pool"))
    assert sorted(second.read) == list(range(len(asked)))


@pytest.mark.parametrize("name", ["pool_loss.npy", "pool_sketch.npy", "pool.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "zeros behind"])
def test_a_job_never_goes_on_from_what_was_damaged_in_silence(
    whole: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    """Whatever byte it is: the job ends with the numbers of an undisturbed one."""
    for place in (0, 5, 20, 100, -1, -9):
        folder = tmp_path / f"{place}"
        with pytest.raises(Halt):
            fill(Pass(Sums(3), texts(), SHAPES, JOB, folder, "pool"))
        kept = (folder / name).read_bytes()
        spot = place % len(kept)
        flipped = kept[:spot] + bytes([kept[spot] ^ 1]) + kept[spot + 1 :]
        zeros = kept[:spot] + bytes(len(kept) - spot)
        made = {"flipped": flipped, "cut": kept[:spot], "emptied": b"", "zeros behind": zeros}
        (folder / name).write_bytes(made[damage])
        fill(Pass(Sums(), texts(), SHAPES, JOB, folder, "pool"))
        assert {n: c for n, c in contents(folder).items() if n.endswith("npy")} == {
            n: c for n, c in whole.items() if n.endswith("npy")
        }


def test_an_array_that_is_not_what_was_written_is_told(
    whole: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(Pass(Sums(), texts(), SHAPES, JOB, tmp_path, "pool"))
    array = np.load(tmp_path / "pool_loss.npy")
    np.save(tmp_path / "pool_loss.npy", array + 1)
    fill(Pass(again := Sums(), texts(), SHAPES, JOB, tmp_path, "pool"))
    assert sorted(again.read) == list(range(12))
    assert "pool.json is not what was written: it starts anew" in caplog.text
    assert contents(tmp_path) == whole


def test_a_disk_without_room_is_told_before_anything_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file without blocks would end the process in silence, at its first page."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        fill(Pass(Sums(), texts(), SHAPES, JOB, tmp_path, "pool"))


def test_a_note_never_outlives_the_arrays_it_tells_of(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another job was killed when it had emptied the arrays and noted nothing yet."""

    def killed(file: Path, shape: Any) -> None:
        make(file, shape)
        if "sketch" in file.name:
            raise Halt

    make = rows._make
    with pytest.raises(Halt):
        fill(Pass(Sums(2), texts(), SHAPES, JOB, tmp_path, "pool"))
    with monkeypatch.context() as patch:
        patch.setattr(rows, "_make", killed)
        with pytest.raises(Halt):
            fill(Pass(Sums(), texts(), SHAPES, replace(JOB, batch_tokens=60), tmp_path, "pool"))
    fill(Pass(Sums(), texts(), SHAPES, JOB, tmp_path, "pool"))
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("begun", [1, 3, 7])
def test_a_pass_that_was_cut_into_parts_goes_on_in_one_process(
    whole: dict[str, bytes], tmp_path: Path, begun: int
) -> None:
    """As several ranks or workers had begun it; only arrays are the same then, notes tell of parts."""
    first, second = Sums(), Sums()
    one = Pass(first, texts(), SHAPES, JOB, tmp_path, "pool")
    assert rows.make(one, begun, begun) == begun
    for number in range(0, begun, 2):
        rows.write(one, number, begun)
    fill(replace(one, module=second))
    assert sorted(first.read + second.read) == list(range(12))
    assert {name: contents(tmp_path)[name] for name in whole if name.endswith("npy")} == {
        name: content for name, content in whole.items() if name.endswith("npy")
    }


def test_a_module_predicts_any_number_of_parts() -> None:
    module = Sums()
    for _ in range(sys.getrecursionlimit()):
        in_parts(module, JOB)
    read, _ = module.predict_step(texts().batch(np.arange(3)), 0)
    assert read.tolist() == [0, 1, 2]


def test_numbers_that_are_not_finite_leave_nothing_to_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match=r"The loss of pool examples is not finite for 1 of 12.*rows 5\)"):
        fill(Pass(Sums(spoilt=5), texts(), SHAPES, JOB, tmp_path / "kept", "pool"))
    assert not (tmp_path / "kept").exists()
    fill(Pass(Sums(), texts(), SHAPES, JOB, tmp_path / "kept", "target"))
    with pytest.raises(GoracsError, match="rows 5"):
        fill(Pass(Sums(spoilt=5), texts(), SHAPES, JOB, tmp_path / "kept", "pool"))
    assert {name.partition(".")[0].partition("_")[0] for name in contents(tmp_path / "kept")} == {"target"}
