"""Tables in parts: whole users, whole moments, and no part much larger than asked."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from goracs.data import parts
from goracs.data.codes import ID, coded, known, recoded

USERS = st.lists(st.integers(0, 9), max_size=60)
SIZE = st.integers(1, 70)


@given(USERS, SIZE, st.permutations(range(10)))
def test_a_user_is_in_one_part_in_the_order_of_ranks(users: list[int], size: int, ranks: list[int]) -> None:
    ids = coded(pl.Series([str(user) for user in users], dtype=pl.String))
    rank = np.array([ranks[int(user)] for user in known(ids)], dtype=np.uint64)
    with patch.object(parts, "PARTITION", size):
        found = parts.of_users(ids, rank).to_list()
    by_rank = [part for _, part in sorted(zip((ranks[user] for user in users), found, strict=True))]
    assert by_rank == sorted(by_rank)
    assert len({*zip(users, found, strict=True)}) == len({*users})
    most = max(map(users.count, users), default=0)
    assert all(found.count(part) < size + most for part in {*found})


@given(st.lists(st.integers(-5, 30), max_size=60), SIZE)
def test_a_moment_is_in_one_part_and_parts_are_in_order(times: list[int], size: int) -> None:
    with patch.object(parts, "PARTITION", size):
        found = parts.of_times(pl.Series(times, dtype=pl.Int64)).to_list()
    in_time = [part for _, part in sorted(zip(times, found, strict=True))]
    assert in_time == sorted(in_time)
    assert len({*zip(times, found, strict=True)}) == len({*times})


def test_times_are_cut_evenly() -> None:
    times = pl.Series(np.random.default_rng(0).permutation(10_000))
    with patch.object(parts, "PARTITION", 1000):
        counts = parts.of_times(times).value_counts()["count"]
    assert len(counts) == 11
    assert counts.max() < 1200  # type: ignore[operator]


@given(st.lists(st.text(max_size=3), max_size=30), st.booleans())
def test_codes_stand_for_the_texts(texts: list[str], read: bool) -> None:
    ids = pl.Series("id", texts, dtype=pl.String).cast(ID if read else pl.String)
    found = coded(ids)
    assert found.cast(pl.String).equals(pl.Series("id", texts, dtype=pl.String), check_names=True)
    assert sorted(known(found)) == sorted({*texts})
    other = pl.Enum([*sorted({*texts}, reverse=True), "another one"])
    assert recoded(found, other).equals(found.cast(other), check_names=True)


def test_what_is_moved_leaves_nothing_behind() -> None:
    rows, mask = pl.Series([2, 0], dtype=pl.UInt32), pl.Series([True, False, True])
    table = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    given = [table.clone() for _ in range(3)]
    assert parts.moved(given[0], rows).rows() == [(3, "z"), (1, "x")]
    assert parts.only(given[1], mask).rows() == [(1, "x"), (3, "z")]
    assert parts.only(given[2], mask | ~mask).equals(table)
    assert [left.columns for left in given] == [[], [], []]
