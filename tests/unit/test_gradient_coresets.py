"""CRAIG, GradMatch and Glister against plain forms of their definitions, and what they refuse."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from goracs import select
from goracs.selection.glister import led
from goracs.selection.gradmatch import pursued
from goracs.types import FloatArray, InvalidInput, SelectionProblem

N, M, K = 30, 9, 4


def problem(seed: int = 0, rows: int = N) -> SelectionProblem:
    draw = np.random.default_rng(seed)
    return SelectionProblem(
        np.empty((rows, 0)),
        np.empty((M, 0)),
        scores={"sketch": draw.normal(size=(rows, K))},
        target_scores={"sketch": draw.normal(0.5, 1, size=(M, K))},
    )


def sketches(given: SelectionProblem) -> tuple[FloatArray, FloatArray]:
    assert given.target_scores is not None
    return given.scores["sketch"], given.target_scores["sketch"]


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_craig_is_greedy_on_distances_within_the_pool(memory: float) -> None:
    """Held or formed as they are needed; within 1 - 1/e of the best by its submodular gain."""
    given = problem(rows=12)
    away = cdist(*[given.scores["sketch"]] * 2)
    picked: list[int] = []
    for _ in range(3):
        left = [row for row in range(12) if row not in picked]
        picked.append(min(left, key=lambda row: away[[*picked, row]].min(axis=0).sum()))
    found = select(given, 3, "craig", memory=memory)
    assert found.indices.tolist() == sorted(picked)
    best = min(away[list(rows)].min(axis=0).mean() for rows in combinations(range(12), 3))
    reached, most = found.report["nearest_distance"], away.max()
    assert most - reached >= (1 - 1 / np.e) * (most - best)


def test_craig_by_class_covers_each_class_by_itself() -> None:
    labels = np.arange(N) % 2
    given = replace(problem(), labels=labels, target_labels=np.arange(M) % 3 % 2)
    found = select(given, 6, "craig", by_class=True).indices
    for label in (0, 1):
        mine = np.flatnonzero(labels == label)
        part = select(problem().among(mine), int((labels[found] == label).sum()), "craig").indices
        assert found[labels[found] == label].tolist() == mine[part].tolist()


def test_each_pick_of_the_pursuit_is_most_along_what_ridge_regression_leaves() -> None:
    (rows, target), ridge = sketches(problem()), 0.3
    goal, picked = target.mean(axis=0), list[int]()
    left = goal
    for _ in range(12):  # more than columns
        free = [row for row in range(N) if row not in picked]
        picked.append(max(free, key=lambda row: rows[row] @ left))
        chosen = rows[picked]
        weights = np.linalg.solve(chosen @ chosen.T + ridge * np.eye(len(picked)), chosen @ goal)
        left = goal - chosen.T @ weights
    found, rest = pursued(rows, goal, ridge, 12)
    assert found.tolist() == picked
    np.testing.assert_allclose(rest, left, atol=1e-12)


def test_gradmatch_weighs_its_ridge_by_the_pools_mean_squared_norm() -> None:
    given = problem()
    rows, target = sketches(given)
    ridge, goal = 0.7 * (rows**2).sum(axis=1).mean(), target.mean(axis=0)
    picked, left = pursued(rows, goal, ridge, 6)
    found = select(given, 6, "gradmatch", ridge=0.7)
    assert found.indices.tolist() == sorted(picked.tolist())
    assert found.report["left"] == pytest.approx(np.linalg.norm(left))
    assert found.report["distance"] == pytest.approx(np.linalg.norm(rows[picked].mean(axis=0) - goal))
    assert found.report["target_norm"] == pytest.approx(np.linalg.norm(goal))


@pytest.mark.parametrize("step", [0.0, 1.0, 20.0])
def test_each_pick_of_glister_is_most_along_the_gradient_of_a_quadratic_model(step: float) -> None:
    """The model's loss is b s - eta s F s / 2 with the sign turned; its gradient by central differences."""
    rows, goals = sketches(problem())
    fisher, b = goals.T @ goals / M, goals.mean(axis=0)
    eta, gone, picked = step / (goals**2).sum(axis=1).mean(), np.zeros(K), list[int]()

    def loss(at: FloatArray) -> float:
        return float(b @ at + at @ fisher @ at / 2)

    for _ in range(8):
        slope = [(loss(-gone + e) - loss(-gone - e)) / 2e-3 for e in 1e-3 * np.eye(K)]
        free = [row for row in range(N) if row not in picked]
        picked.append(max(free, key=lambda row: rows[row] @ np.array(slope)))
        gone += eta * rows[picked[-1]] / 8
    found, left = led(rows, goals, step, 8)
    assert found.tolist() == picked
    np.testing.assert_allclose(left, b - fisher @ gone, atol=1e-12)
    assert select(problem(), 8, "glister", step=step).indices.tolist() == sorted(picked)


