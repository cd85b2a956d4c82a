"""Early stopping: when it looks and ends, which adapter it keeps; looking changes nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from goracs.llm import adapter, early_stop
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.early_stop import look_steps
from goracs.llm.finetune import finetune
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss
from goracs.llm.settings import Finetune, Training
from goracs.types import GoracsError, InvalidInput
from tests.conftest import LORA, RUNTIME, TINY

TRAINING = Training(
    lr=1e-2,
    epochs=None,
    steps=12,
    tokens=None,
    batch_size=4,
    warmup_share=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
)
SETTINGS = Finetune(**asdict(TRAINING), patience=2, looks=6)
LOSS = AnswerLoss(300, 301)


@given(st.integers(1, 60), st.integers(1, 60))
def test_looks_are_evenly_spaced_and_end_with_the_last_step(total: int, looks: int) -> None:
    steps = look_steps(total, looks)
    assert len(steps) == min(total, looks)
    assert steps[-1] == total
    assert set(np.diff([0, *steps])) <= {total // min(total, looks), -(-total // min(total, looks))}


def texts(turned: bool = False, count: int = 8) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, 6 + row).tolist()) for row in range(count)]
    labels = [(row + turned) % 2 for row in range(count)]
    return Texts.of(prompts, [()] * count, labels, pad_id=0)


def trained(
    weights: Path, folder: Path, settings: Training, judging: Texts | None, checkpoints: int = 12
) -> list[dict[str, Any]]:
    """The curve; folder has the adapter, and that of every step."""
    model = adapter.fresh(load_model(weights, TINY), LORA, seed=0)
    folder.mkdir()
    job = Job("finetune", "float32", 4096, RUNTIME)
    finetune(model, LOSS, texts(), settings, 0, job, folder, folder / "kept", checkpoints, judging)
    curve: list[dict[str, Any]] = json.loads((folder / "curve.json").read_text())
    return curve


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_a_training_that_makes_validation_worse_ends_and_keeps_the_best_adapter(
    tiny_weights: Path, tmp_path: Path
) -> None:
    """Validation has the opposite answers: the first look, after two steps, is the best."""
    curve = trained(tiny_weights, tmp_path / "a", SETTINGS, texts(turned=True))
    looked = {row["step"]: row["valid_loss"] for row in curve if "valid_loss" in row}
    assert [*looked] == [2, 4, 6]
    assert min(looked, key=lambda step: looked[step]) == 2
    assert len(curve) == 6
    kept, then, last = (
        saved(tmp_path / "a" / place) for place in ("adapter", "checkpoints/2", "checkpoints/6")
    )
    assert all(torch.equal(kept[name], then[name]) for name in kept)
    assert not all(torch.equal(kept[name], last[name]) for name in kept)


def test_looking_changes_nothing_of_a_training_that_goes_to_its_end(
    tiny_weights: Path, tmp_path: Path
) -> None:
    curve = trained(tiny_weights, tmp_path / "a", SETTINGS, texts())
    plain = trained(tiny_weights, tmp_path / "b", replace(SETTINGS, patience=None), None)
    losses = [row.pop("valid_loss") for row in curve if "valid_loss" in row]
    assert curve == plain
    assert losses == sorted(losses, reverse=True)
    one, other = (saved(tmp_path / name / "adapter") for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_that_is_looked_at_is_the_mean_over_the_validation_examples(
    tiny_weights: Path, tmp_path: Path
) -> None:
    curve = trained(tiny_weights, tmp_path / "a", replace(SETTINGS, looks=1), texts(turned=True))
    model = adapter.load(load_model(tiny_weights, TINY), tmp_path / "a" / "adapter", trainable=False)
    alone = [LOSS(model, texts(turned=True).batch(np.array([row]))).losses.item() for row in range(8)]
    assert curve[-1]["valid_loss"] == pytest.approx(np.mean(alone), rel=1e-5)


def test_a_validation_loss_that_is_not_finite_ends_the_training_with_the_reason(
    tiny_weights: Path, tmp_path: Path
) -> None:
    message = (
        r"^Training diverged at the look after step 1: the loss is not finite for 8 of 8 examples of the "
        r"validation set \(row \d+: nan; .*\)\. The adapter itself is no longer finite\. "
        r"Lower finetune\.lr\.$"
    )
    with pytest.raises(GoracsError, match=message):
        trained(tiny_weights, tmp_path / "a", replace(SETTINGS, lr=float("inf"), looks=12), texts(), 0)


def test_a_smaller_loss_begins_the_patience_anew(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([5.0, 6.0, 4.0, 4.0, 7.0, 1.0])
    monkeypatch.setattr(early_stop, "example_losses", lambda *_: (None, torch.tensor([next(losses)])))
    curve = trained(tiny_weights, tmp_path / "a", SETTINGS, texts(), 0)
    assert [row["valid_loss"] for row in curve if "valid_loss" in row] == [5.0, 6.0, 4.0, 4.0, 7.0]


@pytest.mark.parametrize("changes", [{"patience": 0}, {"patience": True}, {"looks": 0}, {"looks": None}])
def test_looks_and_patience_are_whole_numbers(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=rf"finetune\.{next(iter(changes))} must be a whole number >= 1"):
        replace(SETTINGS, **changes)
