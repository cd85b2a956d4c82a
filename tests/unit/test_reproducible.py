"""What `python -m experiments.reproducible` calls a difference, and the problems that it selects from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.reproducible import difference, scored


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (2.0, 2.0, 0.0),
        (2.0, 2.5, 0.25),
        (0.0, 0.0, 0.0),
        (None, None, 0.0),
        (None, 1.0, np.inf),
        ("done", "done", 0.0),
        ("done", "late", np.inf),
        ([1.0, 10.0], [2.0, 10.0], 0.1),
        ([1.0], [1.0, 1.0], np.inf),
        (["a", "b"], ["a", "c"], np.inf),
        ({"loss": 4.0, "name": "x"}, {"loss": 5.0, "name": "x"}, 0.25),
        ({"loss": 4.0}, {"auc": 4.0}, np.inf),
        ([{"loss": 1.0}, {"loss": 2.0}], [{"loss": 1.0}, {"loss": 3.0}], 0.5),
        ([{"loss": 1.0}], [{"loss": 1.0}, {"loss": 2.0}], np.inf),
        (np.array([[1, 4]]), np.array([[1, 5]]), 0.25),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), 0.0),
        (np.array([1.0, np.nan]), np.array([1.0, 1.0]), np.inf),
        (b"x", b"y", np.inf),
    ],
)
def test_a_difference_is_relative_to_the_largest_beside_it(one: Any, other: Any, expected: float) -> None:
    assert difference(one, other) == pytest.approx(expected)


def test_the_tied_problem_has_ties_of_each_kind() -> None:
    problem = scored(60, 12, tied=True)
    rows = np.hstack([problem.features, problem.scores["gradient_norm"][:, None]])
    assert len(np.unique(problem.features, axis=0)) < len(rows)
    assert all(len(np.unique(score, axis=0)) < len(score) for score in problem.scores.values())
    assert len(np.unique(scored(60, 12, tied=False).features, axis=0)) == len(rows)
