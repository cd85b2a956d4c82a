"""Conformance with values made by the authors' code of LESS."""

from pathlib import Path

import numpy as np
import pytest
import torch

from goracs.llm import adam
from goracs.llm.course import joined_unit_sketch
from goracs.selection.alignment import best_aligned, task_means
from goracs.selection.less import Less
from goracs.types import SelectionProblem

less = np.load(Path(__file__).parent / "less.npz")


def test_an_adam_step_of_a_gradient_equals_the_authors() -> None:
    first, second, gradient = (torch.from_numpy(less[f"less_adam_{name}"]) for name in ("m", "v", "grad"))
    assert (*adam.BETAS, adam.EPS) == (*less["less_adam_beta"].tolist(), float(less["less_adam_eps"]))
    found = adam.Moments(first, second).step(gradient[None])[0]
    np.testing.assert_allclose(found.numpy(), less["less_adam_out"], rtol=1e-12)


def test_influence_over_checkpoints_and_sub_tasks_equals_the_authors() -> None:
    """Their gradients come at norm 1; ours come as they are, so here each at a norm of its own."""
    score = less["less_score"]
    weights = less["less_weights"] / less["less_weights"].sum()
    scales = np.random.default_rng(0).uniform(0.1, 9, size=33)[:, None]
    both = [
        scales * np.concatenate([less[f"less_train_ckpt{step}"], less[f"less_val_ckpt{step}"]])
        for step in ("10", "20")
    ]
    units = joined_unit_sketch(both, weights)
    given = SelectionProblem(
        np.empty((15, 0)),
        np.empty((18, 0)),
        scores={"unit_sketch": units[:15]},
        target_scores={"unit_sketch": units[15:]},
        target_users=np.arange(18) // (18 // int(less["less_nsub"])),
    )
    tasks = task_means(given, units[15:], "user", "less")
    np.testing.assert_allclose(best_aligned(units[:15], np.arange(15), tasks), score, rtol=3e-6)
    coreset = Less(per="user", by_class=False).select(given, 6, np.random.default_rng(0))
    assert coreset.indices.tolist() == np.sort(np.argsort(-score)[:6]).tolist()
    assert coreset.report["smallest_kept"] == pytest.approx(np.sort(score)[-6], rel=3e-6)
