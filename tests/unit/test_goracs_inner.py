"""Ablations of GORACS: its parts as methods, and another gain."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.api import build
from goracs.ot import distance, exact
from goracs.types import InvalidInput

ROUNDING = 1e-12  # sums of a few products of order 1
HUGE = np.full((1, 4), 1e200)


def problem(rows: int = 12, targets: int = 6, **changed: Any) -> SelectionProblem:
    draw = np.random.default_rng(5)
    given: dict[str, Any] = {
        "features": draw.normal(size=(rows, 3)),
        "target_features": draw.normal(size=(targets, 3)),
        "scores": {"sketch": draw.normal(size=(rows, 4))},
        "target_scores": {"sketch": draw.normal(size=(targets, 4))},
        "labels": np.arange(rows) % 2,
        "target_labels": np.arange(targets) % 2,
    }
    return SelectionProblem(**{**given, **changed})


def gains(given: SelectionProblem) -> np.ndarray:
    """[N] by its definition."""
    assert given.target_scores is not None
    mean: Any = sum(given.target_scores["sketch"]) / given.target_size
    pool: Any = given.scores["sketch"]
    return np.array([sum(a * b for a, b in zip(row, mean, strict=True)) for row in pool])


def costs(given: SelectionProblem, lam: float) -> np.ndarray:
    """[N, m] as method.md writes it."""
    far, gain = distance.distances(given.features, given.target_features), gains(given)
    return np.asarray(far / far.max() - lam * (gain - gain.min())[:, None] / np.ptp(gain))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("goracs_start", {"effort": "start"}),
        ("goracs_alternate", {"effort": "alternate"}),
        ("goracs_exchange", {"effort": "exchange_only"}),
        ("goracs_transport", {"lam": 0}),
    ],
)
def test_an_ablation_differs_from_goracs_in_what_it_leaves_out(name: str, changed: dict[str, Any]) -> None:
    whole: Any = build("goracs", {})
    assert build(name, {}) == replace(whole, **changed)


def test_gradients_alone_equal_a_huge_lam() -> None:
    given = problem(scores={"gradient_norm": np.random.default_rng(1).random(12)})
    alone = select(given, 4, "goracs_gradient").indices
    np.testing.assert_array_equal(alone, select(given, 4, "goracs", lam=1e6).indices)


@pytest.mark.parametrize("lam", [0.0, 0.3, 2.0])
def test_the_coreset_of_least_cost_with_the_gain_is_found(lam: float) -> None:
    given, table = problem(), costs(problem(), lam)
    assert (gains(given) < 0).any()
    worth = {rows: exact.solve(table[list(rows)]).value for rows in combinations(range(12), 3)}
    found = select(given, 3, "goracs_inner", lam=lam)
    assert found.report["poo"] == pytest.approx(worth[tuple(found.indices.tolist())], abs=ROUNDING)
    assert found.report["poo"] == pytest.approx(min(worth.values()), abs=ROUNDING)
    assert found.report["lower_bound"] <= min(worth.values())
    assert found.report["mean_gain"] == pytest.approx(gains(given)[found.indices].mean(), abs=ROUNDING)
    assert found.report["gain_span"] == pytest.approx(np.ptp(gains(given)), abs=ROUNDING)
    assert not {"mean_gradient", "max_gradient"} & found.report.keys()


def test_a_huge_lam_keeps_the_largest_gains_whatever_their_sign() -> None:
    given = problem()
    found = select(given, 5, "goracs_inner", lam=1e6).indices
    np.testing.assert_array_equal(found, np.sort(np.argsort(-gains(given))[:5]))
    away = replace(given, scores={"sketch": -np.abs(given.scores["sketch"])})
    toward = replace(away, target_scores={"sketch": np.ones((6, 4))})
    assert (gains(toward) < 0).all()
    found = select(toward, 5, "goracs_inner", lam=1e6).indices
    np.testing.assert_array_equal(found, np.sort(np.argsort(-gains(toward))[:5]))


def test_by_class_gains_are_those_against_the_class() -> None:
    given = problem()
    report = select(given, 4, "goracs_inner", lam=0.3, by_class=True).report
    for label in (0, 1):
        rows, columns = (np.flatnonzero(np.arange(size) % 2 == label) for size in (12, 6))
        part = given.among(rows).against(columns)
        assert report["classes"][str(label)]["gain_span"] == pytest.approx(np.ptp(gains(part)), abs=ROUNDING)
    means = [report["classes"][label]["mean_gain"] for label in ("0", "1")]
    assert report["mean_gain"] == pytest.approx(np.mean(means), abs=ROUNDING)


def test_equal_gains_are_told_and_leave_transport_alone() -> None:
    given = problem(scores={"sketch": np.ones((12, 4))})
    found = select(given, 3, "goracs_inner", lam=0.5)
    assert found.report["warnings"] == ["all gains are equal: they tell no row from another."]
    np.testing.assert_array_equal(found.indices, select(given, 3, "goracs_transport").indices)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": {}}, "selector goracs_inner needs the score 'sketch'; the problem has: none"),
        ({"target_scores": None}, "needs the score 'sketch' of the validation set"),
        (
            {
                "scores": {"sketch": np.full((12, 4), 1e200)},
                "target_scores": {"sketch": np.full((6, 4), 1e200)},
            },
            "squares of the score 'sketch' overflow float64",
        ),
    ],
)
def test_what_has_no_gain_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(problem(**changed), 3, "goracs_inner")