def test_glister_with_a_step_does_not_keep_what_leads_too_far() -> None:
    """Five rows all along the largest direction of validation overshoot; without a step they are kept."""
    far, other = np.array([1.0, 0.0]), np.array([0.0, 0.9])
    goals = np.array([[1.0, 0.5], [1.0, -0.5], [0.1, 0.5]])
    given = SelectionProblem(
        np.empty((10, 0)),
        np.empty((3, 0)),
        scores={"sketch": np.vstack([np.outer(np.linspace(2, 2.1, 5), far), np.outer(np.ones(5), other)])},
        target_scores={"sketch": goals},
    )
    assert select(given, 5, "glister", step=0).indices.tolist() == [0, 1, 2, 3, 4]
    assert len(set(select(given, 5, "glister", step=2.0).indices.tolist()) & {5, 6, 7, 8, 9}) >= 2


@pytest.mark.parametrize("name", ["craig", "gradmatch", "glister"])
def test_a_coreset_does_not_change_with_the_unit_of_gradients(name: str) -> None:
    given = problem()
    rows, target = sketches(given)
    other = replace(given, scores={"sketch": 2.0**40 * rows}, target_scores={"sketch": 2.0**40 * target})
    assert select(other, 7, name).indices.tolist() == select(given, 7, name).indices.tolist()


@pytest.mark.parametrize("name", ["craig", "gradmatch", "glister"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_that_are_all_equal_are_told(name: str, value: float) -> None:
    flat = {"scores": {"sketch": np.full((N, K), value)}, "target_scores": {"sketch": np.full((M, K), value)}}
    found = select(replace(problem(), **flat), 3, name)  # type: ignore[arg-type]
    assert found.indices.tolist() == [0, 1, 2]
    assert len(found.report["warnings"]) == 1


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("craig", {"scores": {}}, {}, "selector craig needs the score 'sketch'"),
    ("craig", {"scores": {"sketch": np.ones(N)}}, {}, r"'sketch' as \[rows, k\], k >= 1, got shape \(30,\)"),
    ("craig", {"scores": {"sketch": np.diag([1e200] * N)}}, {}, "score 'sketch' overflow float64: rescale"),
    ("craig", {}, {"memory": 0}, "selector craig: memory must be a number > 0, in GB; got 0"),
    ("gradmatch", {"target_scores": None}, {}, "needs the score 'sketch' of the validation set"),
    ("gradmatch", {}, {"ridge": 0.0}, "selector gradmatch: ridge must be a number > 0, got 0.0"),
    ("gradmatch", {}, {"ridge": True}, "ridge must be of type float, got True"),
    ("glister", {"target_scores": None}, {}, "selector glister needs the score 'sketch' of the validation"),
    ("glister", {}, {"step": -1.0}, "selector glister: step must be a number >= 0, got -1.0"),
    ("glister", {}, {"step": np.inf}, "step must be a finite number, got inf"),
]


@pytest.mark.parametrize(("name", "changed", "overrides", "message"), BAD)
def test_what_does_not_fit_is_refused(
    name: str, changed: dict[str, Any], overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, name, **overrides)
