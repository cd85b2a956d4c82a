"""The bootstrap over users: what is drawn, what the interval is, what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from goracs.evaluation import bootstrap
from goracs.evaluation.bootstrap import Estimate, estimate, mean_estimate, user_weights
from goracs.types import FloatArray, InvalidInput

ROUNDING = 1e-12  # sums of a few float64 in another order
USERS = ["b", "a", "b", "c", "a", "b"]


def test_estimate_to_dict_equals_its_five_fields() -> None:
    assert Estimate(0.5, 0.25, 0.75, 8, 3).to_dict() == {
        "value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "users": 3,
    }  # fmt: skip


def test_user_weights_keeps_the_number_of_users_drawn() -> None:
    (weights,) = user_weights(USERS, draws=50, seed=0)
    first_of_each = weights[:, [1, 0, 3]]  # a, b, c
    np.testing.assert_array_equal(first_of_each.sum(axis=1), 3)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 5])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert len(np.unique(first_of_each, axis=0)) > 1, "every resample is the same"


def test_user_weights_is_unchanged_by_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = user_weights(USERS, draws=20, seed=3)
    monkeypatch.setattr(bootstrap, "CELLS", 3 * len(USERS))
    blocks = list(user_weights(USERS, draws=20, seed=3))
    assert [len(block) for block in blocks] == [3] * 6 + [2]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_user_weights_keeps_at_most_one_block_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "CELLS", 1)
    assert {block.shape for block in user_weights(USERS, draws=4, seed=0)} == {(1, len(USERS))}


def test_mean_estimate_equals_the_percentiles_of_all_resamples() -> None:
    """Three users can be drawn in 27 ways; many draws find the percentiles of those 27 means."""
    values = np.array([0.0, 1.0, 3.0, 10.0])
    users = ["a", "a", "b", "c"]
    sums, counts = np.array([1.0, 3.0, 10.0]), np.array([2, 1, 1])
    means = [sums[list(p)].sum() / counts[list(p)].sum() for p in product(range(3), repeat=3)]
    found = mean_estimate(values, users, draws=20_000, seed=0)
    assert found.value == 14 / 4
    assert found.low == pytest.approx(np.percentile(means, 2.5, method="inverted_cdf"), abs=ROUNDING)
    assert found.high == pytest.approx(np.percentile(means, 97.5, method="inverted_cdf"), abs=ROUNDING)
    assert (found.n, found.users) == (4, 3)


def test_mean_estimate_keeps_the_value_without_an_interval_for_one_user() -> None:
    assert mean_estimate(np.array([1.0, 2.0]), ["a", "a"], draws=5, seed=0) == Estimate(1.5, None, None, 2, 1)


def test_estimate_keeps_no_interval_where_many_resamples_have_no_value() -> None:
    """Of two users only one has the statistic: a quarter of the resamples miss that user."""

    def seen(weights: FloatArray) -> FloatArray:
        return np.where(weights[:, 0] > 0, 1.0, np.nan)

    assert estimate(1.0, seen, ["a", "b"], n=2, draws=200, seed=0) == Estimate(1.0, None, None, 2, 2)


def test_estimate_keeps_the_interval_where_few_resamples_have_no_value() -> None:
    def rarely_undefined(weights: FloatArray) -> FloatArray:
        values = np.arange(len(weights), dtype=np.float64)
        values[:2] = np.nan
        return values

    found = estimate(50.0, rarely_undefined, ["a", "b"], n=2, draws=101, seed=0)
    assert (found.low, found.high) == (2.0, 100.0), "an undefined resample stands outside the interval"


@pytest.mark.parametrize(
    ("values", "users", "draws", "message"),
    [
        ([], [], 5, r"at least one test sample, got none"),
        ([1.0], ["a"], 0, r"at least 1 draw, got 0"),
        ([1.0, 2.0], ["a"], 5, r"one user per value, got 1 for 2"),
    ],
)
def test_mean_estimate_refuses_bad_input(
    values: list[float], users: list[str], draws: int, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        mean_estimate(np.array(values), users, draws=draws, seed=0)
