"""The head: the optimum by two libraries, whatever the shape; and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from goracs.evaluation import head
from goracs.types import GoracsError, InvalidInput

AGREED = 1e-8


def drawn(n: int, d: int, seed: int, offset: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d, seed])
    return rng.normal(size=(n, d)), rng.integers(0, 2, n), offset * rng.normal(size=n)


@pytest.mark.parametrize(("n", "d"), [(200, 5), (40, 60), (7, 30), (64, 64)])
@pytest.mark.parametrize("penalty", [1e-3, 0.03, 1.0])
def test_fit_equals_scikit_learn_without_offsets(n: int, d: int, penalty: float) -> None:
    """Its objective is C sum of losses + |w|^2 / 2: C = 1 / (n penalty), the constant as a column."""
    rows, labels, _ = drawn(n, d, 0)
    theirs = LogisticRegression(C=1 / (n * penalty), fit_intercept=False, tol=1e-13, max_iter=10**5)
    theirs.set_params(solver="newton-cholesky").fit(np.column_stack([rows, np.ones(n)]), labels)
    np.testing.assert_allclose(head.fit(rows, labels, np.zeros(n), penalty), theirs.coef_[0], atol=AGREED)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99), st.sampled_from([0.01, 0.3, 5.0]))
def test_fit_is_where_the_slope_vanishes(n: int, d: int, seed: int, penalty: float) -> None:
    """With offsets and one class alone too; the slope worked out from the definition."""
    rows, labels, offsets = drawn(n, d, seed, offset=5.0)
    found = head.fit(rows, labels, offsets, penalty)
    chance = 1 / (1 + np.exp(-head.margins(found, rows, offsets)))
    slope = np.column_stack([rows, np.ones(n)]).T @ (chance - labels) / n + penalty * found
    assert np.linalg.norm(slope) <= 2 * head.EXACT * penalty


def test_fit_equals_a_general_minimiser_with_offsets() -> None:
    rows, labels, offsets = drawn(50, 6, 3, offset=2.0)
    signs = 2 * labels - 1

    def loss(w: np.ndarray) -> float:
        margins = rows @ w[:-1] + w[-1] + offsets
        return float(np.logaddexp(0, -signs * margins).mean() + 0.05 * w @ w)

    theirs = minimize(loss, np.zeros(7), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(head.fit(rows, labels, offsets, 0.1), theirs, atol=1e-6)  # finite differences


def test_far_offsets_and_large_states_still_reach_the_optimum() -> None:
    """Full Newton steps would jump over it."""
    rows, labels, offsets = drawn(30, 4, 5, offset=300.0)
    found = head.fit(30 * rows, labels, offsets, 1e-4)
    assert np.isfinite(found).all()


def test_a_larger_penalty_never_gives_larger_weights() -> None:
    rows, labels, offsets = drawn(40, 10, 6)
    norms = [np.linalg.norm(head.fit(rows, labels, offsets, penalty)) for penalty in (0.01, 0.1, 1.0, 10.0)]
    assert norms == sorted(norms, reverse=True)


@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 99))
def test_a_folded_head_gives_raw_hidden_states_the_margins_of_units(n: int, d: int, seed: int) -> None:
    pool, _, offsets = drawn(n, d, seed)
    pool = (pool * np.logspace(-2, 2, d) + 7).astype(np.float32)
    pool[:, 0] = 3.0  # the same in the whole pool
    unit, weights = head.units(pool), np.random.default_rng(seed).normal(size=d + 1)
    found = head.margins(unit.folded(weights), pool, offsets)
    np.testing.assert_allclose(found, head.margins(weights, unit.of(pool), offsets), atol=1e-10)
    np.testing.assert_array_equal(unit.of(pool), head.standardised(pool)[0])
    assert not unit.of(pool)[:, 0].any()
    assert unit.vary == (d > 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": np.empty((0, 2)), "labels": np.empty(0, int), "offsets": np.empty(0)}, "at least one"),
        ({"labels": np.array([0, 1])}, "one label and one offset"),
        ({"labels": np.array([0, 1, 2])}, "must be 0 or 1"),
        ({"offsets": np.array([0, np.nan, 0])}, "must be finite"),
        ({"hidden": np.array([[1, 1], [1, np.inf], [1, 1]])}, "must be finite"),
        ({"penalty": 0.0}, "must be a number > 0"),
        ({"penalty": True}, "must be a number > 0, got True"),
        ({"penalty": np.inf}, "must be a number > 0, got inf"),
    ],
)
def test_fit_refuses_bad_input(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"hidden": np.ones((3, 2)), "labels": np.array([0, 1, 1]), "offsets": np.zeros(3)}
    with pytest.raises(InvalidInput, match=message):
        head.fit(**({**good, "penalty": 0.1} | changes))


def test_fit_says_when_rounding_keeps_it_from_the_optimum() -> None:
    with pytest.raises(GoracsError, match="scale the hidden states"):
        head.fit(1e12 * np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2, np.zeros(20), 1e-9)
