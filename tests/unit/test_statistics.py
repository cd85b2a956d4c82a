"""How sure a difference between methods is: intervals and chances against libraries and enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from goracs.report.statistics import difference, effect_size, holm, interval_of_both, paired_p, t_interval
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


def test_differences_that_are_all_one_number_are_as_sure_as_their_signs() -> None:
    assert paired_p(np.zeros(3)) == 1.0
    assert paired_p(np.full(2, 0.25)) == 0.5
    assert paired_p(np.full(3, 0.05)) == 0.25  # whose deviation is not 0, by rounding
    assert effect_size(np.full(3, 0.05)) is None
    assert paired_p(np.full(6, -0.25)) == pytest.approx(stats.binomtest(0, 6).pvalue)


def test_users_who_make_no_difference_leave_the_interval_over_seeds() -> None:
    values = np.array([0.5, 0.25, 1.0])
    same = np.tile(values[:, None], 50)
    assert interval_of_both(values, same) == pytest.approx(t_interval(values))


def test_seeds_that_agree_leave_the_error_of_the_users() -> None:
    users = np.random.default_rng(0).normal(size=1000)
    low, high = interval_of_both(np.zeros(3), np.tile(users, (3, 1))) or (0.0, 0.0)
    assert high == -low == pytest.approx(stats.norm.ppf(0.975) * users.std(ddof=1))


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("users_error", [0.0, 0.4, 2.0])
def test_the_interval_of_both_covers_the_truth(users_error: float, seeds: int) -> None:
    """Errors of seeds, of users and of both together: 2,000 studies, the truth is 0."""
    rng, count, studies = np.random.default_rng(2), 40, 2000
    covered = 0
    for _ in range(studies):
        of_user = users_error * rng.normal(size=count) + 0.3 * rng.normal(size=(seeds, count))
        answers = rng.normal(size=(seeds, 1)) + of_user * count**0.5
        draws = rng.integers(count, size=(60, count))
        found = interval_of_both(answers.mean(axis=1), answers[:, draws].mean(axis=2))
        assert found is not None
        covered += found[0] <= 0 <= found[1]
    assert 0.935 <= covered / studies <= 0.99


def test_resamples_without_a_value_leave_no_interval() -> None:
    resampled = np.ones((2, 200))
    resampled[0, 0] = np.nan
    assert interval_of_both(np.array([0.0, 1.0]), resampled) is None


def test_one_seed_says_nothing_of_others() -> None:
    found = difference(np.array([0.5]), np.array([[0.25, 0.5, 0.75]]))
    assert (found.mean, found.seeds, found.both, found.p) == (0.5, None, None, None)


@pytest.mark.parametrize("shape", [(3, 5), (2,)])
def test_shapes_that_do_not_go_together_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"values \[S\] and resampled values \[S, B\]"):
        difference(np.zeros(2), np.zeros(shape))


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
