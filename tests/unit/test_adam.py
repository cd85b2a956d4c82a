"""What AdamW knew at each checkpoint of a training lies beside it, under the name of each weight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from goracs.llm import adam, adapter
from goracs.llm.backbone import load_model
from tests.conftest import LORA, TINY
from tests.unit.test_early_stop import TRAINING, saved, trained


def test_the_moments_of_the_first_step_are_those_that_moved_each_weight(
    tiny_weights: Path, tmp_path: Path
) -> None:
    before = adapter.weights(adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0))
    rate = trained(tiny_weights, tmp_path / "a", TRAINING, None)[0]["lr"]
    first = tmp_path / "a" / "checkpoints" / "1"
    after, moments = saved(first), load_file(first / adam.FILE)
    moved = 0
    for name, weight in before.items():
        mean, square = moments[f"{name}/{adam.FIRST}"] / 0.1, moments[f"{name}/{adam.SECOND}"] / 0.001
        expected = weight - rate * mean / (square.sqrt() + 1e-8)
        assert after[name.replace(".default", "")].numpy() == pytest.approx(expected.numpy(), abs=1e-6)
        moved += int((expected != weight).any())
    assert moved == len(before) // 2  # lora_B alone has a gradient there


def test_one_checkpoint_is_no_course_and_keeps_no_moments(tiny_weights: Path, tmp_path: Path) -> None:
    trained(tiny_weights, tmp_path / "a", TRAINING, None, checkpoints=1)
    (only,) = (tmp_path / "a" / "checkpoints").iterdir()
    assert json.loads((only / "adapter_config.json").read_text())
    assert not (only / adam.FILE).exists()
