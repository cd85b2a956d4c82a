"""Kernel mean matching against a general solver, enumeration and the definition of the MMD."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from goracs import SelectionProblem, select
from goracs.selection import kmm
from goracs.types import InvalidInput

ROUNDING = 1e-12


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape)


def kernel(rows: Any, others: Any, width: float) -> Any:
    return np.exp(-(np.linalg.norm(rows[:, None] - others, axis=2) ** 2) / (2 * width**2))


def mmd(pool: Any, target: Any, weights: Any, width: float) -> float:
    """By definition."""
    within = weights @ kernel(pool, pool, width) @ weights
    between = weights @ kernel(pool, target, width).mean(axis=1)
    return float(np.sqrt(within - 2 * between + kernel(target, target, width).mean()))


@pytest.mark.parametrize("budget", [1, 3, 9, 12])
def test_weights_equal_those_of_a_general_solver(budget: int) -> None:
    pool, target = normal(12, 2), normal(30, 2)[12:] + 0.5
    table, near = kernel(pool, pool, 0.9), kernel(pool, target, 0.9).mean(axis=1)
    found, moves, settled = kmm.matched(lambda row: table[row], near, np.arange(budget))
    theirs = minimize(
        lambda w: w @ table @ w - 2 * near @ w,
        np.full(12, 1 / 12),
        jac=lambda w: 2 * (table @ w - near),
        bounds=[(0, 1 / budget)] * 12,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    np.testing.assert_allclose(found, theirs.x, atol=2e-6)
    assert found.sum() == pytest.approx(1, abs=ROUNDING)
    assert settled
    assert (moves > 0) == (budget < 12)


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_the_rows_of_largest_weight_are_chosen_and_judged(memory: float) -> None:
    pool, target = normal(40, 2), normal(60, 2)[40:] * 0.5
    coreset = select(SelectionProblem(pool, target), 6, "kmm", memory=memory, bandwidth=0.7)
    table, near = kernel(pool, pool, 0.7), kernel(pool, target, 0.7).mean(axis=1)
    weights, _, _ = kmm.matched(lambda row: table[row], near, np.arange(6))
    assert coreset.indices.tolist() == np.sort(np.argsort(-weights)[:6]).tolist()
    chosen = np.isin(np.arange(40), coreset.indices) / 6
    assert coreset.report["mmd"] == pytest.approx(mmd(pool, target, chosen, 0.7))
    assert coreset.report["mmd_weighted"] == pytest.approx(mmd(pool, target, weights, 0.7), abs=1e-5)
    assert 6 <= coreset.report["weighted"] < 40


def test_no_coreset_comes_nearer_than_the_weights() -> None:
    pool, target = normal(10, 2), normal(16, 2)[10:]
    report = select(SelectionProblem(pool, target), 3, "kmm").report
    best = min(
        mmd(pool, target, np.isin(np.arange(10), rows) / 3, report["bandwidth"])
        for rows in combinations(range(10), 3)
    )
    assert report["mmd_weighted"] < best <= report["mmd"] + ROUNDING


def test_weights_that_still_move_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmm, "MOST", 1)
    report = select(SelectionProblem(normal(20, 2), normal(5, 2)), 3, "kmm").report
    assert report["warnings"] == ["the weights still moved after 1 moves."]


@pytest.mark.parametrize("features", [np.ones((6, 3)), np.zeros((6, 1)), 1e150 * normal(6, 2)])
@pytest.mark.parametrize("budget", [1, 5, 6])
def test_odd_pools_have_a_coreset(features: Any, budget: int) -> None:
    coreset = select(SelectionProblem(features, features[:1]), budget, "kmm")
    assert len(coreset.indices) == budget
    assert np.isfinite([coreset.report["mmd"], coreset.report["mmd_weighted"]]).all()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"memory": 0}, "kmm: memory must be a number > 0, in GB; got 0"),
    ({"bandwidth": 0}, "kmm: bandwidth must be a number > 0 or median, got 0"),
    ({"bandwidth": True}, "got True"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD)
def test_kmm_refuses(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(SelectionProblem(normal(6, 2), normal(2, 2)), 2, "kmm", **overrides)
    with pytest.raises(InvalidInput, match="need embeddings"):
        select(SelectionProblem(np.empty((3, 0)), np.empty((2, 0))), 2, "kmm")
