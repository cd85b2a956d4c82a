"""k-medoids against brute force: no exchange helps, and the optimum where there are few coresets."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from goracs import Coreset, SelectionProblem, select
from goracs.ot import distance
from goracs.ot.distance import distances
from goracs.types import InvalidInput

ROUNDING = 1e-12  # sums of some dozens of distances of order 1
STREAM = 1e-9  # GB: no pool is held


def problem(rows: int, seed: int, width: int = 2) -> SelectionProblem:
    points = np.random.default_rng([seed, rows]).normal(size=(rows, width))
    return SelectionProblem(points, points[:1])


def chosen(given: SelectionProblem, budget: int, **asked: Any) -> Coreset:
    return select(given, budget, "kmedoids", **asked)


def worth(given: SelectionProblem, rows: Any) -> float:
    return float(distances(given.features, given.features[list(rows)]).min(axis=1).mean())


@pytest.mark.parametrize("memory", [1.0, STREAM])
def test_no_single_exchange_helps(memory: float) -> None:
    swaps = 0
    for seed in range(6):
        given = problem(30, seed)
        coreset = chosen(given, 5, memory=memory)
        value = worth(given, coreset.indices)
        assert coreset.report["mean_distance"] == pytest.approx(value, abs=ROUNDING)
        for gone in coreset.indices:
            for come in np.setdiff1d(np.arange(30), coreset.indices):
                assert worth(given, [come, *np.setdiff1d(coreset.indices, gone)]) >= value - ROUNDING
        swaps += coreset.report["swaps"]
    assert swaps > 5  # greedy alone would not do


def test_few_rows_equal_the_optimum_of_brute_force_nearly_always() -> None:
    found = []
    for seed in range(20):
        given = problem(11, seed)
        best = min(worth(given, rows) for rows in combinations(range(11), 3))
        found.append(worth(given, chosen(given, 3).indices) / best)
    assert min(found) >= 1 - ROUNDING
    assert sum(ratio < 1 + ROUNDING for ratio in found) >= 16
    assert max(found) < 1.1


def test_one_row_equals_the_best_one() -> None:
    for seed in range(5):
        given = problem(15, seed)
        assert chosen(given, 1).indices[0] == distances(given.features, given.features).sum(axis=0).argmin()


def test_neither_memory_nor_blocks_move_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(200, 3, width=5)
    whole = chosen(given, 17)
    assert whole.report["swaps"] > 0
    monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * 200 * 7)
    for memory in (1.0, STREAM):
        again = chosen(given, 17, memory=memory)
        np.testing.assert_array_equal(again.indices, whole.indices)
        assert again.report == whole.report


def test_more_medoids_than_points_keep_rows_distinct() -> None:
    points = np.repeat(np.arange(3.0), 4)[:, None]
    coreset = chosen(SelectionProblem(points, points[:1]), 7)
    assert len(set(coreset.indices.tolist())) == 7
    assert coreset.report["mean_distance"] == 0
    assert set(points[coreset.indices, 0]) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("memory", [0, -1.0, True, None, float("nan")])
def test_a_memory_that_is_no_number_is_refused(memory: Any) -> None:
    with pytest.raises(
        InvalidInput,
        match=r"memory must be (a number > 0, in GB|a finite number|of type float)",
    ):
        chosen(problem(5, 0), 2, memory=memory)
