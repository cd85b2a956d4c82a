"""Rows picked one after another toward validation: gradient_matching and mmd, against enumeration."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from goracs import SelectionProblem, select
from goracs.ot import distance
from goracs.ot.part import whole
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import toward_mean
from goracs.selection import mmd
from goracs.types import InvalidInput

ROUNDING = 1e-12  # of sums of some dozens of terms of order 1, in another order
Figure = Callable[[np.ndarray], float]


def problem(rows: int = 25, targets: int = 7, width: int = 3) -> SelectionProblem:
    draw = np.random.default_rng(5)
    pool, target = draw.normal(size=(rows, width)), 0.3 + 0.5 * draw.normal(size=(targets, width))
    return SelectionProblem(pool, target, scores={"sketch": pool}, target_scores={"sketch": target})


def distance_of_means(pool: np.ndarray, target: np.ndarray) -> Figure:
    return lambda rows: float(np.linalg.norm(pool[rows].mean(axis=0) - target.mean(axis=0)))


def gaussian_mmd(pool: np.ndarray, target: np.ndarray, width: float) -> Figure:
    """Squared; by scikit-learn's kernel, every pair formed."""
    gamma = 0.5 / width**2

    def figure(rows: np.ndarray) -> float:
        own, cross = rbf_kernel(pool[rows], gamma=gamma), rbf_kernel(pool[rows], target, gamma=gamma)
        return float(own.mean() - 2 * cross.mean() + rbf_kernel(target, gamma=gamma).mean())

    return figure


def greedy(figure: Figure, pool: int, budget: int) -> list[int]:
    """Every row tried at every pick."""
    picked: list[int] = []
    while len(picked) < budget:
        left = [row for row in range(pool) if row not in picked]
        picked.append(min(left, key=lambda row: figure(np.array([*picked, row]))))
    return picked


entries = st.integers(-3, 3)


@given(
    rows=st.lists(st.tuples(entries, entries), min_size=1, max_size=8),
    goal=st.tuples(entries, entries),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_each_row_toward_a_mean_is_the_best_of_those_left(
    rows: list[tuple[int, int]], goal: tuple[int, int], data: st.DataObject
) -> None:
    """Exactly, ties to the smaller index: on whole numbers the norm of a sum is exact."""
    table, budget = np.array(rows, float), data.draw(st.integers(1, len(rows)))

    def figure(picked: np.ndarray) -> float:
        return float(((table[picked].sum(axis=0) - len(picked) * np.array(goal)) ** 2).sum())

    assert toward_mean(whole(table), np.array(goal, float), budget).tolist() == greedy(
        figure, len(rows), budget
    )


@pytest.mark.parametrize("budget", [1, 2, 9, 25])
def test_gradient_matching_equals_enumeration(budget: int) -> None:
    given = problem()
    figure = distance_of_means(given.scores["sketch"], given.target_features)
    coreset = select(given, budget, "gradient_matching")
    assert coreset.indices.tolist() == sorted(greedy(figure, 25, budget))
    assert coreset.report["distance"] == pytest.approx(figure(coreset.indices), abs=ROUNDING)
    assert coreset.report["distance_of_pool"] == pytest.approx(figure(np.arange(25)), abs=ROUNDING)
    assert coreset.report["target_norm"] == pytest.approx(np.linalg.norm(given.target_features.mean(axis=0)))


def test_gradient_matching_comes_nearer_than_random_and_than_the_pool() -> None:
    given = problem()
    figure = distance_of_means(given.features, given.target_features)
    found = select(given, 9, "gradient_matching").report["distance"]
    drawn = [figure(select(given, 9, "random", seed=seed).indices) for seed in range(20)]
    assert found < min(drawn)
    assert found < 0.3 * figure(np.arange(25))


@pytest.mark.parametrize("budget", [1, 2, 9, 25])
@pytest.mark.parametrize("bandwidth", [0.3, 2.0])
def test_gaussian_herding_equals_enumeration(budget: int, bandwidth: float) -> None:
    given = problem()
    figure = gaussian_mmd(given.features, given.target_features, bandwidth)
    coreset = select(given, budget, "mmd", bandwidth=bandwidth)
    assert coreset.indices.tolist() == sorted(greedy(figure, 25, budget))
    assert coreset.report["mmd"] ** 2 == pytest.approx(figure(coreset.indices), abs=ROUNDING)
    assert coreset.report["bandwidth"] == bandwidth


def test_linear_herding_matches_the_means() -> None:
    given = problem()
    coreset = select(given, 9, "mmd", kernel="linear")
    assert coreset.indices.tolist() == select(given, 9, "gradient_matching").indices.tolist()
    figure = distance_of_means(given.features, given.target_features)
    assert coreset.report["mmd"] == pytest.approx(figure(coreset.indices), abs=ROUNDING)


def test_a_target_among_the_pool_is_herded_to_an_mmd_of_zero() -> None:
    target = np.random.default_rng(2).normal(size=(6, 2))
    given = SelectionProblem(np.concatenate([target + 5, target, target - 5]), target)
    coreset = select(given, 6, "mmd", bandwidth=0.5)
    assert coreset.indices.tolist() == list(range(6, 12))
    assert coreset.report["mmd"] == pytest.approx(0, abs=1e-7)  # the root of a rounding


def test_median_bandwidth_is_that_of_the_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    between = np.linalg.norm(given.features[:, None] - given.target_features, axis=2)
    assert select(given, 3, "mmd").report["bandwidth"] == pytest.approx(np.median(between), abs=ROUNDING)
    monkeypatch.setattr(mmd, "MOST", 70)  # of 175: every third row in canonical order
    some = between[canonical_order(given)[::3]]
    assert select(given, 3, "mmd").report["bandwidth"] == pytest.approx(np.median(some), abs=ROUNDING)


def test_a_median_of_zero_counts_as_one_and_is_told() -> None:
    flat = SelectionProblem(np.ones((5, 2)), np.ones((3, 2)))
    coreset = select(flat, 2, "mmd")
    assert coreset.report["bandwidth"] == 1
    assert "the median distance is 0 and counts as 1" in coreset.report["warnings"][0]


def test_the_mean_kernel_is_unchanged_by_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    at_once = mmd.mean_kernel(given.features, given.target_features, 1.0)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 200)
    np.testing.assert_array_equal(mmd.mean_kernel(given.features, given.target_features, 1.0), at_once)


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("gradient_matching", {"scores": {}}, {}, "selector gradient_matching needs the score 'sketch'"),
    ("gradient_matching", {"target_scores": None}, {}, "the score 'sketch' of the validation set"),
    ("mmd", {}, {"bandwidth": 0}, "bandwidth must be a number > 0 or median, got 0"),
    ("mmd", {}, {"bandwidth": True}, "got True"),
    ("mmd", {}, {"bandwidth": "mean"}, "got 'mean'"),
    ("mmd", {}, {"kernel": "cubic"}, "kernel must be one of gaussian, linear, got 'cubic'"),
    (
        "mmd",
        {"features": np.full((25, 3), 1e200)},
        {},
        "embeddings lie too far apart for float64: rescale them",
    ),
    ("mmd", {"features": np.empty((25, 0)), "target_features": np.empty((7, 0))}, {}, "need embeddings"),
]


@pytest.mark.parametrize(("name", "changed", "overrides", "message"), BAD)
def test_herding_refuses(name: str, changed: Any, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, name, **overrides)
