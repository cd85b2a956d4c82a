"""Rows compared with one point after another, against all exact distances."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from goracs.ot import distance
from goracs.ot.one_point import NONE, Away, Rows
from goracs.types import InvalidInput

quick = settings(max_examples=40, deadline=None)
grids = st.tuples(st.integers(1, 9), st.integers(1, 3)).flatmap(  # whole numbers: ties and equal rows
    lambda shape: arrays(np.float32, shape, elements=st.integers(-2, 2).map(float))
)


def close_together() -> Any:
    """Rows 1e-4 apart, and one that is 1e4 away: float32 products cannot tell the others."""
    rows = 1e3 + 1e-4 * np.random.default_rng(0).normal(size=(60, 5))
    rows[30] = 1e4
    return rows


def farthest_first(rows: Any, start: int) -> list[int]:
    """Every distance formed at every step; chosen rows are not chosen again."""
    full, chosen = distance.distances(rows, rows), [start]
    while len(chosen) < len(rows):
        near = full[:, chosen].min(axis=1)
        near[chosen] = -1
        chosen.append(int(near.argmax()))
    return chosen


def traversed(rows: Any, start: int) -> list[int]:
    found, free, chosen = Away(held(rows)), np.ones(len(rows), np.bool_), [start]
    while len(chosen) < len(rows):
        found.add(rows[chosen[-1:]])
        free[chosen[-1]] = False
        chosen.append(found.farthest(free)[0])
    return chosen


def held(rows: Any) -> Rows:
    """Stored the other way round."""
    return Rows(rows[::-1], np.arange(len(rows))[::-1])


@given(rows=grids, data=st.data())
@quick
def test_a_traversal_equals_all_distances(rows: Any, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(rows) - 1))
    assert traversed(rows, start) == farthest_first(rows, start)


@pytest.mark.parametrize("block", [2**25, 100])
def test_what_float32_cannot_tell_is_decided_exactly(monkeypatch: Any, block: int) -> None:
    monkeypatch.setattr(distance, "BLOCK_BYTES", block)
    rows = close_together()
    assert traversed(rows, 7) == farthest_first(rows, 7)
    points, free = held(rows), np.arange(60) % 3 > 0
    for point in [*rows, rows[0] + 100, np.zeros(5), np.full(5, 1e32), np.full(5, 1e60)]:  # the last is FAR
        away = np.where(free, distance.distances(rows, point[None])[:, 0], np.inf)
        assert points.nearest(point, free) == (int(away.argmin()), float(away.min()))


def test_the_farthest_is_as_far_as_it_is() -> None:
    rows = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    found, free = Away(held(rows)), np.ones(40, np.bool_)
    for points in (rows[:1], rows[7:9], rows[20:24] + 1e3):  # any number at once, and those of others
        found.add(points)
        row, away = found.farthest(free)
        assert away == distance.distances(rows[row : row + 1], np.array(found.points)).min()
        free[row] = False
    free[:] = False
    assert found.farthest(free) == (NONE, 0.0)


@given(rows=grids, data=st.data())
@quick
def test_a_race_by_lots_equals_all_distances(rows: Any, data: st.DataObject) -> None:
    lots = data.draw(arrays(np.float64, len(rows), elements=st.sampled_from([1e-3, 0.5, 1.0, 2.0])))
    free = data.draw(arrays(np.bool_, len(rows)))
    found = Away(held(rows))
    found.add(rows[:2])
    away = distance.distances(rows, rows[:2]).min(axis=1) / np.sqrt(lots)
    away[~free] = -1
    expected = (int(away.argmax()), float(away.max())) if free.any() else (NONE, 0.0)
    assert found.farthest(free, lots) == expected


def test_points_too_far_off_for_float32_are_measured() -> None:
    rows = np.array([[1e-12], [3e-12], [2e-12]])
    for points in ([[5.0], [1e-12]], [[1e-12], [1e10]], [[1e10], [1e-12]], [[5.0]]):
        found = Away(held(rows))
        found.add(np.array(points))
        away = distance.distances(rows, np.array(points)).min(axis=1)
        assert found.farthest(np.ones(3, np.bool_)) == (int(away.argmax()), float(away.max()))


def test_a_point_beyond_all_measure_of_the_rows_has_its_nearest() -> None:
    rows = np.array([[3e-320], [1e-320], [2e-320]])
    points, free = held(rows), np.ones(3, np.bool_)
    assert points.nearest(np.array([1.0]), free) == (0, 1.0)
    assert traversed(rows, 1) == [1, 0, 2]


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_squares_are_off_by_less_than_they_say(size: float) -> None:
    rows = (size * np.random.default_rng(2).normal(5, 1, size=(300, 70))).astype(np.float32)
    points = held(rows)
    for far in (0, 1, 50):  # units off
        some = rows[::50] + far / 70**0.5 * points.unit
        exact = distance.distances(rows, some) / points.unit
        for place, point in enumerate(some):
            found, error = points.squares(point)
            assert (np.abs(found - exact[:, place] ** 2) <= error).all()
            assert error < 1e-4 * (1 + far) ** 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [(np.empty((3, 0)), "have no columns"), (np.array([[1e200], [-1e200]]), "too far apart for float64")],
)
def test_rows_that_have_no_distances_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        held(rows)
