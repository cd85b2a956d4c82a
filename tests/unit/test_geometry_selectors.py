"""Selection by geometry against definitions written out, and on odd pools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans as KMeansOfScikitLearn

from goracs.ot import distance
from goracs.ot.part import whole
from goracs.selection import facility_location
from goracs.selection.d2 import D2
from goracs.selection.doubly_greedy import DoublyGreedy
from goracs.selection.facility_location import FacilityLocation
from goracs.selection.herding import Herding
from goracs.selection.kmeans import KMeans, lloyd, seeds
from goracs.selection.moderate import Moderate
from goracs.selection.round_robin import RoundRobin
from goracs.types import Coreset, InvalidInput, SelectionProblem

ROUNDING = 1e-12  # the same sums in another order
quick = settings(max_examples=30, deadline=None)


def run(selector: Any, features: Any, budget: int, seed: int = 0, **given: Any) -> Coreset:
    target = given.pop("target", features[:3])
    problem = SelectionProblem(np.asarray(features), np.asarray(target), **given)
    found: Coreset = selector.select(problem, budget, np.random.default_rng(seed))
    return found


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape)


def test_herding_equals_its_definition_written_out() -> None:
    features = normal(30, 4) + 7
    picked: list[int] = []
    while len(picked) < 9:
        aim = (len(picked) + 1) * features.mean(axis=0) - features[picked].sum(axis=0)
        left = [row for row in range(30) if row not in picked]
        picked.append(min(left, key=lambda row: float(np.linalg.norm(aim - features[row]))))
    coreset = run(Herding(by_class=False), features, 9)
    assert coreset.indices.tolist() == sorted(picked)
    off = np.linalg.norm(features[picked].mean(axis=0) - features.mean(axis=0))
    assert coreset.report["mean_error"] == pytest.approx(off, abs=ROUNDING)


def test_herding_of_all_rows_has_their_mean() -> None:
    assert run(Herding(by_class=False), normal(20, 3), 20).report["mean_error"] < ROUNDING


def test_moderate_measures_from_the_median_of_its_class() -> None:
    """Two classes 100 apart: without labels the row at 0 would be far from everybody's median."""
    line = np.array([[-2.0], [-1], [0], [1], [2], [103], [104], [107], [108], [110]])
    labels = np.repeat([4, 9], 5)  # medians 0 and 107: distances 2 1 0 1 2 | 4 3 0 1 3
    coreset = run(Moderate(by_class=False), line, 4, labels=labels, target_labels=labels[:3])
    assert line[coreset.indices, 0].tolist() == [-2, 1, 2, 108]
    kept = [coreset.report[key] for key in ("smallest_kept", "largest_kept", "median_distance")]
    assert kept == [1, 2, 1.5]
    whole = run(Moderate(by_class=False), line, 4)  # median 52.5
    assert line[whole.indices, 0].tolist() == [-2, -1, 0, 104]


def cosines(features: Any) -> Any:
    """s = .5 + .5 cos; rows of zeros are alike and at right angles to all others."""
    size = np.linalg.norm(features.astype(float), axis=1)
    units = features / np.where(size > 0, size, 1)[:, None]
    return 0.5 + 0.5 * (units @ units.T + np.outer(size == 0, size == 0))


def gains(similarity: Any, picked: list[int]) -> Any:
    """What each row would add to sum_i max_j s_ij."""
    best = similarity[:, picked].max(axis=1, initial=0)
    return np.maximum(similarity - best[:, None], 0).sum(axis=0)


def greedy(similarity: Any, budget: int) -> list[int]:
    """Always the row of largest gain, with every similarity there."""
    picked: list[int] = []
    for _ in range(budget):
        gain = gains(similarity, picked)
        gain[picked] = -1
        picked.append(int(gain.argmax()))
    return picked


def is_greedy(similarity: Any, left: set[int], picked: list[int]) -> bool:
    """Whether the rows left can follow in some order, each of largest gain up to rounding in its turn."""
    gain = gains(similarity, picked)
    next_ = [row for row in left if gain[row] >= gain.max() - 1e-9]
    return not left or any(is_greedy(similarity, left - {row}, [*picked, row]) for row in next_)


