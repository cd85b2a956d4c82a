"""DEALRec, from ratings to a coreset by the influence of each row on a surrogate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import Command

SMALL = ("selector=dealrec", "until=select")


@pytest.mark.parametrize("task", ["ctr", "seqrec"])
def test_dealrec_goes_the_road(goracs: Command, store_root: Path, task: str) -> None:
    ended = goracs(f"task={task}", *SMALL)
    assert ended.code == 0, ended.text
    place = store_root / "influence" / ended.result["digests"]["influence"][:24]
    influence = np.load(place / "pool_influence.npy")
    assert influence.shape == (60,)
    assert np.isfinite(influence).all()
    assert influence.min() < influence.max()
    assert ended.result["coreset"]["budget"] == 8


def test_a_surrogate_is_trained_where_it_is_asked_for_alone(goracs: Command) -> None:
    ended = goracs("selector=kcenter", "until=select")
    assert "influence" not in ended.result["digests"]


def test_rows_without_a_history_have_no_influence(goracs: Command, tmp_path: Path) -> None:
    rows = '[{"instruction": "Will they?", "output": "Yes"}, {"instruction": "Or not?", "output": "No"}]'
    (tmp_path / "prompts.json").write_text(rows)
    words = [f"dataset.{part}={tmp_path / 'prompts.json'}" for part in ("train", "valid", "test")]
    without = ("dataset.size", "dataset.history")
    ended = goracs("dataset=prompts", *words, *SMALL, "budget=1", "adapter=init", without=without)
    assert ended.code == 1
    assert "2 of the pool's 2 rows have no item or no history" in ended.text
