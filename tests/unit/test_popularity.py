"""The rules that rank by the pool alone, against counts by hand and by enumeration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.popularity import followers, last_item, popular, popularity, read_pool
from goracs.data.prepare import prepare, read_examples, write
from goracs.types import Example
from tests.unit.test_prepare import MANY, NAMES, configured, made, paper

ITEMS = st.sampled_from("abcd")
SAMPLES = st.tuples(st.sampled_from("xyz"), ITEMS, st.lists(ITEMS, max_size=4))
POOLS = st.lists(SAMPLES, min_size=1, max_size=9)
Rows = list[tuple[str, str, list[str]]]


def pool_of(rows: Rows) -> pl.DataFrame:
    schema = pl.Schema({"user": pl.String(), "item": pl.String(), "history": pl.List(pl.String())})
    return pl.DataFrame(rows, schema=schema, orient="row")


def behind(*history: str) -> Example:
    return Example("u", "a", 0, None, history, (None,) * len(history), "", "", "")


@given(rows=POOLS)
def test_counts_are_of_users_and_equal_enumeration(rows: Rows) -> None:
    had = {(user, one) for user, item, history in rows for one in [*history, item]}
    assert popularity(pool_of(rows)) == {
        item: sum(one == item for _, one in had) for item in {one for _, one in had}
    }
    steps = {
        (user, pair)
        for user, item, history in rows
        for pair in zip(history, [*history, item][1:], strict=True)
    }
    pairs = {pair for _, pair in steps}
    assert followers(pool_of(rows)) == {pair: sum(one == pair for _, one in steps) for pair in pairs}


@given(rows=POOLS, history=st.lists(ITEMS, max_size=3))
def test_the_last_item_ranks_by_followers_and_by_popularity_where_as_many_follow(
    rows: Rows, history: list[str]
) -> None:
    """What nobody in the pool has stands last; ties stay ties."""
    candidates, pool = [*"dcba", "unknown"], pool_of(rows)
    (found,) = last_item([behind(*history)], [candidates], pool)
    users, taken = popularity(pool), followers(pool)
    last = history[-1] if history else ""
    keys = [(-taken.get((last, item), 0), -users.get(item, 0)) for item in candidates]
    for one in range(5):
        for other in range(5):
            assert (found[one] < found[other]) == (keys[one] < keys[other])


def test_the_rules_rank_as_worked_by_hand() -> None:
    pool = pool_of([("x", "b", ["a"]), ("x", "c", ["a", "b"]), ("y", "b", ["a"]), ("z", "d", ["c"])])
    candidates = [["b", "c", "d", "e"]] * 2
    plain = popular([behind("a"), behind()], candidates, pool)
    assert [row.tolist() for row in plain] == [[-2, -2, -1, 0]] * 2
    first, second = (row.tolist() for row in last_item([behind("a", "c"), behind("b")], candidates, pool))
    assert sorted("bcde", key=dict(zip("bcde", first, strict=True)).__getitem__) == ["d", "b", "c", "e"]
    assert sorted("bcde", key=dict(zip("bcde", second, strict=True)).__getitem__) == ["c", "b", "d", "e"]


@pytest.mark.parametrize("task", ["ctr", "seqrec"])
def test_the_pool_that_is_read_is_that_of_the_examples(tmp_path: Path, task: Any) -> None:
    made_of = made(MANY, NAMES, history=3)
    write(prepare(made_of, paper(valid=20, test=20), configured(f"task/{task}")), tmp_path)
    expected = [(one.user, one.item, [*one.history]) for one in read_examples(tmp_path, "train")]
    assert read_pool(tmp_path).rows() == expected
