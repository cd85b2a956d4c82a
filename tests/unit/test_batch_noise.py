"""The measurement behind `precision` in result.json, in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import batch_noise
from goracs.llm.settings import MARGIN_NOISE

WORDS = (
    *("backbone=tiny", "dataset.size=60", "dataset.history=3", "split.valid=24", "split.test=24"),
    *("runtime.progress=false", "runtime.threads=1", "runtime.accelerator=cpu"),
)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_margins_are_asked_with_each_bound_and_move_by_rounding_alone(
    shared: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(batch_noise, "PROMPTS", 8)
    margins = batch_noise.measured([*WORDS, f"store.root={shared / 'store'}"], precision)
    assert margins.shape == (len(batch_noise.BOUNDS), 8)
    assert np.ptp(margins, axis=1).min() > 0  # the prompts differ
    assert np.ptp(margins, axis=0).max() <= MARGIN_NOISE[precision]
