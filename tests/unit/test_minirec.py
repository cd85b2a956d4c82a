"""MiniRec's rows against plain loops, and where directions are missing."""

from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.types import InvalidInput

ROUNDING = 1e-12  # cosines


def problem(features: Any = None, sketches: Any = None, rows: int = 20) -> SelectionProblem:
    draw = np.random.default_rng(2)
    features = draw.normal(size=(rows, 3)) if features is None else np.asarray(features, float)
    sketches = draw.normal(size=(len(features), 4)) if sketches is None else np.asarray(sketches, float)
    return SelectionProblem(features, features[:1], scores={"sketch": sketches})


def cosine(one: Any, other: Any) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def by_definition(given: SelectionProblem, budget: int) -> tuple[list[int], np.ndarray]:
    points, mean = given.features, given.scores["sketch"].mean(axis=0)
    cosines = np.array([cosine(row, mean) for row in given.scores["sketch"]])
    score = (cosines - cosines.min()) / np.ptp(cosines)
    picked = [int(score.argmax())]
    while len(picked) < budget:
        away = np.array([min(1 - cosine(row, points[one]) for one in picked) for row in points])
        worth = score * away / max(a for row, a in enumerate(away) if row not in picked)
        picked.append(max((row for row in range(len(points)) if row not in picked), key=lambda r: worth[r]))
    return picked, score


def test_rows_equal_the_definition() -> None:
    given = problem()
    picked, score = by_definition(given, 8)
    found = select(given, 8, "minirec")
    assert found.indices.tolist() == sorted(picked)
    assert found.report["smallest_kept"] == pytest.approx(score[picked].min(), abs=ROUNDING)
    assert found.report["mean_kept"] == pytest.approx(score[picked].mean(), abs=ROUNDING)
    assert found.report["warnings"] == []


def test_neither_unit_moves_a_row() -> None:
    given = problem()
    wide = problem(given.features * 1e200, given.scores["sketch"] * 1e200)
    assert select(wide, 8, "minirec").indices.tolist() == select(given, 8, "minirec").indices.tolist()


def test_rows_of_one_direction_come_last() -> None:
    features = [[1, 0], [2, 0], [3, 0], [0, 1], [-1, 1]]
    sketches = [[1, 0], [1, 0.1], [1, 0.1], [1, 0.5], [1, -2.0]]
    assert select(problem(features, sketches), 2, "minirec").indices.tolist() == [0, 3]
    assert select(problem(features, sketches), 5, "minirec").indices.tolist() == [0, 1, 2, 3, 4]


def test_rows_without_a_direction_are_at_right_angles_to_all() -> None:
    features = [[0, 0], [1, 0], [0.5, 1], [2, 0]]
    sketches = [[1, 0.5], [1, 0], [1, -0.5], [-1, 0]]  # the second aligns most, the last least
    assert select(problem(features, sketches), 2, "minirec").indices.tolist() == [0, 1]


def test_gradients_that_are_alike_leave_distances_to_decide() -> None:
    found = select(problem(sketches=np.ones((20, 4))), 5, "minirec")
    assert found.report["warnings"] == ["all gradients are alike: distances alone decide."]
    assert found.report["smallest_kept"] == 1
    lengths, direction = np.random.default_rng(0).random((20, 1)) + 1, np.array([[0.3, 0.7, -0.1, 0.2]])
    assert select(problem(sketches=lengths * direction), 5, "minirec").report["warnings"]


@pytest.mark.parametrize(
    ("sketches", "message"),
    [
        (np.ones(20), r"needs the score 'sketch' as \[rows, k\], k >= 1, got \(20,\)"),
        (np.ones((20, 0)), r"got \(20, 0\)"),
        (np.full((20, 4), 1e308), "sums of sketches overflow float64"),
    ],
)
def test_what_has_no_direction_is_refused(sketches: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(problem(sketches=sketches), 3, "minirec")
