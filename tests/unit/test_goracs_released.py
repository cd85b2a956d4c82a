"""What the released code does, defects included: scores and pairs by definition, classes as there or not."""

from typing import Any

import numpy as np
import pytest

import goracs
from goracs import SelectionProblem
from goracs.ot import exact
from goracs.selection import by_class
from goracs.selection.goracs_released import GoracsReleased, pruned, scores
from goracs.types import InvalidInput
from tests.swaps import SHAPES, instance

ROUNDING = 1e-12  # costs of order 1
CTR: dict[str, Any] = {"lam": 0.5, "max_exchanges": 20, "candidates": 3}


def problem(seed: int, stretch: float = 1.0, labels: Any = None, targets: Any = None) -> SelectionProblem:
    draw = np.random.default_rng(seed)
    labels = np.arange(60) % 2 if labels is None else np.array(labels)
    targets = np.arange(30) % 2 if targets is None else np.array(targets)
    return SelectionProblem(
        stretch * draw.normal(size=(len(labels), 3)),
        stretch * draw.normal(size=(len(targets), 3)),
        {"gradient_norm": draw.random(len(labels))},
        labels=labels,
        target_labels=targets,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_equal_their_definition(shape: tuple[int, int, int]) -> None:
    """f is the plain minimum, y the R-th largest, with R = ceil(m/n)."""
    for seed in range(4):
        costs, rows = instance(*shape, seed, ties=seed % 2 == 1)
        u, (n, m) = exact.solve(costs[rows]).u, (len(rows), costs.shape[1])
        reduced = costs - (costs[rows] - u[:, None]).min(axis=0)
        y = np.sort(reduced, axis=1)[:, ::-1][:, -(-m // n) - 1]
        expected = y / n + np.minimum(reduced - y[:, None], 0).mean(axis=1)
        np.testing.assert_allclose(scores(costs, rows, u), expected, rtol=0, atol=ROUNDING)


def test_pairs_equal_the_largest_scores_out_with_the_smallest_in() -> None:
    costs, rows = instance(40, 12, 6, seed=1)
    score = scores(costs, rows, np.zeros(6))
    out = sorted(range(6), key=lambda p: score[rows[p]])[-2:]
    come = sorted(set(range(40)) - set(rows.tolist()), key=lambda q: score[q])[:2]
    assert pruned(costs, rows, np.zeros(6), 2) == [(p, q) for p in out for q in come]
    assert len(pruned(costs, rows, np.zeros(6), 99)) == 6 * 34


def test_released_depends_on_the_unit_of_distances_by_class_alone() -> None:
    """Plain, distances are divided by their maximum; by class they are not, so lam means something else."""
    changed = 0
    for seed in range(5):
        near, far = problem(seed), problem(seed, stretch=8.0)
        plain = [goracs.select(given, 8, "goracs_released", **CTR).indices.tolist() for given in (near, far)]
        assert plain[0] == plain[1]
        split = [goracs.select(p, 8, "goracs_released", by_class=True, **CTR) for p in (near, far)]
        changed += split[0].indices.tolist() != split[1].indices.tolist()
        for coreset in split:
            judged = [part["poo"] for part in coreset.report["classes"].values()]
            assert coreset.report["poo"] == pytest.approx(np.mean(judged), abs=ROUNDING)
    assert changed


@pytest.mark.parametrize(
    ("targets", "budget", "ones"),
    [([0, 1], 5, 2), ([0, 1], 7, 4), ([0, 1, 1], 8, 5), ([0] * 9 + [1], 5, 1), ([0] * 9 + [1], 15, 2)],
)
def test_class_budgets_are_rounded_as_there(targets: list[int], budget: int, ones: int) -> None:
    """Halves to even; .1 in float32 is a little more than a tenth."""
    given = problem(0, targets=targets)
    parts = by_class.parts(GoracsReleased(**CTR, by_class=True), given, budget)
    assert [(part.label, part.budget) for part in parts] == [(0, budget - ones), (1, ones)]


BAD = [
    ([0, 1] * 9, [0] * 9 + [1], 4, r"class 1 gets none of 4 rows, .* 5 in all\. Raise the budget"),
    ([0, 1] * 9, [0] + [1] * 9, 4, r"class 0 gets none of 4 rows, .* 5 in all\. Raise the budget"),
    ([0, 0, 0, 1], [0, 1, 1], 3, "class 1 should give 2 rows and has 1, where the released code crashes"),
    ([0, 1, 2] * 3, [0, 1], 3, r"knows the labels 0 and 1 .* found \[0, 1, 2\] and \[0, 1\]"),
    ([0, 1], [1, 1], 1, r"needs both in pool and validation set; found \[0, 1\] and \[1\]"),
    ([1, 1], [0, 1], 1, r"found \[1\] and \[0, 1\]"),
]


@pytest.mark.parametrize(("labels", "targets", "budget", "message"), BAD)
def test_by_class_refuses_what_the_released_code_has_no_coreset_for(
    labels: list[int], targets: list[int], budget: int, message: str
) -> None:
    given = problem(0, labels=labels, targets=targets)
    with pytest.raises(InvalidInput, match=message):
        goracs.select(given, budget, "goracs_released", by_class=True, **CTR)
