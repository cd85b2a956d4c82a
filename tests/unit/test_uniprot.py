"""Greedy partial transport against a linear program, enumeration and its own laws."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from goracs import SelectionProblem, select
from goracs.ot import distance, exact
from goracs.ot.incremental import OpenTransport
from goracs.ot.pool import Dense
from goracs.search import partial
from goracs.types import InvalidInput

ROUNDING = 1e-11  # costs of order 1
SHAPES = [(12, 7, 4), (12, 4, 8), (9, 9, 3), (9, 5, 1), (9, 1, 3)]


def problem(rows: int, targets: int, seed: int = 7) -> SelectionProblem:
    draw = np.random.default_rng(seed)
    return SelectionProblem(draw.normal(size=(rows, 2)), draw.normal(size=(targets, 2)))


def between(given: SelectionProblem) -> Any:
    return np.linalg.norm(given.features[:, None] - given.target_features, axis=2)


def shipped(costs: Any, budget: int) -> tuple[float, Any]:
    """Partial transport by a linear program: every row ships 1/n, a column takes up to 1/m; and its plan."""
    k, m = costs.shape
    rows, columns = np.kron(np.eye(k), np.ones(m)), np.kron(np.ones(k), np.eye(m))
    each = np.full(k, 1 / budget)
    found = linprog(costs.ravel(), columns, np.full(m, 1 / m), rows, each, options={"presolve": False})
    return float(found.fun), found.x.reshape(k, m)


def cheapest(costs: Any, room: Any, mass: float) -> float:
    """What it costs to ship a mass to the columns that cost least, as much as each has room for."""
    cost = 0.0
    for j in np.argsort(costs):
        amount = min(mass, room[j])
        cost, mass = cost + amount * costs[j], mass - amount
    return cost


def judged(costs: Any, picked: list[int], row: int, budget: int, increments: str) -> float:
    """What a row adds, by definition."""
    value, plan = shipped(costs[picked], budget) if picked else (0.0, np.zeros((0, costs.shape[1])))
    if increments == "exact":
        return shipped(costs[[*picked, row]], budget)[0] - value
    return cheapest(costs[row], 1 / costs.shape[1] - plan.sum(axis=0), 1 / budget)


@pytest.mark.parametrize("increments", ["exact", "approximate"])
@pytest.mark.parametrize(("rows", "targets", "budget"), SHAPES)
def test_picks_equal_enumeration_however_the_pool_is_held(
    rows: int, targets: int, budget: int, increments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(rows, targets)
    costs, picked = between(given), list[int]()
    while len(picked) < budget:
        left = [row for row in range(rows) if row not in picked]
        picked.append(min(left, key=lambda row: judged(costs, picked, row, budget, increments)))
    for few, memory in ((2, 1.0), (64, 1e-9)):
        monkeypatch.setattr(partial, "FEW", few)
        coreset = select(given, budget, "uniprot", increments=increments, memory=memory)
        assert coreset.indices.tolist() == sorted(picked)
        assert coreset.report["mean_distance"] == pytest.approx(exact.solve(costs[picked]).value)
        assert coreset.report["judged"] >= budget


@pytest.mark.parametrize("increments", ["exact", "approximate"])
def test_a_row_far_away_hides_no_difference(increments: str) -> None:
    near = problem(12, 7)
    far = SelectionProblem(np.vstack([near.features, [1e12, 0]]), near.target_features)
    picks = [select(given, 4, "uniprot", increments=increments).indices.tolist() for given in (near, far)]
    assert picks[0] == picks[1]


def test_exact_increments_are_few() -> None:
    """Far fewer than greedy forms: the budget times the pool."""
    assert select(problem(300, 40), 20, "uniprot").report["judged"] < 0.15 * 20 * 300


def test_what_the_picks_add_equals_a_linear_program() -> None:
    costs = np.random.default_rng(3).integers(0, 4, (14, 6)) / 4  # ties come up often
    growing = partial.Growing(Dense(costs), 8, exact=True)
    for _ in range(8):
        growing.add()
        np.testing.assert_array_equal(growing.transport.costs[: len(growing.picked)], costs[growing.picked])
        assert growing.transport.value == pytest.approx(shipped(costs[growing.picked], 8)[0], abs=ROUNDING)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_a_row_adds_only_grows(data: st.DataObject) -> None:
    """Submodular: to fewer rows it adds no more; and as it is, it adds no less than with plans optimised."""
    m, budget = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 5))
    draw = np.random.default_rng(data.draw(st.integers(0, 999)))
    costs = draw.integers(0, 4, (budget, m)) / 4
    few = data.draw(st.integers(0, budget - 2))

    def value(places: Any) -> float:
        held = OpenTransport(np.zeros((budget, m)))
        for place in places:
            held.swap(place, costs[place])
        return held.value

    last = budget - 1
    less, more = (value([*range(some), last]) - value(range(some)) for some in (few, last))
    assert less <= more + ROUNDING
    bound = cheapest(costs[last], 1 / m - shipped(costs[:last], budget)[1].sum(axis=0), 1 / budget)
    assert more <= bound + ROUNDING


def test_picks_come_as_far_as_greedy_must() -> None:
    costs = between(problem(11, 6))
    best = min(exact.solve(costs[list(rows)]).value for rows in combinations(range(11), 4))
    got = select(problem(11, 6), 4, "uniprot").report["mean_distance"]
    assert best - ROUNDING <= got <= costs.max() - (1 - 1 / np.e) * (costs.max() - best)


@pytest.mark.parametrize("increments", ["exact", "approximate"])
def test_rows_alike_are_taken_in_order(increments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Around one validation row, all as far; the last is looked at first."""
    ring = np.array([[0.0, 1], [0, -1], [1, 0], [-1, 0], [2, 0]])
    ring = ring[np.lexsort(ring.T[::-1])]
    monkeypatch.setattr(distance, "BLOCK_BYTES", 8)
    monkeypatch.setattr(partial.Growing, "_first_bounds", lambda growing: -np.arange(growing.pool.size) / 9)
    coreset = select(SelectionProblem(ring, np.zeros((1, 2))), 2, "uniprot", increments=increments)
    assert coreset.indices.tolist() == [0, 1]


