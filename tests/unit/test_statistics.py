"""How sure a difference between methods is: intervals and chances against libraries and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from goracs.report.statistics import difference, holm, interval_of_both, paired_p, t_interval
from goracs.types import InvalidInput

SAME = 1e-12
values = st.lists(st.floats(-5, 5), min_size=2, max_size=8).filter(lambda found: np.std(found) > 1e-3)
chances = st.lists(st.floats(0, 1), min_size=1, max_size=9)


@given(values)
def test_interval_and_chance_over_seeds_equal_scipys(found: list[float]) -> None:
    theirs = stats.ttest_1samp(found, 0.0)
    ends = theirs.confidence_interval(0.95)
    assert t_interval(np.array(found)) == pytest.approx((ends.low, ends.high), rel=1e-9, abs=1e-9)
    assert paired_p(np.array(found)) == pytest.approx(theirs.pvalue, rel=1e-6, abs=SAME)


def test_differences_that_are_all_one_number_are_certain() -> None:
    assert paired_p(np.zeros(3)) == 1.0
    assert paired_p(np.full(3, 0.25)) == 0.0


def test_two_seeds_without_users_vary_as_the_four_ways_to_draw_them() -> None:
    """Means -1, 0, 0, 1: each end lies beyond 2.5% of them."""
    means = sorted(float(np.mean(pair)) for pair in product((-1.0, 1.0), repeat=2))
    found = interval_of_both(np.tile([[-1.0], [1.0]], 4000), seed=0)
    assert found == (means[0], means[-1])


def test_seeds_that_agree_leave_the_interval_over_users() -> None:
    users = np.random.default_rng(0).normal(size=1000)
    found = interval_of_both(np.tile(users, (3, 1)), seed=1)
    ends = np.quantile(users, 0.025, method="lower"), np.quantile(users, 0.975, method="higher")
    assert found == pytest.approx(ends, abs=SAME)


def test_the_interval_of_both_is_as_wide_as_its_two_chances() -> None:
    """Seeds and users independent and normal: the variances of their means add up."""
    rng, seeds, draws = np.random.default_rng(2), 40, 20_000
    effects, users = rng.normal(size=(seeds, 1)), rng.normal(scale=0.2, size=draws)
    found = interval_of_both(effects + users, seed=0)
    assert found is not None
    deviation = np.hypot(effects.std() / seeds**0.5, users.std())
    assert found[1] - found[0] == pytest.approx(2 * 1.96 * deviation, rel=0.03)


def test_resamples_without_a_value_open_the_interval() -> None:
    resampled = np.ones((2, 200))
    resampled[0, :2] = np.nan
    assert interval_of_both(resampled, seed=0) == (1.0, 1.0)
    resampled[:, :20] = np.nan
    assert interval_of_both(resampled, seed=0) is None


def test_one_seed_has_no_interval_over_seeds() -> None:
    found = difference(np.array([0.5]), np.array([[0.25, 0.5, 0.75]]), seed=0)
    assert (found.mean, found.seeds, found.p) == (0.5, None, None)
    assert found.both == (0.25, 0.75)


@pytest.mark.parametrize("shape", [(3, 5), (2,)])
def test_shapes_that_do_not_go_together_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"values \[S\] and resampled values \[S, B\]"):
        difference(np.zeros(2), np.zeros(shape), seed=0)


def test_holm_equals_the_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(chances)
def test_holm_rejects_what_the_step_down_procedure_rejects(found: list[float]) -> None:
    """Reject from the smallest p on while p <= level / (number left); stop at the first that is not."""
    corrected, order = holm(found), np.argsort(found, kind="stable")
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), len(found)
        for place in order:
            if found[place] * left > level:
                break
            rejected.add(int(place))
            left -= 1
        assert {place for place, p in enumerate(corrected) if p <= level} == rejected
