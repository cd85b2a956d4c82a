"""The figures: by hand, in their units, and the same for any order of rows."""

import json
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, assess, certify
from goracs.selection.figures import objective
from goracs.types import InvalidInput, Scale

ROUNDING = 1e-12  # relative; exact transport of tables of order 1


def problem(**changed: Any) -> SelectionProblem:
    """On a line: pool at 0, 3, 4, 10, validation at 1 and 4."""
    given = {
        "features": np.array([[0.0], [3.0], [4.0], [10.0]]),
        "target_features": np.array([[1.0], [4.0]]),
        "scores": {"gradient_norm": np.array([1.0, 2.0, 4.0, 8.0])},
    }
    return SelectionProblem(**{**given, **changed})


def test_assess_equals_figures_by_hand() -> None:
    report = assess(problem(), [0, 2], lam=0.5)  # 0 -> 1 and 4 -> 4
    expected = {
        "transport": 0.5,
        "mean_gradient": 2.5,
        "poo": 0.5 / 9 - 0.5 * 2.5 / 8,
        "max_distance": 9.0,
        "max_gradient": 8.0,
        "lam": 0.5,
    }
    assert {key: report[key] for key in expected} == pytest.approx(expected, rel=ROUNDING)
    assert {key: report[key] for key in report.keys() - expected} == {
        "lower_bound": None,
        "gap": None,
        "warnings": [],
    }


def test_assess_equals_plain_json_values() -> None:
    kinds = {type(value) for value in assess(problem(), np.array([1, 3]), lam=0).values()}
    assert kinds == {float, list, type(None)}


def test_a_weight_of_any_library_is_plain_in_what_comes_of_it() -> None:
    plain = json.dumps([assess(problem(), [0, 2], 0.5), certify(problem(), [0, 2], 0.5)])
    kinds: list[Any] = [np.float32, np.float64]
    for lam in (kind(0.5) for kind in kinds):
        assert json.dumps([assess(problem(), [0, 2], lam), certify(problem(), [0, 2], lam)]) == plain


def test_assess_is_unchanged_by_order_and_by_labels() -> None:
    labelled = problem(labels=np.array([0, 1, 1, 0]), target_labels=np.array([0, 0]))
    assert assess(labelled, [2, 0], 0.3) == assess(problem(), [0, 2], 0.3)


def test_assess_equals_none_without_gradients() -> None:
    report = assess(problem(scores={}), [0, 2], lam=0)
    assert (report["mean_gradient"], report["max_gradient"]) == (None, None)
    assert report["poo"] == pytest.approx(0.5 / 9, rel=ROUNDING)
    assert assess(problem(), [0, 2], lam=0)["poo"] == report["poo"]


def test_assess_keeps_a_scale_from_outside() -> None:
    report = assess(problem(scale=Scale(18.0, 16.0)), [0, 2], lam=0.5)
    assert report["poo"] == pytest.approx(0.5 / 18 - 0.5 * 2.5 / 16, rel=ROUNDING)


def test_assess_equals_a_warning_where_a_maximum_is_zero() -> None:
    report = assess(problem(scores={"gradient_norm": np.zeros(4)}), [0, 2], lam=0.5)
    assert report["poo"] == pytest.approx(0.5 / 9, rel=ROUNDING)
    assert report["max_gradient"] == 1.0
    assert ["gradient norms are 0" in said for said in report["warnings"]] == [True]


def test_objective_equals_transport_of_the_combined_cost() -> None:
    rng = np.random.default_rng(0)
    found, gradients = rng.random((5, 8)), rng.random(5)
    from goracs.ot import cost, exact

    scale = Scale(2.0, 3.0)
    combined = exact.solve(cost.ground_cost(found, gradients, 0.7, scale)).value
    assert objective(found, gradients, 0.7, scale)["poo"] == pytest.approx(combined, rel=ROUNDING)


BAD: list[tuple[dict[str, Any], Any, Any, str]] = [
    (
        {"scores": {}},
        [0, 1],
        0.5,
        "assess with lam=0.5 needs the score 'gradient_norm'; the problem has: none",
    ),
    ({}, [0, 1], -0.1, "lam must be a number >= 0, got -0.1"),
    ({}, [0, 1], float("nan"), "lam must be a number >= 0, got nan"),
    ({}, [0, 1], float("inf"), "lam must be a number >= 0, got inf"),
    ({}, [0, 1], "0.1", "lam must be a number >= 0, got '0.1'"),
    ({}, [0, 1], True, "lam must be a number >= 0, got True"),
    ({}, [0, 0], 0.1, "2 rows of which 1 are distinct"),
    ({}, [0, 4], 0.1, r"rows must lie in 0\.\.3, got 0\.\.4"),
    ({}, [], 0.1, r"at least one row number, got float64 of shape \(0,\)"),
    ({}, [0.5, 1.0], 0.1, r"row number, got float64 of shape \(2,\)"),
    ({"scores": {"gradient_norm": np.array([1.0, -1, 1, 1])}}, [0], 0.1, "number >= 0 .* minimum -1.0"),
    ({"scores": {"gradient_norm": np.ones((4, 2))}}, [0], 0.1, r"one number .* shape \(4, 2\)"),
    ({"features": np.empty((4, 0)), "target_features": np.empty((2, 0))}, [0], 0, "no columns"),
]


@pytest.mark.parametrize(("changed", "indices", "lam", "message"), BAD)
def test_assess_refuses(changed: dict[str, Any], indices: Any, lam: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        assess(problem(**changed), indices, lam)
