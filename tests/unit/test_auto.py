"""lam=auto: it finds the right weight where that is known by construction, and says what it cannot judge."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import goracs
from goracs.selection import auto
from goracs.types import InvalidInput, SelectionProblem

POOL, TARGET, USERS, BUDGET = 300, 200, 40, 24
SEEDS = range(5)


def planted(kind: str, seed: int) -> SelectionProblem:
    """A pool of which half the labels are turned around; where the gradients are large says the kind.

    helps: on the rows with true labels. hurts: on the others. noise: anywhere, and no label is turned.
    """
    draw = np.random.default_rng([seed, len(kind)])
    states, asked = draw.normal(size=(POOL, 6)), draw.normal(size=(TARGET, 6))
    turned = (draw.random(POOL) < 0.5) & (kind != "noise")
    labels = (states[:, 0] > 0) ^ turned
    large = {"helps": ~turned, "hurts": turned, "noise": draw.random(POOL) < 0.5}[kind]
    norms = 0.1 + large * 1.0 + 0.05 * draw.random(POOL)
    margins = np.zeros(POOL)
    return SelectionProblem(
        draw.normal(size=(POOL, 4)),
        draw.normal(size=(TARGET, 4)),
        scores={"gradient_norm": norms, "loss": draw.random(POOL), "hidden": states, "margin": margins},
        target_scores={"hidden": asked, "margin": np.zeros(TARGET)},
        labels=labels.astype(np.int64),
        target_labels=(asked[:, 0] > 0).astype(np.int64),
        target_users=draw.integers(0, USERS, TARGET),
    )


def chosen(problem: SelectionProblem, **asked: Any) -> goracs.Coreset:
    settings = {"lam": "auto", "grid": [0, 0.1, 0.5], "folds": 8, "effort": "alternate", "by_class": True}
    return goracs.select(problem, BUDGET, "goracs", **{**settings, **asked})


@pytest.mark.parametrize(("kind", "right"), [("helps", {0.1, 0.5}), ("hurts", {0.0}), ("noise", {0.0})])
def test_auto_chooses_what_the_pool_was_built_for(kind: str, right: set[float]) -> None:
    found = [chosen(planted(kind, seed)).report["auto"]["lam"] for seed in SEEDS]
    assert sum(lam in right for lam in found) >= len(SEEDS) - 1, found


def test_auto_equals_a_selection_with_the_chosen_weight() -> None:
    problem = planted("helps", 0)
    found = chosen(problem)
    same = chosen(problem, lam=found.report["auto"]["lam"])
    np.testing.assert_array_equal(found.indices, same.indices)
    assert found.report["lam"] == found.report["auto"]["lam"]


def test_no_fold_is_judged_by_a_coreset_that_was_selected_against_it() -> None:
    problem, seen = planted("noise", 1), []

    def choose(lam: float, given: SelectionProblem) -> np.ndarray:
        seen.append(given)
        return np.arange(BUDGET)

    assert problem.target_users is not None
    auto.judge(problem, BUDGET, choose, [0.0, 0.1], 4, 0.03)
    folds = auto.cut(problem.target_users, 4)
    for fold in range(4):
        for others in seen[2 * fold : 2 * fold + 2]:
            np.testing.assert_array_equal(others.target_features, problem.target_features[folds != fold])
            assert others.target_users is not None
            assert set(others.target_users.tolist()).isdisjoint(problem.target_users[folds == fold].tolist())


def test_the_smallest_weight_within_one_error_of_the_best_wins() -> None:
    found = auto.judge(
        planted("helps", 2),
        60,
        lambda lam, _: np.arange(int(50 * lam), int(50 * lam) + 60),
        [0.5, 0, 1],
        4,
        0.1,
    )
    means = {point["lam"]: point["loss"] for point in found.curve}
    best = min(found.curve, key=lambda point: point["loss"])
    within = [lam for lam, mean in means.items() if mean <= best["loss"] + best["error"]]
    assert found.lam == min(within)
    assert list(means) == [0, 0.5, 1]


def test_a_fold_chooses_from_half_of_each_class_whatever_the_order_of_the_rows() -> None:
    problem, turn = planted("noise", 7), np.random.default_rng(8).permutation(POOL)
    turned = problem.among(turn)
    assert problem.labels is not None
    for fold in (0, 1):
        rows = auto.half(problem, 5, fold)
        for label in (0, 1):
            assert (problem.labels[rows] == label).sum() == -(-(problem.labels == label).sum() // 2)
        assert set(turn[auto.half(turned, 5, fold)].tolist()) == set(rows.tolist())
    assert len(auto.half(problem, POOL, 0)) == POOL  # a budget that halves could not fill
    assert set(auto.half(problem, 5, 0).tolist()) != set(auto.half(problem, 5, 1).tolist())


@given(st.lists(st.integers(0, 8), min_size=2, max_size=60), st.integers(2, 5))
def test_folds_keep_users_whole_and_are_never_empty(users: list[int], folds: int) -> None:
    if len(set(users)) < folds:
        with pytest.raises(InvalidInput, match="lower selector"):
            auto.cut(np.array(users), folds)
        return
    of = auto.cut(np.array(users), folds)
    assert set(of.tolist()) == set(range(folds))
    for user in set(users):
        assert len(set(of[np.array(users) == user].tolist())) == 1


def test_clustered_error_equals_the_plain_one_where_every_row_has_its_user() -> None:
    values = np.random.default_rng(0).normal(size=50)
    plain = values.std() / np.sqrt(50)
    assert auto.clustered_error(values, np.arange(50)) == pytest.approx(plain)
    doubled = auto.clustered_error(np.repeat(values, 2), np.repeat(np.arange(50), 2))
    assert doubled == pytest.approx(plain)  # a user's second row with the same value is no new evidence


def test_gradients_that_are_the_loss_are_a_warning() -> None:
    problem = planted("noise", 3)
    same = replace(problem, scores={**problem.scores, "loss": 2 * problem.scores["gradient_norm"]})
    report = chosen(same).report
    assert report["auto"]["gradient_loss_correlation"] == pytest.approx(1.0)
    assert any("fits worst" in warning for warning in report["warnings"])
    assert not any("fits worst" in warning for warning in chosen(problem).report["warnings"])


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({}, {"grid": [0, -0.1]}, "numbers >= 0"),
        ({}, {"grid": []}, "numbers >= 0"),
        ({}, {"grid": [0.1, 0.1]}, "twice"),
        ({}, {"folds": 1}, "folds must be"),
        ({}, {"folds": 41}, "lower selector.folds"),
        ({}, {"penalty": 0.0}, "penalty"),
        ({"target_users": np.zeros(TARGET, np.int64)}, {}, "it has 1 users"),
        ({"target_users": None}, {}, "target_users"),
        ({"labels": None, "target_labels": None}, {"by_class": False}, "task of texts"),
        ({"target_scores": {}}, {}, "needs the score 'hidden' of the validation set"),
    ],
)
def test_auto_refuses_what_it_cannot_judge(
    changes: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        chosen(replace(planted("noise", 4), **changes), **asked)


def test_one_class_and_constant_states_are_told() -> None:
    problem = planted("noise", 5)
    assert problem.target_labels is not None
    flat = {**problem.scores, "hidden": np.ones((POOL, 6))}
    one = replace(problem, scores=flat, target_labels=np.ones_like(problem.target_labels))
    warnings = " ".join(chosen(one).report["warnings"])
    assert "one label" in warnings
    assert "hidden states are equal" in warnings


def test_a_class_of_one_validation_row_goes_through() -> None:
    problem = planted("noise", 6)
    assert problem.target_labels is not None
    labels = np.zeros_like(problem.target_labels)
    labels[0] = 1
    assert len(chosen(replace(problem, target_labels=labels)).indices) == BUDGET
