"""By class: budgets, parts, and the report of the union."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from goracs.ot import distance, exact
from goracs.selection import by_class, class_budgets
from goracs.selection.el2n import El2n
from goracs.selection.full import Full
from goracs.selection.goracs import Goracs
from goracs.selection.goracs_released import GoracsReleased
from goracs.selection.kcenter import KCenter
from goracs.selection.random import Random
from goracs.selection.ranked import Ranked
from goracs.types import ByClass, InvalidInput, Scale, SelectionProblem

ROUNDING = 1e-12  # sums of a few float64 products
SEARCH: dict[str, Any] = {
    "grid": (0.0, 0.1),
    "folds": 2,
    "penalty": 0.03,
    "start": "best",
    "effort": "exchange",
    "max_exchanges": None,
    "seconds": None,
    "memory": 1.0,
    "by_class": True,
}
GORACS = Goracs(lam=0.4, **SEARCH)


def problem(labels: list[int], target_labels: list[int], **changed: Any) -> SelectionProblem:
    rng, n, m = np.random.default_rng(7), len(labels), len(target_labels)
    given = {
        "features": rng.normal(size=(n, 3)),
        "target_features": rng.normal(size=(m, 3)),
        "scores": {"gradient_norm": rng.random(n), "el2n": rng.random(n)},
        "target_scores": {"el2n": np.arange(float(m))},
        "labels": np.array(labels),
        "target_labels": np.array(target_labels),
    }
    return SelectionProblem(**{**given, **changed})


BUDGETS = [
    ({0: 50, 1: 50}, {0: 11, 1: 29}, 16, {0: 4, 1: 12}),  # 4.4 and 11.6
    ({0: 50, 1: 50}, {0: 1, 1: 1}, 3, {0: 2, 1: 1}),  # a tie goes to the smaller label
    ({0: 2, 1: 50}, {0: 1, 1: 1}, 10, {0: 2, 1: 8}),  # a class gets at most its rows
    ({0: 2, 1: 3, 2: 50}, {0: 5, 1: 4, 2: 1}, 10, {0: 2, 1: 3, 2: 5}),  # the rest overflows again
    ({0: 50, 1: 50, 2: 50}, {0: 1, 2: 1}, 4, {0: 2, 1: 0, 2: 2}),  # absent from validation
    ({0: 50}, {0: 1, 1: 3}, 4, {0: 4, 1: 0}),  # absent from the pool
    ({-1: 9, 7: 9}, {-1: 99, 7: 1}, 2, {-1: 2, 7: 0}),  # too small a share
    ({0: 3, 1: 4}, {0: 1, 1: 9}, 7, {0: 3, 1: 4}),
]


@pytest.mark.parametrize(("pool", "target", "budget", "expected"), BUDGETS)
def test_class_budgets_equals(
    pool: Mapping[int, int], target: Mapping[int, int], budget: int, expected: dict[int, int]
) -> None:
    assert class_budgets.budgets(pool, target, budget) == expected


RULES: list[tuple[ByClass, dict[int, int], dict[int, int], int, dict[int, int]]] = [
    (True, {0: 90, 1: 10}, {0: 1, 1: 1}, 10, {0: 5, 1: 5}),
    ("pool", {0: 90, 1: 10}, {0: 1, 1: 1}, 10, {0: 9, 1: 1}),
    ("pool", {0: 3, 1: 2}, {0: 1}, 4, {0: 2, 1: 2}),  # 2.4 and 1.6; validation has no say
    ("pool", {0: 5}, {0: 1, 1: 1}, 5, {0: 5, 1: 0}),  # absent from the pool
    ("equal", {0: 90, 1: 10, 2: 5}, {0: 7, 1: 1}, 10, {0: 4, 1: 3, 2: 3}),  # ties to the smaller label
    ("equal", {0: 90, 1: 10, 2: 1}, {0: 7, 1: 1}, 10, {0: 5, 1: 4, 2: 1}),  # the rest of a short class
    ("equal", {0: 90, 1: 10}, {2: 1}, 3, {0: 2, 1: 1, 2: 0}),
    ("equal", {5: 4, -3: 4, 8: 4}, {}, 2, {-3: 1, 5: 1, 8: 0}),
]


@pytest.mark.parametrize(("rule", "pool", "target", "budget", "expected"), RULES)
def test_rates_equal_those_of_the_rule(
    rule: ByClass, pool: dict[int, int], target: dict[int, int], budget: int, expected: dict[int, int]
) -> None:
    weights = class_budgets.rates(rule, pool, target)
    assert class_budgets.budgets(pool, weights, budget) == expected


def test_class_budgets_never_miss_their_laws() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        pool = {k: int(c) for k, c in enumerate(rng.integers(0, 12, 5))}
        target = {k: int(c) for k, c in enumerate(rng.integers(0, 9, 5))}
        reach = sum(pool[k] for k in target if target[k])
        if reach == 0:
            continue
        budget, total = int(rng.integers(1, reach + 1)), sum(target.values())
        found = class_budgets.budgets(pool, target, budget)
        assert sum(found.values()) == budget
        for label, rows in found.items():
            share = Fraction(budget * target[label], total)
            assert 0 <= rows <= pool[label] * (target[label] > 0)
            assert rows >= min(pool[label], share.numerator // share.denominator)


def test_class_budgets_refuses_more_than_validation_classes_hold() -> None:
    with pytest.raises(InvalidInput, match=r"budget 6 .* \(0, 2\), which together hold 5: lower the budget"):
        class_budgets.budgets({0: 2, 1: 50, 2: 3}, {0: 1, 1: 0, 2: 1}, 6)


def test_parts_equals_the_whole_problem_without_by_class() -> None:
    whole = problem([0, 1, 0], [1])
    (part,) = by_class.parts(Random(by_class=False), whole, 2)
    assert (part.label, part.problem, part.budget, part.position) == (None, whole, 2, 0)
    np.testing.assert_array_equal(part.rows, [0, 1, 2])


def test_parts_equals_the_rows_of_each_class() -> None:
    whole = problem([5, 2, 5, 3, 2, 5], [5, 2, 5, 5])
    two, five = by_class.parts(GORACS, whole, 4)
    assert [(p.label, p.rows.tolist(), p.budget, p.position) for p in (two, five)] == [
        (2, [1, 4], 1, 0),
        (5, [0, 2, 5], 3, 1),
    ]
    np.testing.assert_array_equal(five.problem.features, whole.features[[0, 2, 5]])
    np.testing.assert_array_equal(five.problem.target_features, whole.target_features[[0, 2, 3]])
    np.testing.assert_array_equal(five.problem.scores["el2n"], whole.scores["el2n"][[0, 2, 5]])
    assert five.problem.target_scores is not None
    np.testing.assert_array_equal(five.problem.target_scores["el2n"], [0.0, 2.0, 3.0])


def test_parts_keeps_one_scale_for_all_classes() -> None:
    whole = problem([0, 1, 2] * 4, [0, 1, 1])
    expected = Scale(
        float(distance.distances(whole.features, whole.target_features).max()),
        float(whole.scores["gradient_norm"].max()),
    )
    assert {part.problem.scale for part in by_class.parts(GORACS, whole, 5)} == {expected}
    assert {part.problem.scale for part in by_class.parts(El2n(by_class=True), whole, 5)} == {None}
    given = problem([0, 1, 2] * 4, [0, 1, 1], scale=Scale(2.0, 3.0))
    assert {part.problem.scale for part in by_class.parts(GORACS, given, 5)} == {Scale(2.0, 3.0)}


def test_solve_equals_the_generator_of_seed_and_position() -> None:
    whole = problem([0, 1] * 10, [0, 1])
    parts = by_class.parts(Random(by_class=True), whole, 8)
    for part in parts:
        expected = np.random.default_rng([3, part.position]).choice(10, 4, replace=False)
        found = by_class.solve(Random(by_class=True), part, 3)
        np.testing.assert_array_equal(found.indices, np.sort(expected))


def test_select_equals_weighted_figures() -> None:
    whole = problem([0] * 15 + [1] * 25, [0, 1, 1, 1] * 3)
    coreset = by_class.select(GORACS, whole, 8, seed=0)
    report, classes = coreset.report, coreset.report["classes"]
    assert {label: part["budget"] for label, part in classes.items()} == {"0": 2, "1": 6}
    assert (coreset.indices < 15).sum() == 2
    for figure in ("poo", "transport", "mean_gradient", "lower_bound", "lowest_cost", "gap_absolute"):
        expected = 0.25 * classes["0"][figure] + 0.75 * classes["1"][figure]
        assert report[figure] == pytest.approx(expected, rel=ROUNDING)
    for count in ("exchanges", "solves"):
        assert report[count] == classes["0"][count] + classes["1"][count]
    found = distance.distances(whole.features[coreset.indices], whole.target_features)
    assert report["transport_global"] == pytest.approx(exact.solve(found).value, rel=ROUNDING)
    share = (report["poo"] - report["lower_bound"]) / (report["poo"] - report["lowest_cost"])
    assert report["gap"] == pytest.approx(share, rel=ROUNDING)
    assert (report["certified_local"], report["status"], report["reproducible"]) == ("pool", "finished", True)
    assert report["warnings"] == []
    assert (report["lam"], report["max_gradient"]) == (0.4, whole.scores["gradient_norm"].max())
    assert [step["class"] for step in coreset.trace if step["bound"] is None] == [0, 1]


def test_select_equals_its_figures_from_parts_by_hand() -> None:
    whole = problem([0] * 15 + [1] * 25, [0, 1, 1, 1] * 3)
    coreset = by_class.select(GORACS, whole, 8, seed=0)
    rows = coreset.indices[coreset.indices < 15]
    alone = distance.distances(whole.features[rows], whole.target_features[whole.target_labels == 0])
    assert coreset.report["classes"]["0"]["transport"] == pytest.approx(
        exact.solve(alone).value, rel=ROUNDING
    )


def test_join_keeps_a_single_unlabelled_part() -> None:
    whole = problem([0, 1, 0], [1])
    parts = by_class.parts(Random(by_class=False), whole, 2)
    coreset = by_class.solve(Random(by_class=False), parts[0], 0)
    assert by_class.join(whole, parts, [coreset], 2, Random(by_class=False)) is coreset


def test_gradient_norms_are_read_only_for_methods_that_weigh_them() -> None:
    """By class nothing more is refused or warned of than otherwise; at lam = 0 goracs still reports them."""
    labels, targets = [0, 1] * 6, [0, 1]
    for norms in (np.full(12, -1.0), np.zeros(12)):
        whole = problem(labels, targets, scores={"gradient_norm": norms})
        assert by_class.select(KCenter(None, by_class=True), whole, 4, 0).report["warnings"] == []
    with pytest.raises(InvalidInput, match="one number >= 0"):
        by_class.select(GORACS, problem(labels, targets, scores={"gradient_norm": np.full(12, -1.0)}), 4, 0)
    whole = problem(labels, targets)
    plain = by_class.select(replace(GORACS, lam=0.0), whole, 4, 0).report
    assert plain["max_gradient"] == whole.scores["gradient_norm"].max()


def test_join_equals_warnings_about_classes_and_scale() -> None:
    labels, targets = [0, 0, 1, 2, 2, 2, 3, 3], [0] * 10 + [1] * 10 + [3]
    whole = problem(labels, targets, scores={"gradient_norm": np.zeros(8)})
    report = by_class.select(GORACS, whole, 3, 0).report
    assert {tuple(part["warnings"]) for part in report["classes"].values()} == {()}  # the scale is not theirs
    assert report["warnings"] == [
        "all gradient norms are 0: their maximum counts as 1.",
        "class 1 has 1 pool rows, less than its share: all taken.",
        "class 2 is absent from validation: none of its 3 rows is chosen.",
        "class 3 has so small a share that it gets no row.",
    ]


@pytest.mark.parametrize(("rule", "budgets"), [("pool", [1, 1, 4]), ("equal", [2, 1, 3])])
def test_a_class_that_validation_lacks_is_chosen_against_all_of_it(rule: ByClass, budgets: list[int]) -> None:
    whole = problem([0, 0, 1] + [2] * 7, [0, 1, 0, 0])
    method = replace(GORACS, by_class=rule)
    found = by_class.parts(method, whole, 6)
    assert [(part.label, part.budget) for part in found] == list(enumerate(budgets))
    assert [len(part.problem.target_features) for part in found] == [3, 1, 4]
    np.testing.assert_array_equal(found[2].problem.target_features, whole.target_features)
    report = by_class.select(method, whole, 6, 0).report
    short = ["class 1 has 1 pool rows, less than its share: all taken."] if rule == "equal" else []
    assert report["warnings"] == [
        *short,
        f"class 2 is absent from validation: it gives {budgets[2]} rows, chosen against the whole of it "
        "where the method reads it.",
    ]
    assert report["lower_bound"] <= report["poo"]


def test_a_class_of_no_pool_rows_is_told_by_every_rule() -> None:
    whole = problem([0, 0, 0], [0, 1])
    rules: list[ByClass] = ["pool", "equal"]
    assert [by_class.select(Random(by_class=rule), whole, 2, 0).report["warnings"] for rule in rules] == [
        ["class 1 is not in the pool: it gives no row."],
        ["class 1 has 0 pool rows, less than its share: all taken."],
    ]


def test_select_equals_no_figures_that_the_parts_lack() -> None:
    report = by_class.select(Random(by_class=True), problem([0, 1] * 6, [0, 1]), 4, 0).report
    assert set(report) == {"classes", "warnings"}


def test_select_equals_none_for_gradients_that_are_not_there() -> None:
    plain = Goracs(lam=0.0, **SEARCH)
    report = by_class.select(plain, problem([0, 1] * 6, [0, 1], scores={}), 4, 0).report
    assert (report["mean_gradient"], report["max_gradient"]) == (None, None)
    assert report["poo"] == pytest.approx(report["transport"] / report["max_distance"], rel=ROUNDING)


def test_select_equals_the_whole_pool_for_full() -> None:
    coreset = by_class.select(Full(by_class=True), problem([0, 1, 1], [0, 1, 1, 1]), 3, 0)
    np.testing.assert_array_equal(coreset.indices, [0, 1, 2])


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (
        Random(by_class=True),
        {"labels": None, "target_labels": None},
        "this problem has no labels: give labels",
    ),
    (Random(by_class="yes"), {}, "by_class must be true \\(.*\\), pool, equal or false, got 'yes'"),  # type: ignore[arg-type]
    (Random(by_class=1), {}, "pool, equal or false, got 1"),  # type: ignore[arg-type]
    (
        Random(by_class="equal"),
        {"labels": None, "target_labels": None},
        "by_class=equal splits the problem by label, and this problem has no labels",
    ),
    (Random(by_class=True), {"target_labels": np.array([1, 1])}, r"\(1\), which together hold 2"),
    (
        GoracsReleased(lam=0.1, max_exchanges=1, candidates=1, by_class="pool"),
        {},
        "class budgets of its own, by the validation rates: by_class must be true or false, got 'pool'",
    ),
]


@pytest.mark.parametrize(("selector", "changed", "message"), BAD)
def test_parts_refuses(selector: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        by_class.parts(selector, replace(problem([0, 1, 0, 1], [0, 1]), **changed), 3)


def test_what_a_class_warns_of_is_told_with_its_name() -> None:
    whole = problem([0, 1] * 6, [0, 1])
    flat = replace(whole, scores={**whole.scores, "el2n": np.ones(12)})
    report = by_class.select(Ranked(score="el2n", keep="largest", by_class=True), flat, 4, 0).report
    said = "the score 'el2n' is equal for all rows: it tells none from another."
    assert report["warnings"] == [f"class 0: {said}", f"class 1: {said}"]
