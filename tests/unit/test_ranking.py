"""Ranks, NDCG and hit rate against torchmetrics and fractions worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from goracs.evaluation.ranking import (
    UNRANKED,
    foremost,
    hits,
    most_popular,
    ndcg,
    ranked_figures,
    ranking_metrics,
    ranks,
    reciprocal,
)
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
    assert foremost(distances, names, 1) == [1]
    assert foremost(np.array([0.5, 0.5]), ["b", "a"], 1) == [1]


def test_the_foremost_are_the_first_of_all_sorted_whatever_the_ties() -> None:
    rng = np.random.default_rng(0)
    for size in range(1, 30):
        distances, names = rng.integers(0, 6, size).astype(float), [f"{n:02}" for n in rng.permutation(size)]
        everything = sorted(range(size), key=lambda column: (distances[column], names[column]))
        assert all(foremost(distances, names, k) == everything[:k] for k in range(1, size + 3))


def test_coverage_and_popularity_equal_counts_by_hand() -> None:
    """Of 20 items 4 are popular, the first by name among equals; a row of one place counts as one whole."""
    catalogue = [f"i{number:02}" for number in range(20)]
    popularity = {"i19": 9, "i18": 9, "i07": 3}
    assert most_popular(popularity, catalogue) == {"i19", "i18", "i07", "i00"}
    assert len(most_popular(popularity, catalogue[:16])) == 4  # rounded up
    candidates = [catalogue[:12], ["i03", "i18"], ["i04", "i05"]]
    distances = [np.arange(12.0), np.array([2.0, 1.0]), np.array([1.0, UNRANKED])]
    found = ranked_figures(distances, candidates, ["a", "a", "b"], popularity, catalogue, draws=20, seed=0)
    assert found.ranks.tolist() == [1, 2, 1]
    assert found.first == [catalogue[:10], ["i18", "i03"], ["i04"]]
    assert found.metrics["coverage@10"] == {"value": 11 / 20, "low": None, "high": None, "n": 3, "users": 2}
    assert found.metrics["popular@10"]["value"] == pytest.approx((2 / 10 + 1 / 2 + 0) / 3, abs=ROUNDING)
    assert found.metrics["popular@10"]["low"] is not None


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
    from torchmetrics.functional.retrieval import (
        retrieval_hit_rate,
        retrieval_normalized_dcg,
        retrieval_reciprocal_rank,
    )

    distances, target = distinct_distances(0)
    positions = ranks(distances, target)
    for distance, column, position in zip(distances, target, positions, strict=True):
        score = torch.from_numpy(-distance)
        relevant = torch.arange(100) == int(column)
        expected = float(retrieval_normalized_dcg(score, relevant.long(), top_k=k))
        assert ndcg(position, k) == pytest.approx(expected, abs=SINGLE)
        assert hits(position, k) == float(retrieval_hit_rate(score, relevant, top_k=k))
        expected = float(retrieval_reciprocal_rank(score + 100, relevant, top_k=k))  # > 0 or not retrieved
        assert reciprocal(position, k) == pytest.approx(expected, abs=SINGLE)


def test_ranking_metrics_equals_means_worked_by_hand() -> None:
    found = ranking_metrics(np.array([1, 3, 7, 50]), ["a", "a", "b", "c"], draws=100, seed=0)
    assert list(found) == ["ndcg@5", "ndcg@10", "hr@5", "hr@10", "mrr@10"]
    assert found["mrr@10"]["value"] == pytest.approx((1 + 1 / 3 + 1 / 7) / 4, abs=ROUNDING)
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
