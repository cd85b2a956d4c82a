"""TAROT's layers against sets written out, its whitening against the closed form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, select
from goracs.features.representation import unit
from goracs.selection import alignment, tarot
from goracs.types import InvalidInput

RIDGE = 1e-9


def problem(rows: int = 40, targets: int = 6, width: int = 4) -> SelectionProblem:
    draw = np.random.default_rng(9)
    pool, target = draw.normal(size=(rows, width)), draw.normal(size=(targets, width))
    return SelectionProblem(
        np.empty((rows, 0)), np.empty((targets, 0)), scores={"sketch": pool}, target_scores={"sketch": target}
    )


def sides(given: SelectionProblem) -> tuple[np.ndarray, np.ndarray]:
    assert given.target_scores is not None
    return given.scores["sketch"], given.target_scores["sketch"]


def likeness(given: SelectionProblem) -> np.ndarray:
    """x' C^-1 y / sqrt(x' C^-1 x y' C^-1 y), with the inverse of the covariance itself."""
    pool, target = sides(given)
    both = np.concatenate([pool, target])
    inverse = np.linalg.inv(np.cov(both.T, bias=True))
    x, y = pool - both.mean(axis=0), target - both.mean(axis=0)
    norms = [np.sqrt(np.einsum("ij,jk,ik->i", side, inverse, side)) for side in (x, y)]
    found: np.ndarray = x @ inverse @ y.T / np.outer(*norms)
    return found


def layers(given: SelectionProblem) -> list[set[int]]:
    """All rows of the first k layers, for k = 1, 2, ..."""
    ranked = np.argsort(-likeness(given), axis=0)
    return [set(ranked[: depth + 1].flatten().tolist()) for depth in range(len(ranked))]


def test_whitened_likeness_equals_the_closed_form() -> None:
    given = problem()
    pool, target = tarot.whitened(*sides(given), RIDGE)
    np.testing.assert_allclose(tarot.likeness(unit(pool), unit(target)), likeness(given), atol=1e-7)


def test_whole_layers_are_taken_and_the_next_fills_the_budget() -> None:
    given = problem()
    unions = layers(given)
    sizes = [len(union) for union in unions]
    for budget in range(1, 41):
        coreset = select(given, budget, "tarot", ridge=RIDGE)
        whole = sum(size < budget for size in sizes) + (budget in sizes)
        inner = unions[whole - 1] if whole else set()
        chosen = set(coreset.indices.tolist())
        assert inner <= chosen <= unions[min(whole, 39)]
        assert coreset.report["layers"] == whole
        assert coreset.report["by_potential"] == budget - len(inner)
        expected = likeness(given)[coreset.indices].max(axis=0).mean()
        assert coreset.report["nearest_cosine"] == pytest.approx(expected, abs=1e-7)


def test_the_rows_are_those_of_any_linear_map_of_the_gradients() -> None:
    """What whitening is for; multiplied by L^-1 instead of L^-T they are others."""
    given, mixed = problem(), np.random.default_rng(1).normal(size=(4, 4))
    pool, target = sides(given)
    turned = replace(given, scores={"sketch": pool @ mixed}, target_scores={"sketch": target @ mixed})
    for budget in (3, 6, 15):
        found = [
            select(one, budget, "tarot", ridge=RIDGE).report["nearest_cosine"] for one in (given, turned)
        ]
        assert found[0] == pytest.approx(found[1], abs=1e-7)
    assert (
        select(given, 6, "tarot", ridge=RIDGE).indices.tolist()
        == select(turned, 6, "tarot", ridge=RIDGE).indices.tolist()
    )


def test_the_rows_are_unchanged_by_the_unit_of_the_gradients() -> None:
    given = problem()
    pool, target = sides(given)
    small = replace(given, scores={"sketch": pool / 2**20}, target_scores={"sketch": target / 2**20})
    assert select(small, 9, "tarot").indices.tolist() == select(given, 9, "tarot").indices.tolist()


def test_best_rows_are_unchanged_by_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties to the smaller index, across blocks too: half of the rows are there twice."""
    pool, target = sides(problem())
    twice = unit(np.concatenate([pool, pool[::2]]))
    whole = tarot.best_rows(twice, unit(target), 9)
    expected = np.argsort(-np.round(twice @ unit(target).T, 12), axis=0, kind="stable")[:9]
    np.testing.assert_array_equal(whole, expected)
    monkeypatch.setattr(alignment, "BLOCK_BYTES", 8 * 6 * 7)
    np.testing.assert_array_equal(tarot.best_rows(twice, unit(target), 9), expected)


def test_potentials_of_points_against_themselves_are_nearly_zero() -> None:
    """Transport of value 0, and by symmetry the same potentials on both sides; steps in turn would swing."""
    points = unit(np.random.default_rng(3).normal(size=(12, 4)))
    assert abs(tarot.potentials(points, points)).max() < 0.01


def test_equal_sketches_are_told() -> None:
    flat = replace(problem(), scores={"sketch": np.ones((40, 4))}, target_scores={"sketch": np.ones((6, 4))})
    assert "all sketches are equal" in select(flat, 3, "tarot").report["warnings"][0]


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"ridge": 0}, "ridge must be a number > 0, got 0"),
    ({}, {"ridge": True}, "got True"),
    ({"scores": {}}, {}, "selector tarot needs the score 'sketch'"),
]


@pytest.mark.parametrize(("changed", "overrides", "message"), BAD)
def test_tarot_refuses(changed: Any, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(replace(problem(), **changed), 3, "tarot", **overrides)
