"""Configured numbers and lists: whatever is none is refused with the settings, before any file is read."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from goracs.config import build, conf_dir
from goracs.types import InvalidInput

NAN, INF = float("nan"), float("inf")
SPLITS = {
    "users": (
        "split.valid",
        "split.test",
        "split.per_user",
        "split.pool_share",
        "split.seed",
        "split.ties_seed",
    ),
    "paper": ("split.valid", "split.test"),
    "leave_one_out": ("split.valid", "split.test"),
    "date": ("split.valid", "split.test"),
}
OF_DATA = (
    "history",
    "min_history",
    "core",
    "size",
    "seed",
    "title_longer_than",
    "title_max",
    "scale",
    "expected",
)
OF_TASK = ("like_threshold", "lam", "max_exchanges", "candidates")
NO_NUMBERS = [NAN, INF, -INF, "x", [1], {"a": 1}, True, -3]
WRONG = [
    *(("dataset=movielens_small", f"dataset.{name}", value) for name in OF_DATA for value in NO_NUMBERS),
    *((f"split={split}", name, value) for split in SPLITS for name in SPLITS[split] for value in NO_NUMBERS),
    *((f"task={task}", f"task.{name}", value) for task in ("ctr", "seqrec") for name in OF_TASK
      for value in NO_NUMBERS if value != -3),
    *(("dataset=movielens_small", "dataset.scale", value) for value in (
        [0, NAN], [NAN, 5], [0, INF], [5, 1], [1], [], [1, 2, 3], [1, "x"], [1, None], [True, 5], 5, "1,5",
    )),
    *((f"split={split}", f"split.{part}", value) for split in ("users", "paper", "leave_one_out")
      for part in ("valid", "test") for value in (1.0, 200.0)),  # a count or a share? as for budget
    *(("dataset=movielens_small", "dataset.expected", {"events": value}) for value in NO_NUMBERS),
    *(("dataset=prompts", f"dataset.{name}", value) for name in ("size", "seed") for value in NO_NUMBERS),
    ("dataset=movielens_small", "dataset.expected", {"evnts": 3}),
]  # fmt: skip


@cache
def composed(chosen: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=[chosen])
    days = {"split.valid": "2017-01-01", "split.test": "2018-01-01"}
    for name in map(str, OmegaConf.missing_keys(config)):
        OmegaConf.update(config, name, days.get(name, "/nowhere"))
    return OmegaConf.masked_copy(config, ["dataset", "split", "task"])


@pytest.mark.parametrize(("chosen", "key", "value"), WRONG, ids=lambda value: str(value))
def test_what_is_no_number_is_refused_by_its_name_before_anything_is_read(
    chosen: str, key: str, value: Any
) -> None:
    config = deepcopy(composed(chosen))
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    with pytest.raises(InvalidInput) as refusal:
        build(config)
    assert key.partition(".")[2] in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("scale", [None, [0.5, 5], [1, 1]])
def test_a_scale_of_two_numbers_passes(scale: Any) -> None:
    config = deepcopy(composed("dataset=movielens_small"))
    OmegaConf.update(config, "dataset.scale", scale, merge=False)
    assert build(config)["dataset"].scale == scale