def test_facility_location_equals_greedy_on_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    features = normal(200, 6)
    features = features[np.lexsort(features.T[::-1])]
    expected = greedy(cosines(features), 40)
    coreset = run(FacilityLocation(by_class=False), features, 40)
    assert coreset.indices.tolist() == sorted(expected)
    similarity = cosines(features)[:, expected].max(axis=1).mean()
    assert coreset.report["similarity"] == pytest.approx(similarity, rel=ROUNDING)
    assert coreset.report["gains"] < 0.25 * 40 * 200  # of those that greedy forms
    monkeypatch.setattr(distance, "BLOCK_BYTES", 8 * 200 * 3)
    assert run(FacilityLocation(by_class=False), features, 40).report == coreset.report


@given(features=arrays(np.float32, (7, 2), elements=st.integers(-2, 2).map(float)), budget=st.integers(1, 7))
@quick
def test_facility_location_is_a_greedy_choice_among_ties(features: Any, budget: int) -> None:
    coreset = run(FacilityLocation(by_class=False), features, budget)
    assert is_greedy(cosines(features), set(coreset.indices.tolist()), [])
    covered = cosines(features)[:, coreset.indices].max(axis=1).mean()
    assert coreset.report["similarity"] == pytest.approx(covered, abs=ROUNDING)


