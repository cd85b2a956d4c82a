"""Transport that is spread out against a linear program, and how rows are drawn from it."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from goracs import SelectionProblem, select
from goracs.ot import distance
from goracs.selection.tsds import Tsds, densities, drawn, spread_out
from goracs.types import InvalidInput

ROUNDING = 1e-9  # of a linear program


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape)


def optimum(away: Any, density: Any, alpha: float, unit: float) -> Any:
    """The plan [m, N] by a linear program with t, the largest share, as its last variable."""
    m, n = away.shape
    caps = np.hstack([np.eye(m * n), -1 / (m * density).reshape(-1, 1)])
    rows = np.hstack([np.kron(np.eye(m), np.ones(n)), np.zeros((m, 1))])
    cost = np.append(alpha / unit * away.ravel(), 1 - alpha)
    found = linprog(cost, caps, np.zeros(m * n), rows, np.full(m, 1 / m))
    return found.x[:-1].reshape(m, n)


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_the_plan_equals_a_linear_program(alpha: float) -> None:
    """With densities of every pair of its own, so that no row has as much room as another."""
    away, draw = distance.distances(normal(4, 2), normal(30, 2)[10:]), np.random.default_rng(1)
    density = 1 + draw.random((4, 20))
    order = np.argsort(away, axis=1)
    near, thick = (np.take_along_axis(table, order, 1) for table in (away, density))
    found = np.empty((4, 20))
    np.put_along_axis(found, order, spread_out(near, thick, alpha, 1.5), 1)
    np.testing.assert_allclose(found, optimum(away, density, alpha, 1.5), atol=ROUNDING)


def test_without_a_price_for_distance_all_neighbours_are_filled() -> None:
    away = np.sort(np.random.default_rng(0).random((3, 5)), axis=1)
    np.testing.assert_allclose(spread_out(away, np.ones((3, 5)), 0.0, 1.0), 1 / 15)
    np.testing.assert_allclose(spread_out(away, np.ones((3, 5)), 1.0, 1.0)[:, 0], 1 / 3)
    np.testing.assert_allclose(spread_out(away[:, :1], np.ones((3, 1)), 0.5, 1.0), 1 / 3)


def test_densities_equal_their_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    points = normal(40, 3) + 50
    expected = np.maximum(0, 1 - (distance.distances(points, points) / 1.7) ** 2).sum(axis=1)
    np.testing.assert_allclose(densities(points, 1.7), expected, rtol=1e-12)
    far = np.array([0.0, 0.5, 1e9, 1e9 + 0.5])[:, None]  # squares of it leave no digit to what is near
    np.testing.assert_allclose(densities(far, 1.0), 1.75, rtol=1e-12)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 8 * 40 * 7)
    np.testing.assert_allclose(densities(points, 1.7), expected, rtol=1e-12)


def test_duplicates_share_what_one_row_would_have() -> None:
    """Of a row there twice and one there once, as far from validation, the former get half as often."""
    line, rng = (
        SelectionProblem(np.array([[1.0], [1], [-1], [50]]), np.zeros((1, 1))),
        np.random.default_rng(0),
    )
    for sigma, expected in ((0.75, [1 / 4, 1 / 4, 1 / 2, 0]), (0, [1 / 3, 1 / 3, 1 / 3, 0])):
        method, counts = Tsds(0.5, 5.0, sigma, 9, by_class=False), np.zeros(4)
        for _ in range(1000):
            counts[method.select(line, 1, rng).indices] += 1
        np.testing.assert_allclose(counts / 1000, expected, atol=0.08)  # 5 standard deviations


def test_rows_are_drawn_in_proportion() -> None:
    chances, counts = np.array([0.0, 0.1, 0.3, 0.6]), np.zeros(4)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        counts[drawn(chances, 1, rng)] += 1
    assert counts[0] == 0
    np.testing.assert_allclose(counts / 2000, chances, atol=0.06)
    assert sorted(drawn(chances, 3, rng).tolist()) == [1, 2, 3]
    assert sorted(drawn(chances, 4, rng).tolist()) == [0, 1, 2, 3]


def test_the_report_says_how_far_validation_reaches() -> None:
    given = SelectionProblem(normal(60, 2), normal(5, 2))
    wide, narrow = (select(given, 4, "tsds", alpha=alpha, unit=1.0).report for alpha in (0.1, 0.9))
    assert wide["reached"] > narrow["reached"]
    assert wide["mean_reach"] > narrow["mean_reach"] >= 1
    assert wide["mean_distance"] > narrow["mean_distance"]
    nearest = distance.distances(given.features, given.target_features).min(axis=0).mean()
    alone = select(given, 9, "tsds", alpha=1.0)
    assert alone.report["mean_distance"] == pytest.approx(nearest)
    assert "only 5 rows take mass from validation: the other 4" in alone.report["warnings"][0]
    assert select(given, 4, "tsds", alpha=0.0, sigma=0, neighbours=7).report["mean_reach"] == 7


@pytest.mark.parametrize("features", [np.ones((6, 3)), np.zeros((6, 1)), 1e150 * normal(6, 2)])
@pytest.mark.parametrize("budget", [1, 5, 6])
def test_odd_pools_have_a_coreset(features: Any, budget: int) -> None:
    coreset = select(SelectionProblem(features, features[:1]), budget, "tsds")
    assert len(coreset.indices) == budget
    assert np.isfinite(coreset.report["mean_distance"])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"alpha": 1.5}, r"alpha must be a number in 0\.\.1, got 1\.5"),
    ({"alpha": -0.5}, r"alpha must be a number in 0\.\.1, got -0\.5"),
    ({"alpha": True}, "got True"),
    ({"unit": 0}, "unit must be a number > 0, got 0"),
    ({"sigma": float("nan")}, "sigma must be a finite number, got nan"),
    ({"sigma": float("inf")}, "got inf"),
    ({"neighbours": 0}, "neighbours must be a whole number >= 1, got 0"),
    ({"neighbours": 2.5}, "got 2.5"),
    ({"neighbours": True}, "got True"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD)
def test_tsds_refuses(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(SelectionProblem(normal(6, 2), normal(2, 2)), 2, "tsds", **overrides)
