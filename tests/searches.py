"""Searches for the tests of goracs: a problem, a search of it, and every figure worked out again."""

import json
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, assess
from goracs.ot import distance, exact
from goracs.search.watch import Watch
from goracs.selection.goracs import Goracs
from goracs.types import Coreset

ROUNDING = 1e-12  # costs of order 1
GB = 1.0
STREAM = 1e-9  # GB: too little for any matrix

KEYS = {
    "transport",
    "mean_gradient",
    "poo",
    "max_distance",
    "max_gradient",
    "lam",
    "lower_bound",
    "lowest_cost",
    "gap",
    "gap_absolute",
    "optimal",
    "certified_local",
    "generated",
    "exchanges",
    "solves",
    "swaps",
    "given_up",
    "bounded",
    "nodes",
    "status",
    "reproducible",
    "warnings",
}


def method(**changed: Any) -> Goracs:
    plain: dict[str, Any] = {
        "lam": 0.3,
        "grid": (0.0, 0.1),
        "folds": 2,
        "penalty": 0.03,
        "start": "best",
        "effort": "exchange",
        "max_exchanges": None,
        "seconds": None,
        "memory": GB,
        "by_class": False,
    }
    return Goracs(**{**plain, **changed})


def problem(pool: int = 150, m: int = 31, seed: int = 0, d: int = 4) -> SelectionProblem:
    draw = np.random.default_rng([seed, pool, m])
    scores = {"gradient_norm": draw.random(pool), "loss": draw.random(pool)}
    return SelectionProblem(draw.normal(size=(pool, d)), draw.normal(size=(m, d)), scores=scores)


def search(given: SelectionProblem, budget: int = 8, watch: Watch | None = None, **changed: Any) -> Coreset:
    return method(**changed).search(given, budget, np.random.default_rng(7), watch or Watch())


def costs_of(given: SelectionProblem, lam: float) -> np.ndarray:
    """[N, m] as method.md writes it."""
    found = distance.distances(given.features, given.target_features)
    gradients = given.scores["gradient_norm"]
    return found / (found.max() or 1.0) - lam * gradients[:, None] / (gradients.max() or 1.0)


def assert_sound(given: SelectionProblem, coreset: Coreset, lam: float) -> None:
    """Every figure worked out again from the rows alone."""
    report, costs = coreset.report, costs_of(given, lam)
    assert set(report) == KEYS
    value, low = exact.solve(costs[coreset.indices]).value, costs.min()
    assert report["poo"] == pytest.approx(value, abs=ROUNDING)
    assert report["lowest_cost"] == pytest.approx(low, abs=ROUNDING)
    assert report["lower_bound"] <= value + ROUNDING
    assert report["gap_absolute"] == pytest.approx(value - report["lower_bound"], abs=ROUNDING)
    expected = (value - report["lower_bound"]) / (value - low) if value - low > ROUNDING else 0.0
    assert report["gap"] == pytest.approx(expected, abs=1e-9)
    for figure, judged in assess(given, coreset.indices, lam).items():
        if isinstance(judged, float) and figure not in ("lower_bound", "gap"):
            assert report[figure] == pytest.approx(judged, abs=ROUNDING), figure
    assert_falling(coreset)
    json.dumps([dict(report), list(coreset.trace)], allow_nan=False)


def assert_falling(coreset: Coreset) -> None:
    objectives = [step["objective"] for step in coreset.trace]
    bounds = [step["bound"] for step in coreset.trace if step["bound"] is not None]
    seconds = [step["seconds"] for step in coreset.trace]
    assert all(list(step) == ["phase", "seconds", "objective", "bound"] for step in coreset.trace)
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    assert seconds == sorted(seconds)
    assert objectives[-1] == pytest.approx(coreset.report["poo"], abs=ROUNDING)
    assert bounds[-1] == pytest.approx(coreset.report["lower_bound"], abs=ROUNDING)
    exchanges = [step["objective"] for step in coreset.trace if step["phase"] == "exchange"]
    assert len(exchanges) == coreset.report["exchanges"]
    assert all(np.diff(exchanges) < -ROUNDING / 2)  # rounding is no exchange
