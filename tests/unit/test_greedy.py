"""Greedy facility location with the released stopping rule: against a plain enumeration of every step."""

import numpy as np
import pytest

from goracs.search.greedy import greedy


def relaxed(costs: np.ndarray, rows: list[int]) -> float:
    return float(costs[rows].min(axis=0).mean())


def enumerated(costs: np.ndarray, budget: int) -> list[int]:
    """Every step tries every row, until n rows own a column; the others leave, where n rows can."""
    enough = len(set(costs.argmin(axis=0))) > budget
    rows: list[int] = []
    owners: set[int] = set()
    while len(rows) < budget or (enough and len(owners) < budget):
        others = [row for row in range(len(costs)) if row not in rows]
        rows.append(min(others, key=lambda row: relaxed(costs, [*rows, row])))
        owners = {rows[k] for k in costs[rows].argmin(axis=0)}
    return [row for row in rows if row in owners] if enough else rows


@pytest.mark.parametrize("budget", [1, 2, 5, 9])
def test_greedy_equals_enumeration(budget: int) -> None:
    for seed in range(20):
        costs = np.random.default_rng(seed).integers(0, 1 << 40, (14, 8)).astype(float)  # sums are exact
        assert greedy(costs, budget).tolist() == enumerated(costs, budget)


def test_greedy_equals_the_first_rows_where_nothing_gains() -> None:
    costs = np.array([[3.0, 3.0], [0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert greedy(costs, 4).tolist() == [1, 0, 2, 3]
    assert greedy(np.ones((4, 3)), 3).tolist() == [0, 1, 2]


def test_greedy_never_repeats_a_row_and_ends_under_ties() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        costs = rng.integers(0, 3, (9, 6)).astype(float)
        for budget in range(1, 10):
            rows = greedy(costs, budget)
            assert len(set(rows.tolist())) == budget


def test_greedy_replaces_a_row_that_owns_no_column() -> None:
    middling, left, right = [1.5, 1.5, 1.5, 1.5], [0.0, 0.0, 9.0, 9.0], [9.0, 9.0, 0.0, 0.0]
    last, second = [9.0, 9.0, 9.0, -0.1], [9.0, -0.1, 9.0, 9.0]
    costs = np.array([middling, left, right, last, second])
    assert greedy(costs, 2).tolist() == [0, 1]
    assert greedy(costs, 3).tolist() == [1, 2, 3]  # `middling` comes first and goes when `right` comes
    assert greedy(costs, 4).tolist() == [0, 1, 2, 3]  # here only four rows are nearest to anything


def test_greedy_keeps_its_input() -> None:
    costs = np.random.default_rng(0).random((6, 4))
    before = costs.copy()
    greedy(costs, 3)
    np.testing.assert_array_equal(costs, before)