def test_facility_location_never_moves_by_the_rounding_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that are off by rounding, as by other threads, lead to the same rows among ties."""
    corners = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]) @ normal(3, 3)
    features = np.concatenate([corners, 2 * corners, corners / 3])
    exact = run(FacilityLocation(by_class=False), features, 5).indices.tolist()
    product, noise = facility_location._Cover._product, np.random.default_rng(0)

    def disturbed(cover: Any, rows: Any) -> Any:
        table = product(cover, rows)
        return table + noise.normal(size=table.shape) * 2e-16

    monkeypatch.setattr(facility_location._Cover, "_product", disturbed)
    for _ in range(10):
        assert run(FacilityLocation(by_class=False), features, 5).indices.tolist() == exact


def test_facility_location_fills_up_where_nothing_gains() -> None:
    coreset = run(FacilityLocation(by_class=False), np.ones((5, 2)), 4)
    assert coreset.indices.tolist() == [0, 1, 2, 3]
    assert "3 rows add nothing" in coreset.report["warnings"][0]


def test_facility_location_covers_rows_of_zeros_and_huge_ones() -> None:
    coreset = run(FacilityLocation(by_class=False), [[0.0, 0], [1e300, 1e300], [0, 0], [1e-300, 1e-300]], 2)
    assert coreset.report["similarity"] == pytest.approx(1)
    assert "2 pool rows are all zeros" in coreset.report["warnings"][0]


def test_round_robin_gives_every_target_as_many_rows() -> None:
    """Two groups of targets, far apart, 3 and 1 of them: of 8 rows they take 6 and 2."""
    features = np.concatenate([normal(20, 2), normal(20, 2) + 100])
    target = np.array([[0.0, 0], [1, 0], [0, 1], [100, 100]])
    coreset = run(RoundRobin(by_class=False), features, 8, target=target)
    assert [int((coreset.indices < 20).sum()), int((coreset.indices >= 20).sum())] == [6, 2]
    assert coreset.report["served"] == 4
    nearest_two = np.argsort(np.linalg.norm(features - 100, axis=1))[:2]
    assert set(nearest_two.tolist()) <= set(coreset.indices.tolist())


def test_round_robin_draws_who_has_a_turn() -> None:
    features = normal(30, 2)
    found = {
        tuple(run(RoundRobin(by_class=False), features, 2, seed, target=features).indices.tolist())
        for seed in range(10)
    }
    assert len(found) > 5
    one = run(RoundRobin(by_class=False), features, 2, target=features)
    assert one.report["mean_distance"] == 0
    assert one.report["served"] == 2


def test_doubly_greedy_takes_the_nearest_pair_each_time() -> None:
    features, target = normal(30, 2), normal(34, 2)[30:]
    away, picked = distance.distances(features, target), list[int]()
    while len(picked) < 8:
        left = [row for row in range(30) if row not in picked]
        picked.append(min(left, key=lambda row: float(away[row].min())))
    coreset = run(DoublyGreedy(by_class=False), features, 8, target=target)
    assert coreset.indices.tolist() == sorted(picked)
    figures = [coreset.report[key] for key in ("mean_distance", "largest_distance", "served")]
    chosen = away[picked]
    assert figures == pytest.approx(
        [chosen.min(axis=1).mean(), chosen.min(axis=1).max(), len(set(chosen.argmin(axis=1)))]
    )


def test_d2_equals_its_definition_written_out() -> None:
    features, score = normal(40, 3), np.random.default_rng(1).random(40)
    away = distance.distances(features, features)
    near = np.argsort(away, axis=1, kind="stable")[:, 1:4]
    joined = [{j for j in range(40) if j in near[i] or i in near[j]} for i in range(40)]
    value = [score[i] + sum(np.exp(-away[i, j]) * score[j] for j in joined[i]) for i in range(40)]
    message = np.mean(value) - score.mean()
    picked: list[int] = []
    while len(picked) < 25:
        row = max((i for i in range(40) if i not in picked), key=lambda i: value[i])
        for j in joined[row] - set(picked):
            value[j] -= np.exp(-0.7 * away[row, j]) * value[row]
        picked.append(row)
    coreset = run(D2("el2n", 3, 0.7, by_class=False), features, 25, scores={"el2n": score})
    assert coreset.indices.tolist() == sorted(picked)
    assert coreset.report["edges"] == sum(map(len, joined)) / 2
    assert coreset.report["message"] == pytest.approx(message, abs=ROUNDING)


def test_d2_of_distant_rows_is_the_score_and_says_so() -> None:
    score = np.random.default_rng(1).random(40)
    coreset = run(D2("el2n", 3, 0.7, by_class=False), 1e4 * normal(40, 3), 5, scores={"el2n": score})
    assert set(coreset.indices.tolist()) == set(np.argsort(-score)[:5].tolist())
    assert "features.scale=unit brings them nearer" in coreset.report["warnings"][0]
    near = run(D2("el2n", 3, 0.7, by_class=False), normal(40, 3), 5, scores={"el2n": score})
    alone = run(D2("el2n", 3, 0.7, by_class=False), normal(1, 3), 1, scores={"el2n": score[:1]})
    assert near.report["warnings"] == alone.report["warnings"] == []


D2_BAD: list[tuple[D2, Any, str]] = [
    (D2("el2n", 0, 0.1, by_class=False), np.ones(6), "d2: neighbours must be a whole number >= 1, got 0"),
    (D2("el2n", True, 0.1, by_class=False), np.ones(6), "neighbours must be a whole number >= 1, got True"),
    (D2("el2n", 2, -1.0, by_class=False), np.ones(6), "d2: gamma must be a number >= 0, got -1.0"),
    (D2("el2n", 2, float("nan"), by_class=False), np.ones(6), "gamma must be a number >= 0, got nan"),
    (D2("loss", 2, 0.1, by_class=False), np.ones(6), "selector d2 needs the score 'loss'"),
    (D2("el2n", 2, 0.1, by_class=False), np.full(6, 1.7e308), "sums of the score 'el2n' overflow float64"),
    (D2("el2n", 2, 0.1, by_class=False), np.ones((6, 2)), r"one number for each pool row, .*\(6, 2\)"),
]


@pytest.mark.parametrize(("selector", "score", "message"), D2_BAD)
def test_d2_refuses(selector: D2, score: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(selector, normal(6, 2), 2, scores={"el2n": score})


def test_d2_reads_the_score_it_is_told() -> None:
    other = D2("loss", 2, 0.1, by_class=False)
    assert other.needs == {"features", "loss"}
    scores = {"el2n": np.arange(6.0), "loss": np.arange(6.0)[::-1]}
    assert run(other, 100 * normal(6, 2), 1, scores=scores).indices.tolist() == [0]


def test_lloyd_equals_scikit_learn_from_the_same_seeds() -> None:
    points = normal(120, 3) + 4 * np.random.default_rng(2).integers(0, 3, (120, 1))
    first = seeds(whole(points), 7, np.random.default_rng(0))
    centres, made, settled = lloyd(whole(points), first, 100)
    theirs = KMeansOfScikitLearn(7, init=first, n_init=1, tol=0, max_iter=100).fit(points)
    np.testing.assert_allclose(centres, theirs.cluster_centers_, rtol=ROUNDING)
    assert settled
    assert 2 < made <= 100
    assert lloyd(whole(points), first, 2)[1:] == (2, False)


def test_lloyd_keeps_the_centre_of_an_empty_cluster() -> None:
    centres, _, settled = lloyd(whole(np.array([[0.0], [1], [10]])), np.array([[0.0], [99], [9]]), 9)
    assert (centres.tolist(), settled) == ([[0.5], [99], [10]], True)


def test_seeds_are_drawn_in_proportion_to_squared_distance() -> None:
    """Of rows at 0, 1 and 3 the second is drawn by squares: from 0 it is 1 once and 3 nine times in ten."""
    line, counts = np.array([[0.0], [1], [3]]), np.zeros((4, 4))
    for seed in range(1500):
        first, second = seeds(whole(line), 2, np.random.default_rng(seed))[:, 0].astype(int)
        counts[first, second] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    assert shares[0, 3] == pytest.approx(0.9, abs=0.07)  # 5 standard deviations
    assert shares[1, 3] == pytest.approx(0.8, abs=0.09)
    assert (counts.sum(axis=1)[[0, 1, 3]] > 400).all()


def test_seeds_are_never_a_row_drawn_before_while_others_differ() -> None:
    points = normal(12, 2)
    drawn = seeds(whole(points), 12, np.random.default_rng(0))
    assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, points.tolist()))


def test_kmeans_takes_one_row_of_every_group() -> None:
    groups = np.repeat(100 * np.arange(5), 8)
    features = normal(40, 2) + groups[:, None]
    coreset = run(KMeans(50, by_class=False), features, 5, seed=1)
    assert groups[coreset.indices].tolist() == [0, 100, 200, 300, 400]
    means = np.array([features[groups == group].mean(axis=0) for group in np.unique(groups)])
    nearest_row = distance.distances(features, means).argmin(axis=0)
    assert coreset.indices.tolist() == nearest_row.tolist()
    spread = (distance.distances(features, means).min(axis=1) ** 2).mean()
    assert coreset.report["inertia"] == pytest.approx(spread, rel=ROUNDING)
    assert coreset.report["warnings"] == []


def test_kmeans_says_that_it_was_stopped() -> None:
    coreset = run(KMeans(1, by_class=False), normal(40, 2), 5)
    assert "still changed after 1 iterations" in coreset.report["warnings"][0]
    with pytest.raises(InvalidInput, match="kmeans: iterations must be a whole number >= 1, got 0"):
        run(KMeans(0, by_class=False), normal(6, 2), 2)


METHODS = [
    Herding(by_class=False),
    Moderate(by_class=False),
    FacilityLocation(by_class=False),
    RoundRobin(by_class=False),
    DoublyGreedy(by_class=False),
    D2("el2n", 5, 0.1, by_class=False),
    KMeans(100, by_class=False),
]
named = pytest.mark.parametrize("selector", METHODS, ids=lambda selector: type(selector).__name__)


@named
@pytest.mark.parametrize("features", [np.ones((6, 3)), np.zeros((6, 1)), 1e150 * normal(6, 2)])
@pytest.mark.parametrize("budget", [1, 5, 6])
def test_odd_pools_have_a_coreset(selector: Any, features: Any, budget: int) -> None:
    coreset = run(selector, features, budget, target=features[:1], scores={"el2n": np.ones(6)})
    assert len(coreset.indices) == budget
    assert all(np.isfinite(value) for name, value in coreset.report.items() if name != "warnings")


@named
def test_no_columns_are_refused(selector: Any) -> None:
    with pytest.raises(InvalidInput, match="these have no columns: give features"):
        run(selector, np.empty((6, 0)), 2, scores={"el2n": np.ones(6)})


def test_d2_refuses_scores_below_zero() -> None:
    points, score = np.arange(6.0).reshape(3, 2), {"el2n": np.array([1.0, -1.0, 2.0])}
    problem = SelectionProblem(points, np.zeros((1, 2)), score)
    method = D2(score="el2n", neighbours=1, gamma=0.1, by_class=False)
    with pytest.raises(InvalidInput, match=r"a score 'el2n' below 0 would raise: give one of numbers >= 0"):
        method.select(problem, 2, np.random.default_rng(0))
