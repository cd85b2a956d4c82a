"""Methods that rank rows by how their gradients align with validation's, against plain loops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.selection import alignment
from goracs.types import InvalidInput

ROUNDING = 1e-12  # sums of a few products of order 1


def problem(rows: int = 30, targets: int = 9, width: int = 4, name: str = "unit_sketch") -> SelectionProblem:
    draw = np.random.default_rng(3)
    return SelectionProblem(
        np.empty((rows, 0)),
        np.empty((targets, 0)),
        scores={name: draw.normal(size=(rows, width))},
        target_scores={name: draw.normal(size=(targets, width))},
        target_users=np.arange(targets) % 4,
    )


def influence(given: SelectionProblem, per: str) -> list[float]:
    """Row by row and task by task, as LESS is defined."""
    assert given.target_scores is not None
    assert given.target_users is not None
    pool, target = given.scores["unit_sketch"], given.target_scores["unit_sketch"]
    task = {"all": [0] * len(target), "user": given.target_users.tolist(), "row": range(len(target))}[per]
    found = []
    for row in pool:
        by_task: dict[int, list[float]] = {}
        for of, other in zip(task, target, strict=True):
            by_task.setdefault(of, []).append(sum(a * b for a, b in zip(row, other, strict=True)))
        found.append(max(sum(values) / len(values) for values in by_task.values()))
    return found


@pytest.mark.parametrize("per", ["all", "user", "row"])
def test_less_keeps_the_rows_of_largest_influence(per: str) -> None:
    given = problem()
    expected = np.array(influence(given, per))
    coreset = select(given, 7, "less", per=per)
    assert coreset.indices.tolist() == np.sort(np.argsort(-expected)[:7]).tolist()
    assert coreset.report["smallest_kept"] == pytest.approx(np.sort(expected)[-7], abs=ROUNDING)
    assert coreset.report["mean_kept"] == pytest.approx(np.sort(expected)[-7:].mean(), abs=ROUNDING)


def test_less_by_another_task_is_another_coreset() -> None:
    chosen = [select(problem(), 7, "less", per=per).indices.tolist() for per in ("all", "user", "row")]
    assert len({tuple(rows) for rows in chosen}) == 3


def test_products_are_unchanged_by_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    given, order = problem(rows=101).scores["unit_sketch"], np.random.default_rng(0).permutation(101)
    whole = alignment.best_aligned(given, order, given[:5])
    monkeypatch.setattr(alignment, "BLOCK_BYTES", 8 * 5 * 7)
    assert len(list(alignment.products(given, order, given[:5]))) > 10
    np.testing.assert_array_equal(alignment.best_aligned(given, order, given[:5]), whole)


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("less", {"scores": {}}, {}, "selector less needs the score 'unit_sketch'; the problem has: none"),
    ("less", {"target_scores": None}, {}, "needs the score 'unit_sketch' of the validation set"),
    ("less", {"scores": {"unit_sketch": np.ones(30)}}, {}, r"one k >= 1 .* shapes \(30,\) and \(9, 4\)"),
    ("less", {"scores": {"unit_sketch": np.ones((30, 3))}}, {}, r"shapes \(30, 3\) and \(9, 4\)"),
    ("less", {"target_users": None}, {"per": "user"}, "per=user needs target_users; or take per=all"),
    ("less", {}, {"per": "task"}, "per must be one of all, user, row, got 'task'"),
]


@pytest.mark.parametrize(("name", "changed", "overrides", "message"), BAD)
def test_ranking_by_alignment_refuses(
    name: str, changed: dict[str, Any], overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, name, **overrides)
