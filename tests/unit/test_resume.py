"""A training that is interrupted goes on, and ends as one that nobody disturbed, bit by bit."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goracs.llm import adapter
from goracs.llm import finetune as room
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.finetune import finetune
from goracs.llm.finetune_module import FinetuneModule
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss
from goracs.llm.resume import FILE, Keeper
from goracs.llm.settings import Finetune, Training
from goracs.types import GoracsError, InvalidInput
from tests.conftest import LORA, RUNTIME, TINY

ALWAYS = Job("finetune", "float32", 4096, replace(RUNTIME, keep_every=0))
PLAIN = Training(
    lr=1e-2,
    epochs=None,
    steps=8,
    tokens=None,
    batch_size=4,
    warmup_share=0.25,
    weight_decay=0.1,
    max_grad_norm=1.0,
)
LOOKING = Finetune(**asdict(PLAIN), patience=2, looks=4)


class Killed(BaseException):
    """What ends a training at once."""


def texts(turned: bool = False, count: int = 9) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, 6 + row).tolist()) for row in range(count)]
    return Texts.of(prompts, [()] * count, [(row + turned) % 2 for row in range(count)], pad_id=0)


def train(
    weights: Path,
    folder: Path,
    settings: Training = PLAIN,
    judging: Texts | None = None,
    job: Job = ALWAYS,
    read: Texts | None = None,
    start: int = 0,
) -> dict[str, bytes]:
    """Begin or go on with a training; what it leaves, by name."""
    made = folder / "made"
    made.mkdir(parents=True, exist_ok=True)
    model = adapter.fresh(load_model(weights, TINY), LORA, seed=start)
    finetune(
        model, AnswerLoss(300, 301), read or texts(), settings, 0, job, made, folder / "kept", 3, judging
    )
    return {str(file.relative_to(made)): file.read_bytes() for file in made.rglob("*") if file.is_file()}


def killed(
    weights: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int = 1, **changes: Any
) -> bool:
    """Kill a training once it has kept so many steps; whether it came to that."""
    keep, left = Keeper.keep, [after]

    def dying(self: Keeper) -> None:
        keep(self)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "keep", dying)
        try:
            train(weights, folder, **changes)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(
    ("settings", "judging", "steps"),
    [(PLAIN, None, 8), (LOOKING, texts(), 8), (LOOKING, texts(turned=True), 6)],
    ids=["without looks", "looks to the end", "ends early"],
)
def test_a_training_killed_after_every_step_ends_as_an_undisturbed_one(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Training,
    judging: Texts | None,
    steps: int,
) -> None:
    caplog.set_level(logging.INFO, "goracs")
    whole = train(tiny_weights, tmp_path / "whole", settings, judging)
    assert "going on" not in caplog.text
    deaths = 0
    while killed(tiny_weights, tmp_path / "killed", monkeypatch, settings=settings, judging=judging):
        deaths += 1
        assert not (tmp_path / "killed" / "made" / "adapter").exists()
    assert deaths == steps
    for done in range(1, steps + 1):
        assert f"finetune: going on after step {done} of 8" in caplog.text
    assert train(tiny_weights, tmp_path / "killed", settings, judging) == whole


def test_a_training_killed_in_the_midst_of_a_step_does_that_step_again(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights have moved, the curve has not: what was kept is of the step before."""

    def dying(self: FinetuneModule) -> float:
        if len(self.curve) == 3:
            for weight in self.model.parameters():
                weight.data.add_(1.0)
            raise Killed
        return norm(self)

    norm = FinetuneModule._gradient_norm
    whole = train(tiny_weights, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(FinetuneModule, "_gradient_norm", dying)
        with pytest.raises(Killed):
            train(tiny_weights, tmp_path / "killed")
    assert train(tiny_weights, tmp_path / "killed") == whole


@pytest.mark.parametrize("other", ["settings", "start", "texts", "looks", "versions"])
def test_a_training_never_goes_on_from_what_another_kept(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    other: str,
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "settings": {"settings": replace(PLAIN, lr=2e-2)},
        "start": {"start": 1},
        "texts": {"read": texts(count=8)},
        "looks": {"settings": LOOKING, "judging": texts(turned=True)},
        "versions": {},
    }
    whole = train(tiny_weights, tmp_path / "whole", **changes[other])
    with monkeypatch.context() as patch:
        if other == "versions":
            patch.setattr(room, "version", lambda _: "0")
        assert killed(tiny_weights, tmp_path / "killed", patch, after=5)
    assert train(tiny_weights, tmp_path / "killed", **changes[other]) == whole
    assert "is of other settings, data or versions: it starts anew" in caplog.text
    assert "going on" not in caplog.text


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "flipped"])
def test_half_a_state_is_told_and_the_training_starts_anew(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    whole = train(tiny_weights, tmp_path / "whole")
    assert killed(tiny_weights, tmp_path / "killed", monkeypatch, after=5)
    file = tmp_path / "killed" / "kept" / FILE
    kept = file.read_bytes()
    flipped = kept[:-8] + bytes([kept[-8] ^ 1]) + kept[-7:]  # of a number
    made = {"cut": kept[: len(kept) // 2], "empty": b"", "foreign": b"{}" * 99, "flipped": flipped}
    file.write_bytes(made[damage])
    assert train(tiny_weights, tmp_path / "killed") == whole
    assert f"an interrupted run kept in {file} cannot be read" in caplog.text


def test_a_state_that_was_being_written_is_not_read(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed before the rename: the one before still counts."""
    caplog.set_level(logging.INFO, "goracs")
    whole = train(tiny_weights, tmp_path / "whole")
    assert killed(tiny_weights, tmp_path / "killed", monkeypatch, after=5)
    (tmp_path / "killed" / "kept" / FILE).with_suffix(".partial").write_bytes(b"half")
    assert train(tiny_weights, tmp_path / "killed") == whole
    assert "going on after step 5 of 8" in caplog.text


def test_a_training_that_fails_leaves_nothing_to_go_on_from(tiny_weights: Path, tmp_path: Path) -> None:
    """It failed at its second step, and had kept the first."""
    with pytest.raises(GoracsError, match="diverged at step 2"):
        train(tiny_weights, tmp_path, replace(PLAIN, lr=float("inf")))
    assert not (tmp_path / "kept").exists()


def test_a_state_is_kept_no_oftener_than_asked(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = replace(ALWAYS, runtime=replace(RUNTIME, keep_every=1e9))
    assert not killed(tiny_weights, tmp_path, monkeypatch, job=seldom)
    assert not (tmp_path / "kept").exists()


def test_seconds_below_zero_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"runtime\.keep_every must be seconds >= 0, got -1"):
        replace(RUNTIME, keep_every=-1)
