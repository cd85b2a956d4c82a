"""The ground cost: its units, and that an entry depends on its own two rows alone."""

import numpy as np
import pytest

from goracs.ot import cost, distance
from goracs.types import InvalidInput, Scale

ROUNDING = 1e-14  # a few float64 operations on numbers of order 1


def table(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_distances_equals_the_sum_of_squares() -> None:
    pool, target = table(5, 3), table(4, 3, seed=1)
    by_hand = [[np.sqrt(((x - v) ** 2).sum()) for v in target] for x in pool]
    np.testing.assert_allclose(distance.distances(pool, target), by_hand, rtol=ROUNDING)


def test_distances_keeps_digits_of_near_rows() -> None:
    near = np.array([[1e4, 1.0]]), np.array([[1e4, 1.0 + 1e-9]])
    assert distance.distances(*near)[0, 0] == (1.0 + 1e-9) - 1.0  # expanding the square would give 0


def test_distances_is_unchanged_by_blocks_and_order() -> None:
    pool, target = table(40, 6).astype(np.float32), table(7, 6, seed=1).astype(np.float32)
    whole, order = distance.distances(pool, target), np.random.default_rng(2).permutation(40)
    np.testing.assert_array_equal(distance.distances(pool[13:21], target), whole[13:21])
    np.testing.assert_array_equal(distance.distances(pool[order], target), whole[order])
    assert whole.dtype == np.float64


def test_distances_refuses_embeddings_without_columns() -> None:
    with pytest.raises(InvalidInput, match="these have no columns"):
        distance.distances(np.empty((3, 0)), np.empty((2, 0)))


def test_measure_scale_equals_the_maxima(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target, gradients = table(25, 4), table(6, 4, seed=1), np.arange(25.0)
    expected = Scale(distance=float(distance.distances(pool, target).max()), gradient=24.0)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * 6 * 5)
    assert cost.measure_scale(pool, target, gradients) == expected
    far_last = np.concatenate([pool, [[99.0, 0, 0, 0]]])
    assert cost.measure_scale(far_last, target, None).distance > expected.distance


def test_measure_scale_equals_one_where_the_maximum_is_zero() -> None:
    same = np.ones((3, 2))
    assert cost.measure_scale(same, same[:1], np.zeros(3)) == Scale(1.0, 1.0)
    assert cost.measure_scale(same, same[:1], None) == Scale(1.0, 1.0)


def test_degenerate_terms_equals_one_warning_per_term() -> None:
    same, other = np.ones((3, 2)), table(3, 2)
    assert cost.degenerate_terms(other, same, np.ones(3)) == []
    assert cost.degenerate_terms(same, other, None) == []
    one_off = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]])  # alike but for the last
    assert cost.degenerate_terms(same, one_off, None) == []
    assert cost.degenerate_terms(one_off, same, None) == []
    found = cost.degenerate_terms(same, same[:2], np.zeros(3))
    assert ["embeddings" in found[0], "gradient" in found[1]] == [True, True]


def test_unit_scale_refuses_an_overflow() -> None:
    huge = np.full((2, 2), 1e200)
    with pytest.raises(InvalidInput, match="overflow float64"):
        cost.measure_scale(huge, -huge, None)


@pytest.mark.parametrize("size", [1e-160, 1e-200, 2.0**-1060])
def test_measure_scale_refuses_distances_whose_squares_vanish(size: float) -> None:
    """They came as 0, or with no digit right, and nobody said so."""
    pool, target = table(5, 3), table(4, 3, seed=1)
    with pytest.raises(
        InvalidInput, match="largest distance is below 1e-145, too small for float64 to square"
    ):
        cost.measure_scale(size * pool, size * target, None)
    whole, small = (cost.measure_scale(by * pool, by * target, None).distance for by in (1.0, 1e-144))
    assert small == pytest.approx(1e-144 * whole, rel=ROUNDING)


def test_unit_scale_refuses_norms_that_nothing_can_be_divided_by() -> None:
    """lam / max g would overflow; a largest norm of 0 counts as 1."""
    with pytest.raises(InvalidInput, match="largest gradient norm is 1e-310, too small"):
        cost.unit_scale(1.0, 1e-310)
    assert cost.unit_scale(1.0, 1e-290).gradient == 1e-290


def test_ground_cost_equals_the_formula() -> None:
    found, gradients = np.array([[2.0, 4.0], [1.0, 0.0]]), np.array([3.0, 6.0])
    costs = cost.ground_cost(found, gradients, 0.5, Scale(4.0, 6.0))
    np.testing.assert_allclose(costs, [[0.5 - 0.25, 1.0 - 0.25], [0.25 - 0.5, 0.0 - 0.5]], rtol=ROUNDING)
    np.testing.assert_array_equal(cost.ground_cost(found, None, 0.0, Scale(4.0, 1.0)), found / 4)


def test_ground_cost_keeps_its_input() -> None:
    found = np.ones((2, 2))
    cost.ground_cost(found, np.ones(2), 1.0, Scale(1.0, 1.0))
    np.testing.assert_array_equal(found, np.ones((2, 2)))


def test_min_max_equals_zero_to_one() -> None:
    mapped = cost.min_max(np.array([[-3.0, 1.0], [5.0, 3.0]]))
    np.testing.assert_allclose(mapped, [[0.0, 0.5], [1.0, 0.75]], rtol=ROUNDING)
    np.testing.assert_array_equal(cost.min_max(np.full((2, 2), 7.0)), np.zeros((2, 2)))
