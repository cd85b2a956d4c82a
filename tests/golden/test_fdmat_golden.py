"""FDMat against the authors' own function, whose pool is sorted by class and divisible by their number."""

from pathlib import Path

import numpy as np
import pytest

from goracs.selection.fdmat import FdMat, squared_distances, standardised, transported
from goracs.types import SelectionProblem

golden = np.load(Path(__file__).parent / "fdmat.npz")
FLOAT32 = 2e-6  # theirs; .5e-6 seen
REGULARISATION = 1 / float(golden["lmda"])


def test_scores_equal_the_authors() -> None:
    costs = squared_distances(standardised(golden["X"], float(golden["power"])), golden["labels"])
    plan, error = transported(costs, golden["labels"], REGULARISATION)
    np.testing.assert_allclose(((plan * costs) ** 2).sum(axis=1), golden["score"], rtol=FLOAT32)
    assert error < 1e-10


@pytest.mark.parametrize("budget", [1, 7, 23, 24])
def test_fdmat_keeps_the_smallest_of_the_authors_scores(budget: int) -> None:
    selector = FdMat(power=float(golden["power"]), regularisation=REGULARISATION, by_class=False)
    labels = golden["labels"]
    problem = SelectionProblem(golden["X"], golden["X"][:1], labels=labels, target_labels=labels[:1])
    found = selector.select(problem, budget, np.random.default_rng(0))
    np.testing.assert_array_equal(found.indices, np.sort(np.argsort(golden["score"])[:budget]))
    assert found.report["largest_kept"] == pytest.approx(np.sort(golden["score"])[budget - 1], rel=FLOAT32)
