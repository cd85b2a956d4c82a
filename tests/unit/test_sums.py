"""Sums of rows in any order and in any parts, against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from goracs.ot import sums
from goracs.ot.part import mean, whole

tables = st.tuples(st.integers(1, 9), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e12, 1e12, allow_subnormal=False))
)


@given(rows=tables, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_mean_is_the_same_in_any_order_and_as_near_as_it_says(rows: Any, seed: int) -> None:
    draw = np.random.default_rng(seed)
    found = mean(whole(rows))
    np.testing.assert_array_equal(mean(whole(rows, draw.permutation(len(rows)))), found)
    np.testing.assert_array_equal(mean(whole(rows[draw.permutation(len(rows))])), found)
    for column, one in zip(rows.T, found, strict=True):
        exact = sum(map(Fraction, column.tolist()), Fraction(0)) / len(column)
        largest = Fraction(float(np.abs(column).max()))
        assert abs(Fraction(float(one)) - exact) <= 2 * largest / 2**119 + abs(exact) / 2**51


def test_sums_of_parts_add_up_to_those_of_all() -> None:
    """Where float64 would lose the small one, or not, by the order: 1 beside 1e16 and -1e16."""
    rows = np.array([[1.0], [1e16], [1.0], [-1e16], [1.0], [0.25]])
    above = sums.exponents(np.abs(rows).max(axis=0))
    parts = [whole(rows[start : start + 2]).sums(above) for start in (0, 2, 4)]
    np.testing.assert_array_equal(np.sum(parts, axis=0), whole(rows).sums(above))
    assert sums.mean(whole(rows).sums(above), np.array([1]), above).tolist() == [3.25]


def test_a_row_far_out_takes_no_digits_from_the_mean_of_others() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    above = np.full(3, 80)  # of a row of 1e24
    found = sums.mean(whole(rows).sums(above), np.array([60]), above)
    exact = [float(sum(map(Fraction, column), Fraction(0)) / 60) for column in rows.T.tolist()]
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=0)


def test_parts_that_nearly_cancel_leave_all_digits() -> None:
    one = 2.0**-30
    rows = np.array([[60 * one], *[[-one * (1 - 2.0**-25)]] * 60])
    found = sums.mean(whole(rows).sums(np.zeros(1, np.int64)), np.array([61]), np.zeros(1, np.int64))
    np.testing.assert_allclose(found, 60 * one * 2.0**-25 / 61, rtol=1e-14)


def test_a_mean_of_equal_rows_is_the_row() -> None:
    rows = np.repeat(np.array([[0.1, -3.7e200, 1e-300, 0.0]]), 7, axis=0)
    np.testing.assert_array_equal(mean(whole(rows)), rows[0])
    np.testing.assert_array_equal(mean(whole(rows.astype(">f8"))), rows[0])
