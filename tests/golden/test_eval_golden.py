"""The ranking metrics agree with the figures of the authors' evaluation on given distances and negatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goracs.evaluation.ranking import ranking_metrics, ranks
from goracs.types import FloatArray, IndexArray

ROUNDING = 1e-12  # means of a dozen float64
GOLDEN = np.load(Path(__file__).parent / "eval_metrics.npz")


def candidates(case: int) -> tuple[FloatArray, IndexArray]:
    """Distances with +inf off the candidates, and each row's target column: its title's nearest."""
    names, target = GOLDEN[f"seq{case}_names"], GOLDEN[f"seq{case}_target"]
    distances = GOLDEN[f"seq{case}_dist"]
    own = np.where(names == target[:, None], distances, np.inf)
    columns = own.argmin(axis=1)
    is_negative = (names[None, :, None] == GOLDEN[f"seq{case}_neg"][:, None, :]).any(axis=2)
    masked = np.where(is_negative, distances, np.inf)
    masked[np.arange(len(columns)), columns] = own.min(axis=1)
    return masked, columns


@pytest.mark.parametrize("case", [0, 1], ids=["distinct titles", "duplicate titles"])
def test_ranking_metrics_equals_the_authors_figures(case: int) -> None:
    positions = ranks(*candidates(case))
    users = [f"u{row}" for row in range(len(positions))]
    found = ranking_metrics(positions, users, draws=10, seed=0)
    for name, index in (("ndcg", 0), ("hr", 0), ("ndcg", 1), ("hr", 1)):
        expected = GOLDEN[f"seq{case}_{name.upper()}_5_10"][index]
        assert found[f"{name}@{(5, 10)[index]}"]["value"] == pytest.approx(expected, abs=ROUNDING)
