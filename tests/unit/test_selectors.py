"""Each method against its definition, and what each refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, assess
from goracs.ot.distance import distances
from goracs.search.canonical import canonical_order
from goracs.selection import by_class as by_class_form
from goracs.selection.el2n import El2n
from goracs.selection.full import Full
from goracs.selection.goracs_paper import GoracsPaper
from goracs.selection.goracs_released import GoracsReleased
from goracs.selection.grand import GraNd
from goracs.selection.kcenter import KCenter
from goracs.selection.random import Random
from goracs.types import InvalidInput

ROUNDING = 1e-12  # the same sums in another order


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def problem(rows: int = 40, targets: int = 12, **scores: Any) -> SelectionProblem:
    draw = np.random.default_rng(3)
    given = scores or {"gradient_norm": draw.random(rows), "el2n": draw.random(rows)}
    return SelectionProblem(
        features=draw.normal(size=(rows, 4)), target_features=draw.normal(size=(targets, 4)), scores=given
    )


def test_canonical_order_equals_sorted_tuples() -> None:
    draw = np.random.default_rng(1)
    features, loss, sketch = (draw.integers(0, 2, shape) / 2 for shape in ((50, 2), 50, (50, 2)))
    given = SelectionProblem(features, features[:1], scores={"sketch": sketch, "loss": loss})
    keys = [(*features[i], loss[i], *sketch[i], i) for i in range(50)]
    assert canonical_order(given).tolist() == [key[-1] for key in sorted(keys)]
    blank = SelectionProblem(np.empty((3, 0)), np.empty((1, 0)))
    assert canonical_order(blank).tolist() == [0, 1, 2]


def labelled() -> SelectionProblem:
    given, draw = problem(), np.random.default_rng(4)
    labels, norms = draw.integers(0, 2, 40), {"gradient_norm": draw.random(40)}
    return replace(given, scores=norms, labels=labels, target_labels=np.arange(12) % 2)


def made(search: Any, **changed: Any) -> Any:
    """One of the two searches."""
    return search(**(paper if search is GoracsPaper else asked)(**changed))


def paper(**changed: Any) -> dict[str, Any]:
    return {**asked(), "distances": "divided", **changed}


def asked(**changed: Any) -> dict[str, Any]:
    return {"lam": 0.1, "max_exchanges": 5, "candidates": 2, "by_class": False, **changed}


BOTH = pytest.mark.parametrize("search", [GoracsPaper, GoracsReleased])


@BOTH
def test_exchanges_equal_what_assess_says(search: Any) -> None:
    given = problem()
    coreset = made(search, lam=0.3, max_exchanges=30, candidates=40).select(given, 6, rng())
    judged = assess(given, coreset.indices, 0.3)
    for figure, value in judged.items():
        exact = isinstance(value, list) or value is None
        assert coreset.report[figure] == (value if exact else pytest.approx(value, rel=ROUNDING)), figure
    assert set(coreset.report) == {*judged, "exchanges", "solves", "lam_divided"}
    assert coreset.trace[-1]["objective"] == pytest.approx(judged["poo"], abs=ROUNDING)
    assert coreset.report["exchanges"] == len(coreset.trace) - 1 > 0
    assert type(coreset.report["exchanges"]) is int


def test_paper_equals_gradients_alone_at_a_huge_lam() -> None:
    given = problem()
    coreset = GoracsPaper(**paper(lam=1e6, max_exchanges=200, candidates=40)).select(given, 6, rng())
    best = np.sort(np.argsort(given.scores["gradient_norm"])[-6:])
    np.testing.assert_array_equal(coreset.indices, best)


@BOTH
def test_exchanges_need_gradients_only_where_they_count(search: Any) -> None:
    plain = made(search, lam=0.0)
    assert plain.needs == {"features"}
    assert made(search).needs == {"features", "gradient_norm"}
    assert plain.select(problem(loss=np.ones(40)), 3, rng()).report["mean_gradient"] is None


@BOTH
@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_exchanges_are_unchanged_by_the_order_of_tied_rows(search: Any, order: list[int]) -> None:
    line, gradients = np.array([[1.0], [-1.0], [5.0]])[order], {"gradient_norm": np.ones(3)}
    coreset = made(search).select(SelectionProblem(line, np.zeros((1, 1)), scores=gradients), 1, rng())
    assert line[coreset.indices].tolist() == [[-1.0]]


def test_kcenter_equals_the_farthest_row_each_time() -> None:
    given = problem()
    picked = [7]
    while len(picked) < 6:
        picked.append(int(distances(given.features, given.features[picked]).min(axis=1).argmax()))
    coreset = KCenter(start=7, by_class=False).select(given, 6, rng())
    np.testing.assert_array_equal(coreset.indices, np.sort(picked))
    radius = distances(given.features, given.features[picked]).min(axis=1).max()
    assert coreset.report["radius"] == pytest.approx(radius, rel=ROUNDING)


def test_kcenter_keeps_rows_distinct_among_duplicates() -> None:
    same = SelectionProblem(np.ones((5, 2)), np.ones((1, 2)))
    assert KCenter(start=3, by_class=False).select(same, 4, rng()).indices.tolist() == [0, 1, 2, 3]


def test_kcenter_equals_another_start_for_another_draw() -> None:
    starts = {
        int(KCenter(start=None, by_class=False).select(problem(), 1, np.random.default_rng(s)).indices[0])
        for s in range(20)
    }
    assert len(starts) > 5
    assert KCenter(start=None, by_class=False).seeded
    assert not KCenter(start=0, by_class=False).seeded


def test_el2n_equals_the_largest_with_ties_by_index() -> None:
    given = problem(5, el2n=np.array([0.2, 0.9, 0.2, 0.2, 0.1]))
    coreset = El2n(by_class=False).select(given, 3, rng())
    assert coreset.indices.tolist() == [0, 1, 2]
    assert coreset.report["smallest_kept"] == 0.2


def test_grand_equals_the_largest_with_ties_by_canonical_order() -> None:
    features = np.array([[3.0], [2.0], [1.0], [0.0]])
    given = SelectionProblem(features, features, scores={"gradient_norm": np.array([0.5, 0.5, 0.9, 0.5])})
    coreset = GraNd(by_class=False).select(given, 2, rng())
    assert coreset.indices.tolist() == [2, 3]
    assert coreset.report["smallest_kept"] == 0.5


def test_random_equals_a_uniform_draw() -> None:
    given = problem(6)
    counts = np.zeros(6)
    for seed in range(600):
        counts[Random(by_class=False).select(given, 2, np.random.default_rng(seed)).indices] += 1
    assert (abs(counts - 200) < 60).all()  # 5 standard deviations of 11.5


def test_full_equals_every_row() -> None:
    assert Full(by_class=False).select(problem(), 40, rng()).indices.tolist() == list(range(40))


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (GoracsPaper(**paper(lam=-1.0)), {}, "lam must be a number >= 0, got -1.0"),
    (GoracsPaper(**paper(max_exchanges=-1)), {}, "max_exchanges must be a whole number >= 0, got -1"),
    (GoracsPaper(**paper(max_exchanges=1.5)), {}, "goracs_paper: max_exchanges must .* >= 0, got 1.5"),
    (GoracsPaper(**paper(candidates=0)), {}, "candidates must be a whole number >= 1, got 0"),
    (GoracsReleased(**asked(candidates=True)), {}, "goracs_released: candidates must .* >= 1, got True"),
    (GoracsReleased(**asked(max_exchanges=None)), {}, "max_exchanges must be a whole number >= 0, got None"),
    (
        GoracsPaper(**paper()),
        {"loss": np.ones(40)},
        "selector goracs_paper with lam=0.1 needs the score 'gradient_norm'; .* loss",
    ),
    (KCenter(start=40, by_class=False), {}, r"start must be a row in 0\.\.39, got 40"),
    (KCenter(start=-1, by_class=False), {}, r"start must be a row in 0\.\.39, got -1"),
    (KCenter(start=0, by_class=True), {}, "with by_class=true leave it null"),
    (KCenter(start=1.5, by_class=False), {}, "got 1.5"),  # type: ignore[arg-type]
    (El2n(by_class=False), {"loss": np.ones(40)}, "selector el2n needs the score 'el2n'"),
    (El2n(by_class=False), {"el2n": np.ones((40, 2))}, r"one number for each pool row, got shape \(40, 2\)"),
    (GraNd(by_class=False), {"loss": np.ones(40)}, "selector grand needs the score 'gradient_norm'"),
    (
        GraNd(by_class=False),
        {"gradient_norm": np.ones((40, 2))},
        r"one number for each pool row, .*\(40, 2\)",
    ),
    (Full(by_class=False), {}, "whole pool of 40 rows, and the budget is 3: set budget=all"),
]


@pytest.mark.parametrize(("selector", "scores", "message"), BAD)
def test_select_refuses(selector: Any, scores: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        selector.select(problem(**scores), 3, rng())


def test_undivided_distances_are_a_smaller_weight_of_divided_ones() -> None:
    """lam on undivided distances chooses what lam / max d does on divided ones, and the report says so."""
    given = labelled()
    plain = GoracsPaper(**paper(lam=0.5, distances="undivided")).select(given, 6, rng())
    largest = plain.report["max_distance"]
    assert largest > 1.5
    assert plain.report["lam_divided"] == pytest.approx(0.5 / largest)
    same = GoracsPaper(**paper(lam=0.5 / largest)).select(given, 6, rng())
    np.testing.assert_array_equal(plain.indices, same.indices)
    assert same.report["lam_divided"] == same.report["lam"]


@pytest.mark.parametrize("by_class", [False, True])
def test_published_distances_are_undivided_by_class_alone(by_class: bool) -> None:
    published = GoracsPaper(**paper(lam=0.5, distances="published", by_class=by_class))
    given = labelled()
    same = replace(published, distances="undivided" if by_class else "divided")
    found = by_class_form.select(published, given, 6, 0).indices
    np.testing.assert_array_equal(found, by_class_form.select(same, given, 6, 0).indices)
