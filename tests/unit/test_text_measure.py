"""The figures that are held against fine-tunes on texts."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.text_measure import FIGURES, Arrays, figures, table


def test_figures_are_smaller_for_rows_whose_gradients_are_those_that_judge() -> None:
    rng = np.random.default_rng(0)
    judging = rng.normal(size=(40, 6)) + np.array([3.0, 0, 0, 0, 0, 0])
    pool = np.concatenate([judging[:20], rng.normal(size=(20, 6)) - 1])
    given = Arrays({}, (pool, judging), np.arange(40))
    near, far = figures(given, np.arange(20)), figures(given, np.arange(20, 40))
    assert set(near) == set(FIGURES)
    assert all(near[name] < far[name] for name in FIGURES)
    mean = pool[:20].mean(axis=0), judging.mean(axis=0)
    assert near["first order"] == pytest.approx(-float(mean[0] @ mean[1]))


def test_the_table_ranks_figures_by_the_losses_of_coresets_alone() -> None:
    found = [{"coreset": "start", "loss": 9.0}]
    for place in range(4):
        signs = dict(zip(FIGURES, (place, -place, place, 0), strict=True))
        found.append({"coreset": f"c{place}", "loss": float(place), **signs})
    found.append({"coreset": "el2n", "loss": 9.0, **dict.fromkeys(FIGURES, -5)})
    lines = table(found).splitlines()
    assert lines[-2] == "| rank correlation |  | 0.00 | -1.00 | 0.00 | -0.71 |"
    assert lines[-1] == "| without el2n, grand, lam 0.5 |  | 1.00 | -1.00 | 1.00 | - |"
