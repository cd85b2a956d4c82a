"""Problems, coresets and budgets refuse what they cannot mean, and keep what they were given."""

from typing import Any

import numpy as np
import pytest

from goracs import types
from goracs.types import Coreset, GoracsError, InvalidInput, SelectionProblem, resolve_budget


def problem(**changed: Any) -> SelectionProblem:
    given: dict[str, Any] = {"features": np.ones((3, 2)), "target_features": np.ones((2, 2))}
    return SelectionProblem(**{**given, **changed})


def test_invalid_input_is_both_kinds_of_error() -> None:
    assert issubclass(InvalidInput, GoracsError)
    assert issubclass(InvalidInput, ValueError)


def test_problem_keeps_its_arrays_read_only_and_the_callers_writeable() -> None:
    features = np.ones((3, 2))
    held = problem(features=features, labels=np.array([0, 1, 0]), target_labels=np.array([1, 1]))
    for array in (held.features, held.target_features, held.labels):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array.fill(7)
    features[0, 0] = 2.0
    assert (held.pool_size, held.target_size) == (3, 2)


NAN = np.array([[1.0, 1], [np.nan, 1], [1, np.inf]])
BAD_PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"features": NAN}, "features is not finite in 2 of 3 rows: 1, 2"),
    ({"target_features": NAN}, "target_features is not finite in 2 of 3 rows: 1, 2"),
    ({"features": np.ones((0, 2))}, r"features must be a matrix with at least one row, got shape \(0, 2\)"),
    ({"target_features": np.ones((0, 2))}, "target_features must be a matrix with at least one row"),
    ({"features": np.ones(3)}, r"features must be a matrix .* got shape \(3,\)"),
    ({"features": np.ones((3, 4))}, "features have 4 columns, target_features 2"),
    ({"scores": {"loss": np.ones(4)}}, r"scores\['loss'\] must have one entry for each of 3 rows"),
    ({"scores": {"loss": NAN[:, 0]}}, r"scores\['loss'\] is not finite in 1 of 3 rows: 1"),
    ({"target_scores": {"loss": np.ones(3)}}, r"target_scores\['loss'\] must have one entry for each of 2"),
    ({"labels": np.zeros(3, int)}, "labels and target_labels go together"),
    ({"labels": np.zeros(3), "target_labels": np.zeros(2, int)}, "labels must be 3 integers, got float64"),
    ({"labels": np.zeros(3, int), "target_labels": np.zeros(3, int)}, "target_labels must be 2 integers"),
]


@pytest.mark.parametrize("rows", [1, 2, 1 << 16])
@pytest.mark.parametrize(("changed", "message"), BAD_PROBLEMS)
def test_problem_refuses(
    changed: dict[str, Any], message: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(types, "ROWS", rows)
    with pytest.raises(InvalidInput, match=message):
        problem(**changed)


def test_coreset_keeps_sorted_int64_rows() -> None:
    coreset = Coreset(np.array([4, 1]), 2, 5, {"a": 1})
    assert coreset.indices.tolist() == [1, 4]
    assert coreset.indices.dtype == np.int64
    with pytest.raises(TypeError, match="does not support item assignment"):
        coreset.report["a"] = 2  # type: ignore[index]


BAD_CORESETS = [
    ([1, 1], 2, "2 rows of which 1 are distinct"),
    ([1], 2, "budget 2 needs as many distinct rows, got 1 rows"),
    ([0, 5], 2, r"rows must lie in 0\.\.4, got 0\.\.5"),
    ([-1, 0], 2, r"rows must lie in 0\.\.4, got -1\.\.0"),
    ([0.5, 1.7], 2, "row numbers must be a list of integers, got float64"),
]


@pytest.mark.parametrize(("rows", "budget", "message"), BAD_CORESETS)
def test_coreset_refuses(rows: list[Any], budget: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Coreset(np.array(rows), budget, 5)


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (1, 1),
        (10, 10),
        (0.25, 3),
        (0.05, 1),
        (0.01, 1),
        (0.999, 10),
        ("all", 10),
        (np.int64(3), 3),
        (np.float64(0.25), 3),
    ],
)
def test_resolve_budget_equals(asked: float | str, rows: int) -> None:
    assert resolve_budget(asked, 10) == rows


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (0, "got 0"),
        (-1, "got -1"),
        (1.5, "got 1.5"),
        ("5", "got '5'"),
        (True, "got True"),
        (float("nan"), "got nan"),
        (float("inf"), "got inf"),
        (11, "which has 10 rows"),
        (1.0, r"For one row: budget=1; for the whole pool: budget=all\."),
        (np.float64(1), "For one row: budget=1;"),
        (2.0, r"For 2 rows: budget=2\."),
        (1e3, r"For 1000 rows: budget=1000\."),
        (np.float32(0), "budget must be"),
        (np.bool_(True), "budget must be"),
        (np.array([1, 2]), "budget must be"),
    ],
)
def test_resolve_budget_refuses(asked: float | str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        resolve_budget(asked, 10)


def test_features_that_torch_does_not_give_away_are_told() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InvalidInput, match=r"features must be an array of numbers: Can't call numpy"):
        SelectionProblem(torch.ones((3, 2), requires_grad=True), np.ones((2, 2)), {})


def test_longer_floats_than_kernels_know_are_taken_as_float64() -> None:
    made = SelectionProblem(np.ones((3, 2), np.longdouble), np.ones((2, 2)), {})
    assert made.features.dtype == np.float64
