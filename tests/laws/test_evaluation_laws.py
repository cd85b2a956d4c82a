"""Laws of the metrics and of their intervals, for any small sample with ties."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from goracs.evaluation.bootstrap import mean_estimate
from goracs.evaluation.ctr import ctr_metrics, plain_auc, weighted_auc
from goracs.evaluation.grounding import nearest_distances
from goracs.evaluation.ranking import ndcg, ranking_metrics, ranks
from goracs.types import FloatArray, IndexArray

ROUNDING = 1e-12  # float64 sums in another order
SINGLE = 1e-6  # torchmetrics divides in float32

law = settings(deadline=None)  # the first example imports torch

Samples = tuple[FloatArray, IndexArray, list[str]]


@st.composite
def samples(draw: st.DrawFn, both_classes: bool = True) -> Samples:
    """Scores with ties (multiples of 1/4), labels, users; both classes present unless told otherwise."""
    size = draw(st.integers(2, 25))
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    if both_classes:
        labels[:2] = [0, 1]
    scores = draw(st.lists(st.integers(-12, 12), min_size=size, max_size=size))
    users = draw(st.lists(st.sampled_from("abcde"), min_size=size, max_size=size))
    return np.array(scores) / 4, np.array(labels), users


@st.composite
def tables(draw: st.DrawFn) -> tuple[FloatArray, IndexArray]:
    """Distances with ties, and a target column per row."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    cells = draw(st.lists(st.integers(0, 9), min_size=rows * columns, max_size=rows * columns))
    target = draw(st.lists(st.integers(0, columns - 1), min_size=rows, max_size=rows))
    return np.array(cells, dtype=np.float64).reshape(rows, columns), np.array(target)


def enumerated_auc(scores: FloatArray, labels: IndexArray) -> float:
    pairs = [(yes, no) for yes in scores[labels == 1] for no in scores[labels == 0]]
    return sum(1.0 if yes > no else 0.5 if yes == no else 0.0 for yes, no in pairs) / len(pairs)


def metrics(case: Samples) -> dict[str, dict[str, Any]]:
    scores, labels, users = case
    return ctr_metrics(scores, labels, users, scores_are="logit_margin", draws=30, seed=0)


@law
@given(samples())
def test_weighted_auc_equals_enumeration_for_unit_weights(case: Samples) -> None:
    scores, labels, _ = case
    found = weighted_auc(scores, labels, np.ones((1, len(scores))))[0]
    assert found == enumerated_auc(scores, labels), "ties count half"
    assert abs(found - roc_auc_score(labels, scores)) < ROUNDING
    plain = plain_auc(scores, labels)
    assert plain is not None
    assert abs(found - plain) < SINGLE


@law
@given(samples(both_classes=False), st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_weighted_auc_equals_enumeration_of_copies(case: Samples, copies: list[int]) -> None:
    scores, labels, _ = case
    times = np.array(copies[: len(scores)])
    found = weighted_auc(scores, labels, times[None].astype(np.float64))[0]
    repeated = np.repeat(scores, times), np.repeat(labels, times)
    if len(set(repeated[1])) == 2:
        assert found == enumerated_auc(*repeated)
    else:
        assert np.isnan(found)


@law
@given(samples())
def test_auc_is_unchanged_by_increasing_maps(case: Samples) -> None:
    scores, labels, users = case
    before, after = metrics(case), metrics((np.exp(3 * scores) - 7, labels, users))
    for name in ("auc", "auc_per_user"):
        assert before[name] == after[name]


@law
@given(samples())
def test_auc_keeps_its_complement_when_scores_are_turned_round(case: Samples) -> None:
    scores, labels, _ = case
    unit = np.ones((1, len(scores)))
    both = weighted_auc(scores, labels, unit) + weighted_auc(-scores, labels, unit)
    assert abs(both[0] - 1) < ROUNDING


@law
@given(samples())
def test_log_loss_is_unchanged_by_turning_labels_and_margins_round(case: Samples) -> None:
    scores, labels, users = case
    assert metrics(case)["log_loss"] == metrics((-scores, 1 - labels, users))["log_loss"]


@law
@given(samples(), st.randoms(use_true_random=False))
def test_ctr_metrics_is_unchanged_by_the_order_of_the_samples(case: Samples, random: Any) -> None:
    scores, labels, users = case
    order = list(range(len(scores)))
    random.shuffle(order)
    shuffled = metrics((scores[order], labels[order], [users[row] for row in order]))
    for name, figure in metrics(case).items():
        for part, value in figure.items():
            other = shuffled[name][part]
            assert (value is None and other is None) or abs(value - other) < ROUNDING


@law
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=20), st.integers(2, 5))
def test_interval_keeps_within_the_means_of_single_users(values: list[int], users: int) -> None:
    owner = [f"u{row % users}" for row in range(len(values))]
    numbers = np.array(values, dtype=np.float64)
    found = mean_estimate(numbers, owner, draws=50, seed=0)
    each = [numbers[[u == name for u in owner]].mean() for name in set(owner)]
    assert found.low is not None
    assert found.high is not None
    assert min(each) - ROUNDING <= found.low <= found.high <= max(each) + ROUNDING


@law
@given(tables())
def test_ranks_equals_the_last_place_among_equals_of_a_stable_sort(
    table: tuple[FloatArray, IndexArray],
) -> None:
    distances, target = table
    for row, column, found in zip(distances, target, ranks(distances, target), strict=True):
        others = sorted(range(len(row)), key=lambda item: (row[item], item == column))
        assert found == others.index(column) + 1


@law
@given(tables())
def test_ranks_is_unchanged_by_columns_that_are_no_candidates(table: tuple[FloatArray, IndexArray]) -> None:
    distances, target = table
    wider = np.hstack([distances, np.full((len(distances), 2), np.inf)])
    np.testing.assert_array_equal(ranks(wider, target), ranks(distances, target))


@law
@given(tables())
def test_ranking_metrics_keeps_ndcg_below_hits_and_five_below_ten(
    table: tuple[FloatArray, IndexArray],
) -> None:
    positions = ranks(*table)
    found = ranking_metrics(positions, [f"u{row}" for row in range(len(positions))], draws=5, seed=0)
    value = {name: figure["value"] or 0.0 for name, figure in found.items()}
    assert value["ndcg@5"] <= value["hr@5"] <= value["hr@10"]
    assert value["ndcg@5"] <= value["ndcg@10"] <= value["hr@10"]
    assert ndcg(np.array([1]), 5)[0] == 1.0


@law
@given(tables(), tables())
def test_nearest_distances_keeps_symmetry_and_zero(
    left: tuple[FloatArray, IndexArray], right: tuple[FloatArray, IndexArray]
) -> None:
    width = min(left[0].shape[1], right[0].shape[1])
    a, b = left[0][:, :width], right[0][:, :width]
    np.testing.assert_array_equal(nearest_distances(a, b), nearest_distances(b, a).T)
    np.testing.assert_array_equal(np.diag(nearest_distances(a, a)), 0.0)