@pytest.mark.parametrize("increments", ["exact", "approximate"])
def test_rounding_picks_no_row(increments: str) -> None:
    """Of two mirrored rows before a mirrored validation set, whose sums differ by rounding, the lower."""
    heights = np.array([0.3, -0.3, 0.7, -0.7, 0.0])
    for seed in range(12):
        half = np.abs(np.random.default_rng(seed).normal(size=(2, 2)))
        given = SelectionProblem(np.vstack([half, half * [1, -1]]), np.stack([np.ones(5), heights], axis=1))
        assert select(given, 1, "uniprot", increments=increments).indices[0] >= 2


@pytest.mark.parametrize("increments", ["exact", "approximate"])
@pytest.mark.parametrize("features", [np.ones((6, 3)), np.zeros((6, 1)), 1e150 * problem(6, 1).features])
@pytest.mark.parametrize("budget", [1, 5, 6])
def test_odd_pools_have_a_coreset(features: Any, budget: int, increments: str) -> None:
    odd = SelectionProblem(features, features[:1])
    coreset = select(odd, budget, "uniprot", increments=increments)
    assert len(coreset.indices) == budget
    assert np.isfinite(coreset.report["mean_distance"])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"increments": "some"}, "increments must be one of exact, approximate, got 'some'"),
    ({"memory": 0}, "memory must be a number > 0, in GB; got 0"),
    ({"memory": True}, "got True"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD)
def test_uniprot_refuses(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(problem(6, 3), 2, "uniprot", **overrides)
    with pytest.raises(InvalidInput, match="need embeddings"):
        select(SelectionProblem(np.empty((3, 0)), np.empty((2, 0))), 2, "uniprot")
