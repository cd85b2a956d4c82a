"""Unbalanced transport against POT, and what is chosen by it."""

from typing import Any

import numpy as np
import pytest
from ot.unbalanced import sinkhorn_unbalanced

from goracs import SelectionProblem, select
from goracs.ot import distance, unbalanced
from goracs.types import InvalidInput


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape)


def costs(pool: Any, target: Any) -> Any:
    """(1 - cosine) / 2."""
    both = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (pool, target)]
    return (1 - both[0] @ both[1].T) / 2


def theirs(table: Any, entropy: float, marginal: float) -> Any:
    """[N] what each row takes, by POT."""
    n, m = table.shape
    alike = np.full(m, 1 / m), np.full(n, 1 / n)
    weights = (float("inf"), marginal)
    plan = sinkhorn_unbalanced(*alike, table.T, entropy, weights, numItermax=5000, stopThr=1e-14)
    return plan.sum(axis=0)


@pytest.mark.parametrize(("entropy", "marginal"), [(0.01, 0.0001), (0.05, 0.2), (0.1, 0.0)])
def test_shares_equal_pot_in_any_blocks(entropy: float, marginal: float) -> None:
    table = costs(normal(30, 3), normal(37, 3)[30:])
    for cuts in ([], [7, 8]):
        blocks = np.split(table, cuts)
        found, steps, settled = unbalanced.shares(blocks.copy, 7, entropy, marginal)
        np.testing.assert_allclose(np.exp(found), theirs(table, entropy, marginal), rtol=1e-9)
        assert settled
        assert steps < 200


@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_the_rows_that_take_most_are_chosen(memory: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target = normal(30, 3), normal(37, 3)[30:]
    taken = theirs(costs(pool, target), 0.01, 0.0001)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 8 * 7 * 11)
    coreset = select(SelectionProblem(pool, 3 * target), 6, "uot", memory=memory)
    best = np.argsort(-taken)[:6]
    assert coreset.indices.tolist() == sorted(best)
    assert coreset.report["share"] == pytest.approx(taken[best].sum())
    assert coreset.report["steps"] < 20
    assert coreset.report["warnings"] == []


def test_shares_of_a_small_entropy_go_to_the_nearest_rows() -> None:
    """So small that no exponential of a cost is above 0; and one that does not settle says so."""
    pool, target = normal(20, 3), normal(25, 3)[20:]
    nearest = set(costs(pool, target).argmin(axis=0).tolist())
    given = SelectionProblem(pool, target)
    small = select(given, len(nearest), "uot", entropy=1e-6, marginal=0)
    assert set(small.indices.tolist()) == nearest
    assert small.report["share"] == pytest.approx(1)
    slow = select(given, 3, "uot", entropy=1e-6, marginal=10)
    assert "shares still changed after 1000 steps" in slow.report["warnings"][0]


def test_rows_that_take_the_same_come_in_order() -> None:
    """Mirrored rows before a mirrored validation set: their sums differ by rounding."""
    half = np.abs(normal(20, 2))
    pool, heights = np.vstack([half, half * [1, -1]]), np.array([0.3, -0.3, 0.7, -0.7, 0.0])
    given = SelectionProblem(pool, np.stack([np.ones(5), heights], axis=1))
    for budget in range(1, 40, 2):
        chosen = np.isin(np.arange(40), select(given, budget, "uot").indices).reshape(2, 20)
        assert (chosen[1] >= chosen[0]).all()  # the lower one comes first


@pytest.mark.parametrize("features", [np.ones((6, 3)), np.zeros((6, 1)), 1e150 * normal(6, 2)])
@pytest.mark.parametrize("budget", [1, 5, 6])
def test_odd_pools_have_a_coreset(features: Any, budget: int) -> None:
    coreset = select(SelectionProblem(features, features[:1]), budget, "uot")
    assert len(coreset.indices) == budget
    assert 0 < coreset.report["share"] <= 1 + 1e-12
    assert [said[:24] for said in coreset.report["warnings"]] == [
        "7 rows are all zeros: th" for _ in range(int(not features.any()))
    ]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"entropy": 0}, "entropy must be a number > 0, got 0"),
    ({"entropy": float("inf")}, "got inf"),
    ({"marginal": -1}, "marginal must be a number >= 0, got -1"),
    ({"memory": True}, "memory must be of type float, got True"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD)
def test_uot_refuses(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(SelectionProblem(normal(6, 2), normal(2, 2)), 2, "uot", **overrides)
    with pytest.raises(InvalidInput, match="need embeddings"):
        select(SelectionProblem(np.empty((3, 0)), np.empty((2, 0))), 2, "uot")
