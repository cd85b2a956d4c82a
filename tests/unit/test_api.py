"""The public door: defaults from the packaged YAML, overrides by name, light to import."""

import json
import subprocess
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

import goracs
from goracs.api import build
from goracs.config import conf_dir
from goracs.types import InvalidInput

SELECTORS = sorted(path.stem for path in (conf_dir() / "selector").glob("*.yaml"))


def problem(rows: int = 20) -> goracs.SelectionProblem:
    draw = np.random.default_rng(0)
    scores = {"gradient_norm": draw.random(rows), "el2n": draw.random(rows)}
    return goracs.SelectionProblem(draw.normal(size=(rows, 3)), draw.normal(size=(6, 3)), scores=scores)


def test_import_never_loads_heavy_libraries() -> None:
    heavy = ["torch", "ot", "hydra", "omegaconf", "scipy", "polars", "transformers", "pytorch_lightning"]
    code = f"import sys, json, goracs; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_select_never_loads_torch() -> None:
    code = (
        "import sys, goracs, numpy as np; X = np.eye(4); p = goracs.SelectionProblem(X, X);"
        "goracs.select(p, 2, 'goracs', lam=0); assert 'ot' in sys.modules; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_version_equals_the_installed_one() -> None:
    from importlib.metadata import version

    assert goracs.__version__ == version("goracs")


@pytest.mark.parametrize("name", SELECTORS)
def test_conf_equals_the_fields_of_its_selector(name: str) -> None:
    node = OmegaConf.load(conf_dir() / "selector" / f"{name}.yaml")
    assert isinstance(node, type(OmegaConf.create({})))
    selector: Any = build(name, {})
    assert set(node) - {"_target_"} == {field.name for field in fields(selector)}
    assert selector.by_class is False


@pytest.mark.parametrize("name", ["goracs_paper", "goracs_released"])
def test_conf_follows_the_task_where_there_is_one(name: str) -> None:
    node = OmegaConf.load(conf_dir() / "selector" / f"{name}.yaml")
    task = {"lam": 0.2, "published_lam": 0.5, "max_exchanges": 20, "candidates": 3, "by_class": True}
    found = OmegaConf.to_container(OmegaConf.create({"task": task, "selector": node}), resolve=True)
    assert isinstance(found, dict)
    own = found["selector"]
    assert own["lam"] == task["lam" if name == "goracs" else "published_lam"]
    taken = [key for key in task if key in own and key != "lam"]
    assert {key: own[key] for key in taken} == {key: task[key] for key in taken}
    assert "by_class" in taken


PAPER: dict[str, Any] = {
    "lam": 0.1,
    "max_exchanges": 100,
    "candidates": 30,
    "by_class": False,
    "distances": "published",
}


def test_select_equals_the_packaged_defaults() -> None:
    from goracs.selection.goracs_paper import GoracsPaper

    assert build("goracs_paper", {}) == GoracsPaper(**PAPER)
    assert goracs.select(problem(), 4, "goracs").report["lam"] == 0.1


@pytest.mark.parametrize("lam", [0.5, np.float64(0.5), np.float32(0.5)])
def test_select_takes_overrides(lam: float) -> None:
    assert goracs.select(problem(), 4, "goracs_paper", lam=lam, candidates=np.int64(2)).report["lam"] == 0.5


@pytest.mark.parametrize(("budget", "rows"), [(4, 4), (0.25, 5), ("all", 20), (np.int64(3), 3)])
def test_select_takes_every_form_of_budget(budget: Any, rows: int) -> None:
    assert len(goracs.select(problem(), budget, "random").indices) == rows


def test_select_equals_full_for_all() -> None:
    assert goracs.select(problem(), "all", "full").indices.tolist() == list(range(20))


def test_select_equals_another_draw_for_another_seed() -> None:
    drawn = {tuple(goracs.select(problem(), 4, "random", seed=s).indices.tolist()) for s in (0, 0, 1)}
    assert len(drawn) == 2


BAD: list[tuple[Any, str, dict[str, Any], str]] = [
    (4, "gorax", {}, "no selector 'gorax'; the selectors: .*el2n, .*goracs, .*goracs_paper, .*random"),
    (4, "../selector/goracs", {}, "no selector '../selector/goracs'"),
    (
        4,
        "goracs_paper",
        {"lambda_": 1},
        "has no lambda_; its fields: by_class, candidates, distances, lam, max_exchanges",
    ),
    (4, "random", {"_target_": "os.getcwd"}, "has no _target_; its fields: by_class"),
    (4, "goracs", {"lam": -1}, "lam must be a number >= 0, got -1"),
    (4, "goracs", {"lam": None}, "lam must be a number >= 0, got None"),
    (4, "goracs", {"by_class": True}, "this problem has no labels"),
    (4, "random", {"by_class": "false"}, "selector.by_class must be of type bool .*, got 'false'"),
    (0, "random", {}, "budget must be a whole number >= 1"),
    (21, "random", {}, "budget 21 is larger than the pool, which has 20 rows"),
    (1.5, "random", {}, "budget must be a whole number"),
    (4, "full", {}, "whole pool of 20 rows, and the budget is 4: set budget=all"),
    (4, "random", {"seed": -1}, "seed must be a whole number >= 0, got -1"),
    (4, "random", {"seed": 0.5}, "seed must be a whole number >= 0, got 0.5"),
]


@pytest.mark.parametrize(("budget", "selector", "overrides", "message"), BAD)
def test_select_refuses(budget: Any, selector: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        goracs.select(problem(), budget, selector, **overrides)
