"""K-center greedy against DeepCore's own function, first row given."""

from pathlib import Path

import numpy as np
import pytest

from goracs.selection.kcenter import KCenter
from goracs.types import SelectionProblem

golden = np.load(Path(__file__).parent / "deepcore.npz")


@pytest.mark.parametrize("k", range(4))
def test_kcenter_equals_deepcore(k: int) -> None:
    features = golden[f"kc{k}_X"]
    selector = KCenter(start=int(golden[f"kc{k}_first"]), by_class=False)
    problem = SelectionProblem(features, features[:1])
    coreset = selector.select(problem, int(golden[f"kc{k}_budget"]), np.random.default_rng(0))
    np.testing.assert_array_equal(coreset.indices, golden[f"kc{k}_sel_sorted"])
