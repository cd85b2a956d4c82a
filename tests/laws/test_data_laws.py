"""Laws of samples, splits and candidates on random tables, against the rule written out in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, hypergeom

from goracs.data.candidates import negatives
from goracs.data.filters import k_core
from goracs.data.samples import samples, subsample, user_logs, with_history
from goracs.data.splits import Dates, LeaveOneOut, Paper, Splitter, Users
from goracs.data.ties import in_order
from goracs.types import InvalidInput

IMPROBABLE = 1e-6  # a fixed seed: it fails for good or never; this low, a failure is no accident

Event = tuple[str, str, float, int]
SCHEMA = {"user": pl.String, "item": pl.String, "rating": pl.Float64, "time": pl.Int64}
EVENT = st.tuples(
    st.sampled_from("cabd"),
    st.sampled_from([f"i{number}" for number in range(12)]),
    st.sampled_from([0.5, 3.0, 3.5, 5.0]),
    st.integers(0, 6),  # few times: ties are the rule
)
EVENTS = st.lists(EVENT, max_size=40)


def table(events: list[Event]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA, orient="row")


SHOWN = ("user", "item", "rating", "time", "history", "history_rating")
ALIKE: Any = {"seed": 0, "ties": "file", "ties_seed": 0, "every_event": False}


def cut(events: pl.DataFrame, history: int, min_history: int, every_event: bool = False) -> pl.DataFrame:
    log = user_logs(events.clone())
    return with_history(samples(log, history, min_history, every_event), log).select(SHOWN)


def by_the_rule(
    events: list[Event], history: int, min_history: int, every_event: bool
) -> list[tuple[Any, ...]]:
    """The sample rule, word for word."""
    of_user: dict[str, list[Event]] = {}
    for event in events:
        of_user.setdefault(event[0], []).append(event)
    found = []
    for user, own in of_user.items():
        items = sorted(own, key=lambda event: event[3])
        n = len(items)
        for i in range(min(1 if every_event else history, n - 1), n):
            before = items[max(i - history, 0) : i]
            _, item, rating, time = items[i]
            if len(before) >= min_history:
                found.append((user, item, rating, time, [e[1] for e in before], [e[2] for e in before]))
    return sorted(found, key=lambda sample: sample[3])


@given(EVENTS, st.integers(1, 6), st.integers(0, 6), st.booleans())
def test_samples_equals_the_rule_in_plain_python(
    events: list[Event], history: int, min_history: int, every: bool
) -> None:
    found = cut(table(events), history, min_history, every)
    assert found.rows() == by_the_rule(events, history, min_history, every)


@given(EVENTS, st.randoms(use_true_random=False), st.integers(1, 6))
def test_ties_by_hash_are_unchanged_by_the_order_of_the_rows(
    events: list[Event], mixer: Any, history: int
) -> None:
    mixed = mixer.sample(events, len(events))
    found = [cut(in_order(table(rows), "hash", 0), history, 0) for rows in (events, mixed)]
    assert found[0].equals(found[1])
    assert found[0]["time"].is_sorted()


@given(EVENTS, st.integers(0, 2**70), st.sampled_from(["hash", "file"]))
def test_an_order_of_ties_keeps_every_event(events: list[Event], seed: int, ties: Any) -> None:
    assert sorted(in_order(table(events), ties, seed).rows()) == sorted(events)


@given(EVENTS, st.integers(1, 6))
def test_a_target_is_tied_where_it_shares_its_time_with_the_last_item_shown(
    events: list[Event], history: int
) -> None:
    log = user_logs(table(events))
    for row, shown, tied in samples(log, history, 0, True).select("row", "shown", "tied").iter_rows():
        assert tied == (shown > 0 and log["time"][row - 1] == log["time"][row])


@given(st.permutations(range(40)), st.integers(1, 12), st.integers(2, 4))
def test_samples_never_show_what_lies_ahead(times: list[int], history: int, users: int) -> None:
    """Item k happens at times[k] and nowhere else: every history item is an earlier one of the same user."""
    events = [(f"u{k % users}", str(k), 4.0, time) for k, time in enumerate(times)]
    for user, _, _, time, shown, _ in cut(table(events), history, 0).iter_rows():
        moments = [times[int(item)] for item in shown]
        assert moments == sorted(moments)
        assert all(moment < time for moment in moments)
        assert {f"u{int(item) % users}" for item in shown} <= {user}


@given(EVENTS, st.integers(1, 6))
def test_samples_is_unchanged_by_other_users(events: list[Event], history: int) -> None:
    whole = cut(table(events), history, 0).filter(pl.col("user") == "a")
    alone = cut(table([event for event in events if event[0] == "a"]), history, 0)
    assert whole.equals(alone)


@given(st.lists(EVENT, min_size=30, max_size=50), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8))
def test_paper_keeps_the_samples_and_their_order(
    events: list[Event], history: int, valid: int, test: int
) -> None:
    rows = cut(table(events), history, 0)
    split = Paper(valid=valid, test=test, **ALIKE).assign(rows)
    assert pl.concat([split.train, split.valid, split.test]).equals(rows)
    assert (len(split.valid), len(split.test)) == (valid, test)
    assert split.train["time"][-1] <= split.valid["time"][0]
    assert split.valid["time"][-1] <= split.test["time"][0]


USERS = st.lists(st.sampled_from([f"u{number}" for number in range(9)]), min_size=12, max_size=80)


@given(
    USERS, st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.floats(0.1, 0.9), st.integers(0, 99)
)
def test_users_keeps_its_promises(
    users: list[str], valid: int, test: int, per_user: int, share: float, seed: int
) -> None:
    """Exact counts, disjoint users, a cap per user, time order, nothing before the pool's end.

    Refusals happen only when fewer than valid + test + (per_user - 1) samples can be drawn: cutting the last
    user of the side that is full first loses at most per_user - 1.
    """
    rows = pl.DataFrame({"user": users, "time": range(len(users))})
    pool = int(np.floor(share * len(users) + 0.5))
    can_be_drawn = rows[pool:]["user"].value_counts()["count"].clip(upper_bound=per_user).sum()
    try:
        rule = Users(valid=valid, test=test, per_user=per_user, pool_share=share, **{**ALIKE, "seed": seed})
        split = rule.assign(rows)
    except InvalidInput as refusal:
        assert f"hold {can_be_drawn} with" in str(refusal)  # noqa: PT017
        assert can_be_drawn < valid + test + per_user - 1
        return
    assert split.train.equals(rows[:pool])
    assert (len(split.valid), len(split.test)) == (valid, test)
    assert set(split.valid["user"]).isdisjoint(split.test["user"])
    for part in (split.valid, split.test):
        assert max(part["user"].value_counts()["count"]) <= per_user
        assert part["time"].to_list() == sorted(set(part["time"]))
        assert part["time"][0] >= pool


@given(st.lists(EVENT, min_size=12, max_size=50), st.integers(0, 99), st.integers(0, 6))
def test_every_split_has_disjoint_parts_in_order(events: list[Event], seed: int, day: int) -> None:
    """The rows of a split are samples, none in two parts; the chronological ones are ordered in time."""
    rows = samples(user_logs(table(events)), 2, 0, every_event=True).with_row_index("number")
    alike = {**ALIKE, "seed": seed}
    moment = [f"1970-01-01T00:00:0{second}" for second in (day, day + 1)]
    rules: list[Splitter] = [
        Paper(valid=0.2, test=0.2, **alike),
        Dates(valid=moment[0], test=moment[1], **alike),
        LeaveOneOut(valid=None, test=2, **alike),
        Users(valid=0.1, test=0.1, per_user=2, pool_share=0.5, **alike),
    ]
    for rule in rules:
        try:
            split = rule.assign(rows)
        except InvalidInput:
            continue
        numbers = [part["number"].to_list() for part in (split.train, split.valid, split.test)]
        assert all(part == sorted(set(part)) for part in numbers)
        assert sum(map(len, numbers)) == len({*numbers[0], *numbers[1], *numbers[2]}) <= len(rows)
        if isinstance(rule, (Paper, Dates)):
            assert numbers[0] + numbers[1] + numbers[2] == list(range(len(rows)))
        if isinstance(rule, LeaveOneOut):
            last = dict(zip(split.valid["user"], split.valid["number"], strict=True))
            assert all(
                number < last[user]
                for user, number in split.train.select("user", "number").rows()
                if user in last
            )
            assert all(number > last[user] for user, number in split.test.select("user", "number").rows())


@given(EVENTS, st.integers(2, 5))
def test_k_core_equals_dropping_one_event_at_a_time(events: list[Event], k: int) -> None:
    left = list(events)
    while poor := [
        e for e in left if min(sum(e[0] == o[0] for o in left), sum(e[1] == o[1] for o in left)) < k
    ]:
        left.remove(poor[0])
    assert k_core(table(events), k).rows() == left


@given(st.integers(1, 30), st.integers(0, 99), st.sampled_from(["uniform", "newest", "users"]), st.data())
def test_subsample_keeps_a_sorted_subset(total: int, seed: int, how: Any, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, total))
    pool = pl.DataFrame({"user": [f"u{row % 4}" for row in range(total)], "row": range(total)})
    drawn = subsample(pool, size, how, seed)
    assert drawn["row"].to_list() == sorted(set(drawn["row"]))
    assert len(drawn) == size
    if how == "newest":
        assert drawn.equals(pool[total - size :])
    if how == "users":
        cut_short = [
            user
            for user, count in drawn["user"].value_counts().rows()
            if count < (pool["user"] == user).sum()
        ]
        assert len(cut_short) <= 1
        for user in cut_short:
            rows = pool.filter(pl.col("user") == user)
            taken = drawn.filter(pl.col("user") == user)
            assert taken.equals(rows[len(rows) - len(taken) :])


ITEMS = st.sampled_from([f"i{number}" for number in range(15)])
SEEN = st.dictionaries(st.sampled_from("abcde"), st.frozensets(ITEMS, max_size=8), min_size=1)


@given(SEEN, st.data(), st.integers(0, 99))
def test_negatives_never_seen_and_unchanged_by_order(seen: Any, data: st.DataObject, seed: int) -> None:
    catalogue = [f"i{number}" for number in range(15)]
    users = data.draw(st.lists(st.sampled_from(sorted(seen)), min_size=1, max_size=8))
    targets = [data.draw(ITEMS) for _ in users]
    rows = negatives(users, targets, seen, catalogue, 6, seed)
    for row, user, target in zip(rows, users, targets, strict=True):
        assert len({*row}) == 6
        assert {*row}.isdisjoint({*seen[user], target})
    order = data.draw(st.permutations(range(len(users))))
    shuffled = negatives(
        [users[k] for k in order], [targets[k] for k in order], seen, catalogue[::-1], 6, seed
    )
    np.testing.assert_array_equal(rows[order], shuffled)


@pytest.fixture(scope="module")
def drawn() -> Any:
    """5 of 20 items for each of 4,000 users who have seen none of them."""
    users = [f"u{number}" for number in range(4000)]
    targets = ["target"] * 4000
    return negatives(
        users, targets, dict.fromkeys(users, ()), [f"i{number:02}" for number in range(20)], 5, 0
    )


def test_negatives_equal_a_uniform_draw(drawn: Any) -> None:
    counts = np.unique(drawn, return_counts=True)[1]
    assert chisquare(counts).pvalue > IMPROBABLE
    first = np.unique(drawn[:, 0], return_counts=True)[1]
    assert chisquare(first).pvalue > IMPROBABLE


def test_negatives_of_users_are_shared_no_more_than_by_chance(drawn: Any) -> None:
    """Disjoint pairs of users share a hypergeometric number of their 5 of 20 items."""
    shared = [len({*one} & {*other}) for one, other in zip(drawn[::2], drawn[1::2], strict=True)]
    counts = np.bincount(np.minimum(shared, 3), minlength=4)
    chances = hypergeom(20, 5, 5).pmf(np.arange(6))
    expected = 2000 * np.array([*chances[:3], chances[3:].sum()])
    assert chisquare(counts, expected).pvalue > IMPROBABLE
