"""Hidden states and margins of the examples that judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from goracs.config import build, conf_dir
from goracs.pipeline import Job, Line
from goracs.stages import states
from goracs.store import Store
from goracs.types import InvalidInput
from tests.pipeline.conftest import TINY


def line(store: Store, *words: str) -> Line:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=[*TINY, "adapter.rows=8", *words])
    made: dict[str, Any] = build(config)
    return Line(Job(made, {}, "random", ""), store)


def test_states_of_validation_equal_those_of_the_score_stage(shared: Path) -> None:
    store = Store(shared / "store")
    found = line(store, "selector.lam=auto")
    place = store.get(states.stage(found.llm, found.start, "valid")).path
    scored = store.get(found.scored).path
    for name, shape in (("hidden", 2), ("margin", 1)):
        array = np.load(place / f"{name}.npy")
        assert array.dtype == np.float32
        assert array.ndim == shape
        np.testing.assert_array_equal(array, np.load(scored / f"target_{name}.npy"))
    assert json.loads((place / "prompts.json").read_text())["read"] == len(array)


def test_parts_differ_in_their_key(shared: Path) -> None:
    found = line(Store(shared / "store"))
    keys = {states.stage(found.llm, found.start, part).key for part in ("test", "valid")}
    assert len(keys) == 2


def test_states_refuse_a_task_of_texts(shared: Path) -> None:
    found = line(Store(shared / "store"), "task=seqrec")
    with pytest.raises(InvalidInput, match="head is fitted over two answers"):
        states.stage(found.llm, found.start, "test")
