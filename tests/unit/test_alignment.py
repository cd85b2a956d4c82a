"""Methods that rank rows by how their gradients align with validation's, against plain loops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics.pairwise import cosine_similarity

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


def aligned(given: SelectionProblem, dim: int, per: str) -> np.ndarray:
    """By scikit-learn's SVD: cosines of projections with those of the tasks' means, the largest."""
    assert given.target_scores is not None
    pool, target = given.scores["sketch"], given.target_scores["sketch"]
    svd = TruncatedSVD(dim, algorithm="arpack", random_state=0).fit(target)
    rows, others = svd.transform(pool), svd.transform(target)
    task = {"all": np.zeros(9), "user": given.target_users, "row": np.arange(9)}[per]
    assert task is not None
    means = np.stack([others[task == of].mean(axis=0) for of in np.unique(task)])
    found: np.ndarray = cosine_similarity(rows, means).max(axis=1)
    return found


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("per", ["all", "user", "row"])
def test_gist_keeps_the_rows_of_largest_alignment_in_the_subspace(per: str, dim: int) -> None:
    given = problem(name="sketch")
    expected = aligned(given, dim, per)
    coreset = select(given, 7, "gist", dim=dim, per=per)
    assert coreset.indices.tolist() == np.sort(np.argsort(-expected)[:7]).tolist()
    assert coreset.report["smallest_kept"] == pytest.approx(np.sort(expected)[-7], abs=ROUNDING)
    values = np.linalg.svd(problem(name="sketch").target_scores["sketch"])[1] ** 2  # type: ignore[index]
    assert coreset.report["share"] == pytest.approx(values[:dim].sum() / values.sum())
    assert (coreset.report["dim"], coreset.report["warnings"]) == (dim, [])


def test_gist_in_the_whole_space_is_the_cosine_with_the_mean_gradient() -> None:
    given = problem(name="sketch")
    assert given.target_scores is not None
    mean = given.target_scores["sketch"].mean(axis=0, keepdims=True)
    expected = cosine_similarity(given.scores["sketch"], mean)[:, 0]
    coreset = select(given, 7, "gist", dim=99)
    assert coreset.indices.tolist() == np.sort(np.argsort(-expected)[:7]).tolist()
    assert (coreset.report["dim"], coreset.report["share"]) == (4, pytest.approx(1))


def test_gist_does_not_see_what_no_validation_gradient_has() -> None:
    """Noise in directions outside the span of validation's gradients changes nothing."""
    given = problem(name="sketch")
    assert given.target_scores is not None
    noise = 100 * np.random.default_rng(1).normal(size=(30, 5))
    wide = replace(
        given,
        scores={"sketch": np.concatenate([given.scores["sketch"], noise], axis=1)},
        target_scores={"sketch": np.pad(given.target_scores["sketch"], [(0, 0), (0, 5)])},
    )
    assert select(wide, 7, "gist").indices.tolist() == select(given, 7, "gist").indices.tolist()
    assert select(wide, 7, "gist").report["dim"] == 4


@pytest.mark.parametrize(
    ("target", "dim", "said"), [(np.zeros((9, 4)), 0, "all 0: no row"), (np.ones((9, 4)), 1, "one direction")]
)
def test_gist_says_where_validation_has_hardly_a_direction(target: np.ndarray, dim: int, said: str) -> None:
    coreset = select(replace(problem(name="sketch"), target_scores={"sketch": target}), 7, "gist")
    assert coreset.report["dim"] == dim
    assert said in coreset.report["warnings"][0]


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
    (
        "less",
        {"scores": {"unit_sketch": np.full((30, 4), 1e200)}},
        {},
        "selector less: squares of the score 'unit_sketch' overflow float64",
    ),
    ("less", {"target_users": None}, {"per": "user"}, "per=user needs target_users; or take per=all"),
    ("gist", {}, {}, "selector gist needs the score 'sketch'; the problem has: unit_sketch"),
    ("gist", {}, {"dim": 0}, "dim must be a whole number >= 1, got 0"),
    ("gist", {}, {"dim": 1.5}, "got 1.5"),
    ("gist", {}, {"dim": True}, "got True"),
    ("less", {}, {"per": "task"}, "per must be one of all, user, row, got 'task'"),
]


@pytest.mark.parametrize(("name", "changed", "overrides", "message"), BAD)
def test_ranking_by_alignment_refuses(
    name: str, changed: dict[str, Any], overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, name, **overrides)
