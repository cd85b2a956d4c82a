"""FDMat against its definition, worked out entry by entry, where the pool is no multiple of its classes."""

import math
from typing import Any

import numpy as np
import pytest

from goracs import select
from goracs.selection.fdmat import FdMat, squared_distances, standardised, transported
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem

CONVERGED = 1e-8  # plans that stop at a marginal error of 1e-10


def problem(count: int = 26, **changed: Any) -> SelectionProblem:
    """Rows of three classes of unequal size, in no order."""
    draw = np.random.default_rng(11)
    labels = draw.permutation(np.repeat([2, 5, 9], [count - 14, 8, 6]))
    features = draw.normal(size=(count, 4)) + labels[:, None] / 4
    fields = {"labels": labels, "target_labels": labels[:2], "target_features": features[:2]}
    return SelectionProblem(**{"features": features, **fields, **changed})


def fdmat(**changed: Any) -> FdMat:
    return FdMat(**{"power": 0.5, "regularisation": 0.25, "by_class": False, **changed})


def by_hand(features: FloatArray, labels: IndexArray, sharpness: float) -> list[float]:
    """The scores, by scaling rows and columns of exp(-cost) in turn."""
    powers = [[math.copysign((abs(x) + 1e-6) ** 0.5, x) for x in row] for row in features.tolist()]
    middle = [sum(column) / len(powers) for column in zip(*powers, strict=True)]
    points = [[(x - m) / math.hypot(*row) for x, m in zip(row, middle, strict=True)] for row in powers]
    means, takes = [], []
    for label in sorted(set(labels.tolist())):
        own = [point for point, of in zip(points, labels.tolist(), strict=True) if of == label]
        means.append([sum(column) / len(own) for column in zip(*own, strict=True)])
        takes.append(len(own))
    costs = [[math.dist(point, mean) ** 2 for mean in means] for point in points]
    plan = [[math.exp(-sharpness * cost) for cost in row] for row in costs]
    for _ in range(2000):
        sums = [sum(column) for column in zip(*plan, strict=True)]
        plan = [[p * take / s for p, take, s in zip(row, takes, sums, strict=True)] for row in plan]
        plan = [[p / sum(row) for p in row] for row in plan]
    return [
        sum((p * cost) ** 2 for p, cost in zip(shares, row, strict=True))
        for shares, row in zip(plan, costs, strict=True)
    ]


@pytest.mark.parametrize("count", [24, 25, 26])
def test_fdmat_equals_its_definition_whatever_the_classes_sizes(count: int) -> None:
    """The authors' code leaves the costs of the last N mod K rows at 0, and so keeps these first."""
    given = problem(count)
    assert given.labels is not None
    scores = by_hand(given.features, given.labels, 4.0)
    best = sorted(range(count), key=lambda row: scores[row])[:9]
    found = fdmat().select(given, 9, np.random.default_rng(0))
    assert found.indices.tolist() == sorted(best)
    assert found.report["largest_kept"] == pytest.approx(scores[best[-1]], rel=CONVERGED)
    assert found.report["warnings"] == []


def test_the_plan_shares_each_row_and_fills_each_class() -> None:
    given = problem()
    assert given.labels is not None
    costs = squared_distances(standardised(given.features, 0.5), given.labels)
    plan, error = transported(costs, given.labels, 0.25)
    np.testing.assert_allclose(plan.sum(axis=1), 1, rtol=CONVERGED)
    np.testing.assert_allclose(plan.sum(axis=0), [12, 8, 6], rtol=CONVERGED)
    assert error <= 1e-10


@pytest.mark.parametrize("regularisation", [0.02, 0.25, 3.0])
def test_the_plan_equals_pots(regularisation: float) -> None:
    from ot.bregman import sinkhorn_log

    given = problem()
    assert given.labels is not None
    costs = squared_distances(standardised(given.features, 0.5), given.labels)
    plan, _ = transported(costs, given.labels, regularisation)
    theirs = sinkhorn_log(np.ones(26), [12, 8, 6], costs, regularisation, numItermax=20_000, stopThr=1e-12)
    np.testing.assert_allclose(plan, theirs, atol=CONVERGED)


def test_points_turn_with_the_sign_of_the_features() -> None:
    """Theirs takes the root of a negative feature, which is no number; sentence embeddings have them."""
    features = problem().features
    np.testing.assert_allclose(standardised(-features, 0.5), -standardised(features, 0.5), rtol=CONVERGED)


def test_one_class_ranks_by_the_distance_to_its_mean() -> None:
    given = problem(labels=np.zeros(26, np.int64), target_labels=np.zeros(2, np.int64))
    points = standardised(given.features, 0.5)
    nearest = np.argsort(np.linalg.norm(points - points.mean(axis=0), axis=1))[:5]
    assert fdmat().select(given, 5, np.random.default_rng(0)).indices.tolist() == sorted(nearest.tolist())
    assert select(given, 5, "fdmat", by_class=True).indices.tolist() == sorted(nearest.tolist())


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_tied_rows_go_by_the_canonical_order(order: list[int]) -> None:
    line, labels = np.array([[1.0], [-1.0]])[order], np.zeros(2, np.int64)
    given = SelectionProblem(line, line, labels=labels, target_labels=labels)
    assert line[fdmat().select(given, 1, np.random.default_rng(0)).indices].tolist() == [[-1.0]]


def test_a_plan_that_does_not_converge_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goracs.selection.fdmat.STEPS", 1)
    found = fdmat().select(problem(), 5, np.random.default_rng(0))
    (said,) = found.report["warnings"]
    assert said.startswith("the transport plan did not settle in 1 steps: its marginal is off by ")
    assert found.report["marginal_error"] > 1e-10


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"power": 0}, {}, "selector fdmat: power must be a number > 0, got 0"),
    ({"regularisation": -1.0}, {}, "selector fdmat: regularisation must be a number > 0, got -1.0"),
    ({"regularisation": True}, {}, "regularisation must be a number > 0, got True"),
    ({}, {"labels": None, "target_labels": None}, "means of the classes, and these examples have no labels"),
    ({}, {"features": np.ones((26, 0)), "target_features": np.ones((2, 0))}, "at least one column"),
    ({"power": 2.0}, {"features": np.full((26, 4), 1e200)}, "to the power 2.0, .* float64 does not hold"),
    ({"power": 90.0}, {"features": np.full((26, 4), 1e-4)}, "to the power 90.0, .* does not hold"),
    ({}, {"features": np.logspace(-200, 200, 104).reshape(26, 4)}, "of such different sizes"),
    ({"regularisation": 1e-320}, {}, "squared distances / regularisation overflow float64"),
]


@pytest.mark.parametrize(("fields", "changed", "message"), BAD)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fdmat(**fields).select(problem(**changed), 3, np.random.default_rng(0))
