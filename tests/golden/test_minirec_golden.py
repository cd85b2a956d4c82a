"""MiniRec's score and picks against its authors' own functions (float32 there)."""

from pathlib import Path

import numpy as np
import pytest

from goracs.selection.minirec import MiniRec, directions, diverse, representativeness
from goracs.types import SelectionProblem

golden = np.load(Path(__file__).parent / "minirec.npz")
FLOAT32 = 1e-5  # cosines of float32, stretched by min-max


@pytest.mark.parametrize("case", ["small", "wide"])
def test_minirec_equals_its_authors(case: str) -> None:
    features, sketches, rows = (golden[f"{case}_{name}"] for name in ("X", "G", "rows"))
    score = representativeness(sketches.astype(np.float64))
    np.testing.assert_allclose(score, golden[f"{case}_scores"], atol=FLOAT32)
    picked = diverse(directions(features.astype(np.float64)), score, len(rows))
    np.testing.assert_array_equal(picked, rows)
    problem = SelectionProblem(features, features[:1], scores={"sketch": sketches})
    coreset = MiniRec(by_class=False).select(problem, len(rows), np.random.default_rng(0))
    np.testing.assert_array_equal(coreset.indices, np.sort(rows))
