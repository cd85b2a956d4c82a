"""Ranks, NDCG and hit rate against torchmetrics and fractions worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from goracs.evaluation.ranking import UNRANKED, foremost, hits, ndcg, ranking_metrics, ranks
from goracs.types import FloatArray, IndexArray, InvalidInput

ROUNDING = 1e-12  # float64 logarithms
SINGLE = 1e-6  # torchmetrics works in float32
INF = np.inf


def distinct_distances(seed: int) -> tuple[FloatArray, IndexArray]:
    rng = np.random.default_rng(seed)
    rows = np.array([rng.permutation(100) for _ in range(30)], dtype=np.float64)
    return rows, rng.integers(0, 100, 30)


@pytest.mark.parametrize(
    ("distances", "target", "rank"),
    [
        ([0.5, 0.1, 0.9], 0, 2),
        ([0.5, 0.1, 0.9], 1, 1),
        ([0.5, 0.5, 0.9], 0, 2),
        ([0.5, 0.5, 0.5], 1, 3),
        ([0.5, INF, 0.9], 2, 2),
        ([-1.0, INF, INF], 0, 1),
    ],
    ids=["second", "first", "a tie counts against", "all tied is last", "no candidate", "alone"],
)
def test_ranks_equals_counting_by_hand(distances: list[float], target: int, rank: int) -> None:
    assert ranks(np.array([distances]), np.array([target])).tolist() == [rank]


def test_the_foremost_are_the_nearest_by_name_where_they_tie_and_none_that_is_unranked() -> None:
    distances, names = np.array([0.5, 0.1, UNRANKED, 0.5, 0.9]), ["d", "x", "a", "b", "c"]
    assert foremost(distances, names, 3) == [1, 3, 0]
    assert foremost(distances, names, 9) == [1, 3, 0, 4]
    assert foremost(distances, names, 0) == []


def test_ndcg_equals_its_formula_by_hand() -> None:
    positions = np.array([1, 2, 3, 5, 6, 10, 11])
    by_hand = [1, 1 / np.log2(3), 1 / 2, 1 / np.log2(6), 1 / np.log2(7), 1 / np.log2(11), 0]
    np.testing.assert_allclose(ndcg(positions, 10), by_hand, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(ndcg(positions, 5), [*by_hand[:4], 0, 0, 0], rtol=0, atol=ROUNDING)
    assert hits(positions, 5).tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert hits(positions, 10).tolist() == [1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("k", [5, 10])
def test_ranking_metrics_equals_torchmetrics(k: int) -> None:
    import torch
    from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_normalized_dcg

    distances, target = distinct_distances(0)
    positions = ranks(distances, target)
    for distance, column, position in zip(distances, target, positions, strict=True):
        score = torch.from_numpy(-distance)
        relevant = torch.arange(100) == int(column)
        expected = float(retrieval_normalized_dcg(score, relevant.long(), top_k=k))
        assert ndcg(position, k) == pytest.approx(expected, abs=SINGLE)
        assert hits(position, k) == float(retrieval_hit_rate(score, relevant, top_k=k))


def test_ranking_metrics_equals_means_worked_by_hand() -> None:
    found = ranking_metrics(np.array([1, 3, 7, 50]), ["a", "a", "b", "c"], draws=100, seed=0)
    assert list(found) == ["ndcg@5", "ndcg@10", "hr@5", "hr@10"]
    assert found["ndcg@5"]["value"] == pytest.approx((1 + 1 / 2) / 4, abs=ROUNDING)
    assert found["ndcg@10"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 4, abs=ROUNDING)
    assert (found["hr@5"]["value"], found["hr@10"]["value"]) == (2 / 4, 3 / 4)
    assert found["hr@10"] == {"value": 0.75, "low": 0.0, "high": 1.0, "n": 4, "users": 3}


@pytest.mark.parametrize(
    ("distances", "target", "message"),
    [
        ([1.0, 2.0], [0], r"one target per row"),
        ([[1.0, 2.0]], [0, 1], r"one target per row"),
        ([[1.0, 2.0]], [2], r"a column in 0..1, got 2..2"),
        ([[1.0, 2.0]], [-1], r"a column in 0..1, got -1..-1"),
        ([[1.0, np.nan]], [0], r"NaN, or the target's is not finite, in 1 rows: \[0\]"),
        ([[1.0, INF]], [1], r"NaN, or the target's is not finite, in 1 rows: \[0\]"),
    ],
)
def test_ranks_refuses_bad_input(distances: list[list[float]], target: list[int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ranks(np.array(distances), np.array(target))


@pytest.mark.parametrize(
    ("positions", "users", "message"),
    [
        ([0, 1], ["a", "b"], r"ranks start at 1, got 0"),
        ([], [], r"at least one test sample"),
        ([1], ["a", "b"], r"one user per value, got 2 for 1"),
    ],
)
def test_ranking_metrics_refuses_bad_input(positions: list[int], users: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ranking_metrics(np.array(positions, dtype=np.int64), users, draws=5, seed=0)
