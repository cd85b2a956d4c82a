"""What goracs refuses, and the odd problems that it allows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.types import Coreset, InvalidInput
from tests.searches import GB, STREAM, assert_sound, problem, search

BAD: list[tuple[dict[str, Any], str]] = [
    ({"lam": -0.1}, "lam must be a number >= 0, got -0.1"),
    ({"lam": float("nan")}, "lam must be a number"),
    ({"lam": float("inf")}, "lam must be"),
    ({"lam": True}, "lam must be"),
    ({"lam": "0.1"}, "lam must be"),
    ({"start": "greedy"}, "start must be one of best, capacity, lagrangian, facility, random, got 'greedy'"),
    ({"start": None}, "start must be one of"),
    ({"effort": "all"}, "effort must be one of start, alternate, exchange"),
    ({"effort": 2}, "effort must be one of"),
    ({"max_exchanges": -1}, "max_exchanges must be null or a whole number >= 0"),
    ({"max_exchanges": 1.5}, "max_exchanges must be"),
    ({"max_exchanges": True}, "max_exchanges must be"),
    ({"max_exchanges": "3"}, "max_exchanges must be"),
    ({"seconds": -1}, "seconds must be null or a number >= 0"),
    ({"seconds": float("nan")}, "seconds must be"),
    ({"seconds": float("inf")}, "seconds must be"),
    ({"seconds": False}, "seconds must be"),
    ({"seconds": "1"}, "seconds must be"),
    ({"memory": 0}, "memory must be a number of GB > 0"),
    ({"memory": -1.0}, "memory must be"),
    ({"memory": None}, "memory must be"),
    ({"memory": float("nan")}, "memory must be"),
]


@pytest.mark.parametrize(("changed", "message"), BAD)
def test_goracs_refuses_a_parameter(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        search(problem(10, 3), 2, **changed)


@pytest.mark.parametrize("budget", [0, -1, 11, 2.5, float("nan"), "most", True])
def test_goracs_refuses_a_budget(budget: Any) -> None:
    with pytest.raises(InvalidInput, match="budget"):
        select(problem(10, 3), budget, "goracs", lam=0.1)


def test_goracs_refuses_bad_arrays() -> None:
    draw = np.random.default_rng(0)
    pool, target, norms = draw.normal(size=(10, 3)), draw.normal(size=(4, 3)), draw.random(10)
    broken = pool.copy()
    broken[3, 1] = np.inf

    def given(features: Any, targets: Any, gradients: Any) -> Callable[[], Coreset]:
        return lambda: search(SelectionProblem(features, targets, scores={"gradient_norm": gradients}), 2)

    for make, message in (
        (given(broken, target, norms), "features is not finite in 1 of 10 rows: 3"),
        (given(pool, target * np.nan, norms), "target_features is not finite"),
        (given(pool, target, norms * np.nan), "gradient_norm'.* is not finite"),
        (given(pool, target[:, :2], norms), "features have 3 columns, target_features 2"),
        (given(pool, target[0], norms), "target_features must be a matrix"),
        (given(pool, target[:0], norms), "target_features must be a matrix with at least one row"),
        (given(pool[:0], target, norms[:0]), "features must be a matrix with at least one row"),
        (given(pool, target, norms[:5]), "must have one entry for each of 10 rows"),
        (given(pool, target, -norms), "must be one number >= 0 for each pool row"),
        (given(pool, target, np.full(10, 1.7e308)), "sums of the score 'gradient_norm' overflow float64"),
        (given(pool, target, norms[:, None]), "must be one number >= 0 for each pool row"),
        (given(np.empty((10, 0)), np.empty((4, 0)), norms), "no columns"),
        (given(1e200 * pool, target, norms), "overflow float64"),
        (lambda: search(SelectionProblem(pool, target), 2), "needs the score 'gradient_norm'"),
    ):
        with pytest.raises(InvalidInput, match=message):
            make()


@pytest.mark.parametrize("memory", [GB, STREAM])
@pytest.mark.parametrize("shape", [(20, 7, 3), (20, 3, 7), (20, 11, 5), (20, 10, 6), (9, 4, 9)])
def test_a_constant_cost_has_no_gap(shape: tuple[int, int, int], memory: float) -> None:
    pool, m, n = shape
    for lam in (0.0, 0.1, 0.7, 1 / 3, 40.0):
        same = SelectionProblem(
            np.full((pool, 3), 0.1), np.full((m, 3), 0.1), scores={"gradient_norm": np.full(pool, 0.7)}
        )
        coreset = search(same, n, lam=lam, memory=memory)
        assert_sound(same, coreset, lam)
        assert coreset.report["gap"] == 0.0
        assert coreset.report["exchanges"] == 0
        assert "all embeddings are equal" in coreset.report["warnings"][0]
        apart = SelectionProblem(
            np.full((pool, 3), 0.1), np.full((m, 3), 1.7), scores={"gradient_norm": np.ones(pool)}
        )
        assert search(apart, n, lam=lam, memory=memory).report["gap"] == 0.0


def test_gradients_all_zero_equal_no_gradients() -> None:
    given = problem()
    zero = SelectionProblem(given.features, given.target_features, scores={"gradient_norm": np.zeros(150)})
    coreset = search(zero)
    assert_sound(zero, coreset, 0.3)
    assert "all gradient norms are 0" in coreset.report["warnings"][0]
    none = search(SelectionProblem(given.features, given.target_features), lam=0.0)
    np.testing.assert_array_equal(coreset.indices, none.indices)
    assert none.report["mean_gradient"] is None


@pytest.mark.parametrize("memory", [GB, STREAM])
@pytest.mark.parametrize(("m", "n"), [(12, 6), (13, 6), (4, 9), (6, 6), (5, 20)])
def test_duplicates_on_either_side_are_allowed(m: int, n: int, memory: float) -> None:
    draw = np.random.default_rng(m)
    few, norms = draw.normal(size=(5, 3)), draw.random(5)
    of = draw.integers(0, 5, 40)
    given = SelectionProblem(few[of], few[draw.integers(0, 5, m)], scores={"gradient_norm": norms[of]})
    coreset = search(given, n, effort="certify", memory=memory)
    assert_sound(given, coreset, 0.3)
    assert coreset.report["certified_local"] == "pool"


def test_a_perfect_match_costs_nothing_and_is_proven() -> None:
    for seed in range(20):
        draw = np.random.default_rng(seed)
        pool = draw.normal(size=(50, 3)) * 10.0 ** draw.integers(-9, 9)
        given = SelectionProblem(pool, pool[draw.choice(50, 9, replace=False)])
        coreset = search(given, 9, lam=0.0)
        assert (coreset.report["poo"], coreset.report["gap"]) == (0.0, 0.0)
        assert coreset.report["lower_bound"] <= 0.0


@pytest.mark.parametrize("unit", [1e-30, 1e-6, 1e30])
def test_goracs_is_unchanged_by_the_unit_of_its_embeddings(unit: float) -> None:
    given = problem()
    factor = 2.0 ** np.round(np.log2(unit))  # exact
    scaled = SelectionProblem(given.features * factor, given.target_features * factor, scores=given.scores)
    found, expected = search(scaled, memory=STREAM), search(given)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.report["lower_bound"] == expected.report["lower_bound"]


def test_exchanges_refuse_a_budget_beyond_the_memory() -> None:
    rng = np.random.default_rng(0)
    big = SelectionProblem(rng.normal(size=(5000, 1)), rng.normal(size=(2, 1)))
    with pytest.raises(
        InvalidInput, match=r"budget 4500 need 0.2 GB beside the costs, and memory is 0.1: raise"
    ):
        select(big, 4500, "goracs", lam=0.0, memory=0.1)
