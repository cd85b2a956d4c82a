"""Nearest rows against all distances, sorted."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from goracs.ot import distance
from goracs.ot.neighbours import nearest, owners
from goracs.ot.part import whole
from goracs.search.in_turn import in_turn
from goracs.types import InvalidInput

quick = settings(max_examples=40, deadline=None)
grids = st.tuples(st.integers(2, 9), st.integers(1, 3)).flatmap(  # whole numbers: ties and equal rows
    lambda shape: arrays(np.float32, shape, elements=st.integers(-2, 2).map(float))
)


def sorted_rows(away: Any, count: int) -> Any:
    return np.argsort(away, axis=1, kind="stable")[:, :count]


@given(features=grids, data=st.data())
@quick
def test_nearest_equals_all_distances_sorted(features: Any, data: st.DataObject) -> None:
    target = features[::-1] + np.float32(0.5)
    count = data.draw(st.integers(1, len(target)))
    rows, away = nearest(features, target, count)
    full = distance.distances(features, target)
    np.testing.assert_array_equal(rows, sorted_rows(full, count))
    np.testing.assert_array_equal(owners(features, target), full.argmin(axis=1))
    np.testing.assert_array_equal(away, np.take_along_axis(full, rows, axis=1))


@given(features=grids, data=st.data())
@quick
def test_nearest_others_never_holds_the_row_itself(features: Any, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(features) - 1))
    full = distance.distances(features, features)
    np.fill_diagonal(full, np.inf)
    np.testing.assert_array_equal(
        nearest(features, features, count, others=True)[0], sorted_rows(full, count)
    )


@pytest.mark.parametrize("others", [False, True])
def test_nearest_is_unchanged_by_the_size_of_blocks(monkeypatch: Any, others: bool) -> None:
    """Distances of 1e-4 around 1e3: float32 products cannot tell them, blocks or not."""
    draw = np.random.default_rng(0)
    features = 1e3 + 1e-4 * draw.normal(size=(60, 5))
    whole = nearest(features, features, 4, others=others)
    monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * 60 * 7)
    for found, same in zip(nearest(features, features, 4, others=others), whole, strict=True):
        np.testing.assert_array_equal(found, same)
    full = distance.distances(features, features)
    if others:
        np.fill_diagonal(full, np.inf)
    np.testing.assert_array_equal(whole[0], sorted_rows(full, 4))


@given(features=grids, data=st.data())
@quick
def test_in_turn_equals_the_nearest_free_row_each_time(features: Any, data: st.DataObject) -> None:
    target = features[: data.draw(st.integers(1, len(features)))][::-1]
    count = data.draw(st.integers(1, len(features)))
    full, free, expected = distance.distances(features, target), list(range(len(features))), []
    for place in range(count):
        expected.append(min(free, key=lambda row: (full[row, place % len(target)], row)))
        free.remove(expected[-1])
    rows, away = in_turn(whole(features), target, count)
    assert rows.tolist() == expected
    assert away.tolist() == [full[row, place % len(target)] for place, row in enumerate(expected)]


@pytest.mark.parametrize("block", [2**25, 4 * 60 * 7])
def test_owners_that_float32_cannot_tell_are_decided_exactly(monkeypatch: Any, block: int) -> None:
    monkeypatch.setattr(distance, "BLOCK_BYTES", block)
    features = 1e3 + 1e-4 * np.random.default_rng(0).normal(size=(60, 5))
    features[30] = 1e4
    full = distance.distances(features, features[::3])
    np.testing.assert_array_equal(owners(features, features[::3]), full.argmin(axis=1))


def test_neighbours_need_columns() -> None:
    empty = np.empty((3, 0))
    with pytest.raises(InvalidInput, match="have no columns"):
        nearest(empty, empty, 1)
    with pytest.raises(InvalidInput, match="have no columns"):
        in_turn(whole(empty), empty, 1)
