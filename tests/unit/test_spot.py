"""Free-weight transport: greedy facility location against enumeration, and against GORACS' own start."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.ot.pool import Streamed
from goracs.types import FloatArray, IndexArray, InvalidInput
from tests.unit.test_starts import plain_facility

ROUNDING = 1e-12


def problem(rows: int = 30, targets: int = 20) -> SelectionProblem:
    draw = np.random.default_rng(7)
    return SelectionProblem(draw.normal(size=(rows, 3)), draw.normal(size=(targets, 3)))


def between(given: SelectionProblem) -> np.ndarray:
    found: np.ndarray = np.linalg.norm(given.features[:, None] - given.target_features, axis=2)
    return found


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("budget", [1, 4, 9])
def test_spot_equals_enumeration_however_the_pool_is_held(budget: int, memory: float) -> None:
    given = problem()
    coreset = select(given, budget, "spot", memory=memory)
    assert coreset.indices.tolist() == sorted(plain_facility(between(given), budget))
    found = between(given)[coreset.indices]
    assert coreset.report["nearest_distance"] == pytest.approx(found.min(axis=0).mean(), abs=ROUNDING)
    assert coreset.report["serving"] == len(set(found.argmin(axis=0)))


@pytest.mark.parametrize("budget", [3, 25])
def test_spot_is_the_start_of_goracs_without_gradients(budget: int) -> None:
    start = select(problem(), budget, "goracs", lam=0.0, start="facility", effort="start")
    assert select(problem(), budget, "spot").indices.tolist() == start.indices.tolist()


def test_spot_is_within_the_bound_of_greedy() -> None:
    """Below the largest distance it comes at least 1 - 1/e as far as any four rows can."""
    found = between(problem(rows=12))
    best = min(found[list(rows)].min(axis=0).mean() for rows in combinations(range(12), 4))
    most = found.max()
    got = select(problem(rows=12), 4, "spot").report["nearest_distance"]
    assert best - ROUNDING <= got <= most - (1 - 1 / np.e) * (most - best)


@pytest.mark.parametrize("name", ["spot", "craig"])
def test_the_distances_of_all_chosen_rows_are_never_held_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `memory` allows is kept to: more chosen rows than are looked at together."""
    asked, rows = list[int](), Streamed.rows

    def counted(pool: Streamed, which: IndexArray) -> FloatArray:
        asked.append(len(which))
        return rows(pool, which)

    monkeypatch.setattr(Streamed, "rows", counted)
    given = problem()
    given = replace(given, scores={"sketch": given.features})
    select(given, 28, name, memory=1e-9)
    assert 0 < max(asked) < 28


def test_rows_that_serve_nobody_are_counted() -> None:
    coreset = select(problem(targets=5), 8, "spot")
    assert coreset.report["serving"] == 5
    assert "5 of the 8 rows are nearest to some validation row" in coreset.report["warnings"][0]


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"memory": 0}, "memory must be a number > 0, in GB; got 0"),
    ({}, {"memory": True}, "got True"),
    ({"features": np.full((30, 3), 1e200)}, {}, "distances overflow float64"),
    ({"features": np.empty((30, 0)), "target_features": np.empty((20, 0))}, {}, "need embeddings"),
]


@pytest.mark.parametrize(("changed", "overrides", "message"), BAD)
def test_spot_refuses(changed: Any, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, "spot", **overrides)
