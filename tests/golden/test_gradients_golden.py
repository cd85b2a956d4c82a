"""Coresets of gradients against values made by DeepCore's code, and where it is not followed."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial.distance import cdist

from goracs import select
from goracs.selection.glister import led
from goracs.selection.gradmatch import pursued
from goracs.types import SelectionProblem

deepcore = np.load(Path(__file__).parent / "deepcore.npz")


def test_craig_equals_deepcore_but_for_a_tie() -> None:
    """Rows 3 and 4 gain the same, each the other's nearest: theirs go by index, ours by canonical order."""
    gradients, theirs = deepcore["craig_grads"], deepcore["craig_sel"]
    given = SelectionProblem(np.empty((25, 0)), np.empty((1, 0)), scores={"sketch": gradients})
    ours = select(given, len(theirs), "craig")
    assert set(ours.indices.tolist()) ^ set(theirs.tolist()) == {3, 4}
    away = cdist(gradients[theirs], gradients)
    assert ours.report["nearest_distance"] == pytest.approx(away.min(axis=0).mean(), rel=1e-12)
    nearest = np.bincount(away.argmin(axis=0))
    np.testing.assert_array_equal(nearest + 1, deepcore["craig_weights"])  # theirs begin at 1, one too many
    assert ours.report["largest_weight"] == nearest.max() / 25


@pytest.mark.parametrize("k", range(3))
def test_the_pursuit_picks_deepcores_rows(k: int) -> None:
    """With its weights, by non-negative least squares of the rows picked; those it gives 0 it leaves out.

    Of one row (k = 2) its weight is 1, since there it adds the ridge to no matrix; ours is not asked for.
    """
    rows, goal, lam = (deepcore[f"omp{k}_{name}"] for name in ("grads", "target", "lam"))
    theirs, budget = deepcore[f"omp{k}_weights"], int(deepcore[f"omp{k}_budget"])
    picked, left = pursued(rows, goal, float(lam), budget)
    chosen = rows[picked]
    within, along = chosen @ chosen.T + lam * np.eye(budget), chosen @ goal
    np.testing.assert_allclose(left, goal - chosen.T @ np.linalg.solve(within, along), atol=1e-12)
    weights = np.zeros(len(rows))
    weights[picked] = nnls(within, along)[0] if budget > 1 else 1.0
    np.testing.assert_allclose(weights, theirs, rtol=1e-6, atol=1e-9)  # theirs are float32


def test_glister_without_a_step_equals_deepcore_which_never_takes_one() -> None:
    rows, goal = (deepcore[f"glister_{name}"].astype(float) for name in ("train_grads", "val_grad"))
    picked, left = led(rows, goal[None], 0.0, len(deepcore["glister_deepcore_sel"]))
    np.testing.assert_array_equal(np.sort(picked), deepcore["glister_deepcore_sel"])
    np.testing.assert_array_equal(left, goal)
