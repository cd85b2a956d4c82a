"""Which of two events at one time comes first: by chance alone, and by the same chance everywhere."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data import parts
from goracs.data.readers import movielens as format_of_movielens
from goracs.data.readers.events import checked
from goracs.data.samples import samples, user_logs
from goracs.data.ties import in_order
from tests.unit.test_events import FILE

SCHEMA = {"user": pl.String, "item": pl.String, "rating": pl.Float64, "time": pl.Int64}
WORD = 2**64
DEVIATIONS = 5
FIRST = ["i7", "i4", "i6", "i5", "i3", "i0", "i1", "i2"]


def events(rows: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mixed(hashed: int, field: int) -> int:
    bits = ((hashed ^ field) + 0x9E3779B97F4A7C15) % WORD
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) % WORD
    return bits ^ (bits >> 31)


def keys(event: tuple[str, str, float, int], seed: int) -> tuple[int, int, int]:
    """What an event is sorted by, in plain whole numbers."""
    user, item, rating, time = event
    of_user = mixed(of_text(str(seed)), of_text(user))
    bits = struct.unpack("<Q", struct.pack("<d", rating + 0.0))[0]
    hashed = mixed(mixed(mixed(of_user, of_text(item)), time % WORD), bits)
    return of_user, time, hashed


EVENT = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
    st.sampled_from(["i1", "i2", "ü", "10"]),
    st.sampled_from([-0.0, 0.5, 3.0, -7.0]),
    st.sampled_from([0, -1, 5, 2**62]),
)


@pytest.mark.parametrize("partition", [1, 3, 50])
def test_the_order_does_not_depend_on_how_many_events_are_sorted_at_once(
    monkeypatch: pytest.MonkeyPatch, partition: int
) -> None:
    rows = [(f"u{k % 13}", f"i{k % 7}", 1.0, k // 9) for k in range(120)]
    whole = in_order(events(rows), "hash", 5).rows()
    assert whole == sorted(rows, key=lambda event: keys(event, 5))
    monkeypatch.setattr(parts, "PARTITION", partition)
    assert in_order(events(rows), "hash", 5).rows() == whole


@given(st.lists(EVENT, max_size=20), st.integers(0, 2**70))
def test_the_order_by_hash_equals_that_of_whole_numbers_in_plain_python(rows: Any, seed: int) -> None:
    found = in_order(events(rows), "hash", seed).rows()
    assert found == sorted(rows, key=lambda row: keys(row, seed))


def test_the_order_by_hash_equals_its_first_values() -> None:
    """A change here changes every prepared set: it needs a new version of the prepare stage."""
    rows = [("u", f"i{number}", 4.0, 7) for number in range(8)]
    assert in_order(events(rows), "hash", 0)["item"].to_list() == FIRST


def test_of_tied_events_the_last_is_any_whatever_the_file_is_sorted_by() -> None:
    """Four items a user, in one order in the file: the target is each of them as often as by chance."""
    users = 4000
    rows = [(f"u{user}", f"i{item}", 4.0, 7) for user in range(users) for item in range(4)]
    for order in (rows, rows[::-1]):
        log = user_logs(in_order(events(order), "hash", 0))
        last = log["item"].gather(samples(log, 4, 0, every_event=False)["row"]).value_counts().rows()
        assert len(last) == 4
        for _, count in last:
            assert abs(count - users / 4) < DEVIATIONS * (users * 3 / 16) ** 0.5


@pytest.mark.parametrize(("ties", "low", "high"), [("hash", 0.48, 0.52), ("file", 1.0, 1.0)])
def test_tied_targets_of_real_data_have_the_larger_id_in_half_of_the_cases(
    ties: Any, low: float, high: float
) -> None:
    """The file is sorted by user and item: in its order the later event always has the larger id."""
    log = user_logs(in_order(format_of_movielens.read("bundled", None).events, ties, 0))
    tied = samples(log, 10, 0, every_event=False).filter("tied")
    items = log["item"].cast(pl.String).cast(pl.Int64)
    share = (items.gather(tied["row"]) > items.gather(tied["row"] - 1)).mean()
    assert len(tied) == 14_424
    assert low <= share <= high  # type: ignore[operator]


def test_another_seed_gives_another_order() -> None:
    rows = [("u", f"i{number}", 4.0, 7) for number in range(50)]
    orders = {tuple(in_order(events(rows), "hash", seed)["item"]) for seed in range(5)}
    assert len(orders) == 5


def test_milliseconds_go_before_the_hash() -> None:
    start = 1_400_000_000_000
    rows = [("u", f"i{number}", 4.0, start + number) for number in range(100)]
    for order in (rows, rows[::-1]):
        found = in_order(checked(events(order), FILE, None, "ms"), "hash", 0)
        assert found["item"].to_list() == [f"i{number}" for number in range(100)]
        assert found.columns == [*SCHEMA, "part"]
