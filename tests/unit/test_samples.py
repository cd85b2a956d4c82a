"""The sample rule against independently made counts, and by hand on small tables."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from goracs.data.readers import movielens as format_of_movielens
from goracs.data.samples import flip, samples, subsample, user_logs, with_history
from goracs.data.splits import Paper
from goracs.types import InvalidInput

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "movielens_counts.json").read_text())["reference"]
SHARED = Path(__file__).parents[3] / "shared" / "data" / "open"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs ../shared/data/open, which is not shipped"
)
RULE = "rule_games_food (no minimum history)"
ORDERED = "sha256_ordered (user\\titem\\ttimestamp lines, \\n joined)"


def cut(events: pl.DataFrame, history: int, min_history: int, every_event: bool = False) -> pl.DataFrame:
    log = user_logs(events.clone())
    found = with_history(samples(log, history, min_history, every_event), log)
    return found.select("user", "item", "rating", "time", "history", "history_rating")


@pytest.fixture(scope="module")
def movielens() -> pl.DataFrame:
    return cut(format_of_movielens.read("bundled", None).events, history=10, min_history=0)


def table(*rows: tuple[str, str, float, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"user": str, "item": str, "rating": float, "time": int}, orient="row")


def ordered_digest(frame: pl.DataFrame) -> str:
    lines = (
        f"{user}\t{item}\t{time}" for user, item, time in frame.select("user", "item", "time").iter_rows()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def ends(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {"user": u, "target": i, "timestamp": t}
        for u, i, t in frame.select("user", "item", "time").iter_rows()
    ]


def liked(frame: pl.DataFrame) -> int:
    return int((frame["rating"] > 3).sum())


def test_samples_equals_the_reference_counts(movielens: pl.DataFrame) -> None:
    assert len(movielens) == GOLDEN["samples"]
    assert movielens["user"].n_unique() == GOLDEN["users_with_a_sample"]
    assert liked(movielens) == GOLDEN["liked_rating_gt_3"]
    lengths = movielens["history"].list.len().value_counts().rows()
    assert {str(length): count for length, count in lengths} == GOLDEN["samples_by_history_length"]


def test_samples_equals_the_reference_order(movielens: pl.DataFrame) -> None:
    assert ordered_digest(movielens) == GOLDEN["sha256_ordered"]
    assert movielens["history"].head(3).to_list() == [sample["history"] for sample in GOLDEN["first_3"]]
    kept = ("user", "target", "timestamp")
    assert ends(movielens.head(3)) == [{key: sample[key] for key in kept} for sample in GOLDEN["first_3"]]
    assert ends(movielens.tail(3)) == GOLDEN["last_3"]


@pytest.mark.parametrize(("asked", "key"), [(0.1, "0.1"), (5000, "5000")])
def test_paper_split_equals_the_reference_counts(movielens: pl.DataFrame, asked: float, key: str) -> None:
    split, expected = (
        Paper(valid=asked, test=asked, seed=0, ties="file", ties_seed=0, every_event=False).assign(movielens),
        GOLDEN["splits"][key],
    )
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    assert {name: len(part) for name, part in parts.items()} == expected["sizes"]
    assert {name: liked(part) for name, part in parts.items()} == expected["liked"]
    for name in ("valid", "test"):
        assert list(parts[name].select("user", "item", "time").row(0)) == expected[f"first_{name}"]


@needs_shared
def test_golden_excerpt_equals_the_shared_reference() -> None:
    whole = json.loads((SHARED / "reference_counts.json").read_text())["ml-latest-small"]
    rule = whole[RULE]
    splits = {
        "0.1": rule["splits"]["ten_percent_each (Food rule)"],
        "5000": rule["splits"]["last 5000 / previous 5000 (Games and Movies rule)"],
    }
    source = {**whole, **rule, "sha256_ordered": rule[ORDERED], "splits": splits}
    assert {key: source[key] for key in GOLDEN} == GOLDEN


@needs_shared
def test_samples_equals_the_reference_where_histories_are_short_and_times_tied() -> None:
    raw = gzip.decompress((SHARED / "amazon2018_gift_cards" / "Gift_Cards_5.slim.jsonl.gz").read_bytes())
    events = pl.read_ndjson(raw).select(
        user="reviewerID", item="asin", rating=pl.col("overall").cast(pl.Float64), time="unixReviewTime"
    )
    reference = json.loads((SHARED / "reference_counts.json").read_text())["amazon2018_gift_cards"][RULE]
    found = cut(events, history=10, min_history=0)
    assert ordered_digest(found) == reference[ORDERED]
    assert liked(found) == reference["liked_rating_gt_3"]
    assert found["history"].head(3).to_list() == [sample["history"] for sample in reference["first_3"]]


def test_samples_equals_one_by_hand() -> None:
    events = table(
        ("a", "p", 5, 30),
        ("b", "q", 1, 5),
        ("a", "r", 2, 10),
        ("a", "s", 4, 20),
        ("c", "t", 3, 7),
        ("c", "u", 4, 7),
    )
    found = cut(events, history=2, min_history=0)
    assert found.rows() == [
        ("b", "q", 1, 5, [], []),  # a single event: an empty history
        ("c", "u", 4, 7, ["t"], [3]),  # not more than h events: only the last; tied times keep file order
        ("a", "p", 5, 30, ["r", "s"], [2, 4]),
    ]


def test_samples_keeps_users_of_one_time_in_order_of_first_appearance() -> None:
    events = table(("z", "p", 5, 9), ("a", "q", 5, 9), ("m", "r", 5, 9))
    assert cut(events, history=3, min_history=0)["user"].to_list() == ["z", "a", "m"]


def test_samples_never_has_fewer_than_min_history_items() -> None:
    events = table(("b", "q", 1, 5), ("c", "t", 3, 7), ("c", "u", 4, 8), ("c", "v", 4, 9))
    assert cut(events, history=2, min_history=1)["user"].to_list() == ["c"]
    assert cut(events, history=3, min_history=3).is_empty()


def test_every_event_but_the_first_is_a_target_where_that_is_asked() -> None:
    events = table(("a", "p", 5, 1), ("a", "q", 5, 2), ("a", "r", 5, 3), ("b", "s", 5, 4))
    found = cut(events, history=2, min_history=0, every_event=True)
    assert found.select("item", "history").rows() == [("q", ["p"]), ("r", ["p", "q"]), ("s", [])]


def test_the_notebooks_truncated_likes_equal_a_threshold_of_three_and_a_half(movielens: pl.DataFrame) -> None:
    """The released code compares int(rating) with 3; of half stars it so takes those above 3.5."""
    assert int((movielens["rating"] > 3.5).sum()) == 45284


def test_samples_of_no_events_equals_no_samples() -> None:
    found = cut(table(), history=10, min_history=0)
    assert found.columns == ["user", "item", "rating", "time", "history", "history_rating"]
    assert found.is_empty()


def test_subsample_keeps_time_order_and_draws_distinct_rows(movielens: pl.DataFrame) -> None:
    pool = movielens.with_row_index("row")
    drawn = subsample(pool, 500, "uniform", seed=3)
    assert drawn["row"].is_sorted()
    assert drawn["row"].n_unique() == 500
    assert drawn.equals(pool[drawn["row"].to_list()])


def test_subsample_equals_itself_for_one_seed_only(movielens: pl.DataFrame) -> None:
    assert subsample(movielens, 500, "uniform", seed=3).equals(subsample(movielens, 500, "uniform", seed=3))
    assert not subsample(movielens, 500, "uniform", seed=3).equals(
        subsample(movielens, 500, "uniform", seed=4)
    )


@pytest.mark.parametrize("size", [None, 4])
def test_subsample_of_everything_equals_the_pool(movielens: pl.DataFrame, size: int | None) -> None:
    assert subsample(movielens[:4], size, "uniform", seed=0).equals(movielens[:4])


def test_subsample_refuses_more_than_the_pool(movielens: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match=r"dataset\.size is 5, but the pool of this split has 4 samples"):
        subsample(movielens[:4], 5, "uniform", seed=0)


def test_half_oldest_draws_half_from_the_oldest_tenth(movielens: pl.DataFrame) -> None:
    pool = movielens.with_row_index("row")
    drawn = subsample(pool, 501, "half_oldest", seed=3)
    assert drawn.equals(pool[drawn["row"].to_list()])
    assert drawn["row"].is_sorted()
    assert drawn["row"].n_unique() == 501
    assert int((drawn["row"] < len(pool) // 10).sum()) == 250
    assert not drawn.equals(subsample(pool, 501, "half_oldest", seed=4))


@pytest.mark.parametrize("size", [14, 61])
def test_half_oldest_takes_all_there_is_and_refuses_more(movielens: pl.DataFrame, size: int) -> None:
    """Of 60 rows the oldest tenth are 6, so that 13 can be drawn (6 of them and 7)."""
    assert len(subsample(movielens[:60], 13, "half_oldest", seed=0)) == 13
    with pytest.raises(InvalidInput, match=r"half of dataset\.size=14 from the 6 oldest|dataset\.size is 61"):
        subsample(movielens[:60], size, "half_oldest", seed=0)


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.3, 30), (0.305, 31), (1, 100)])
def test_flip_marks_a_share_of_the_rows_by_chance(share: float, count: int) -> None:
    pool = pl.DataFrame({"row": range(100)})
    marked = flip(pool, share, seed=1)
    assert marked.drop("flipped").equals(pool)
    assert int(marked["flipped"].sum()) == count
    assert marked.equals(flip(pool, share, seed=1))
    assert (count in (0, 100)) == marked.equals(flip(pool, share, seed=2))
