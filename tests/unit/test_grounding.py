"""Distances between generated titles and items."""

from __future__ import annotations

import numpy as np
import pytest

from goracs.evaluation import grounding
from goracs.evaluation.grounding import nearest_distances
from goracs.types import FloatArray, InvalidInput

ROUNDING = 1e-12  # float64 sums in another order


def test_nearest_distances_equals_the_norm_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    generated, items = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(11, 5)).astype(np.float32)
    differences = generated.astype(np.float64)[:, None] - items.astype(np.float64)[None]
    found = nearest_distances(generated, items)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.linalg.norm(differences, axis=2), rtol=0, atol=ROUNDING)


def test_nearest_distances_equals_zero_for_equal_vectors_far_from_the_origin() -> None:
    """An inner-product form leaves about 0.1 here."""
    far = 1e6 + np.random.default_rng(0).normal(size=(20, 64))
    np.testing.assert_array_equal(np.diag(nearest_distances(far, far)), 0.0)


def test_nearest_distances_is_unchanged_by_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    generated, items = rng.normal(size=(7, 5)), rng.normal(size=(11, 5))
    whole = nearest_distances(generated, items)
    monkeypatch.setattr(grounding, "ROWS", 3)
    np.testing.assert_array_equal(nearest_distances(generated, items), whole)
    items[7] = np.nan
    with pytest.raises(InvalidInput, match=r"items are not finite in rows \[7\]"):
        nearest_distances(generated, items)


@pytest.mark.parametrize(
    ("generated", "items", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), r"\(2, 3\) and items \(2, 4\) must be matrices of one width"),
        (np.ones(3), np.ones((2, 3)), r"must be matrices of one width"),
        (np.array([[1.0], [np.nan]]), np.ones((2, 1)), r"generated titles are not finite in rows \[1\]"),
        (np.ones((2, 1)), np.array([[1.0], [1.0], [np.inf]]), r"items are not finite in rows \[2\]"),
    ],
)
def test_nearest_distances_refuses_bad_input(generated: FloatArray, items: FloatArray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        nearest_distances(generated, items)
