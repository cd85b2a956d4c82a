"""Both splits on the bundled data and on tables small enough to check by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.readers import movielens as format_of_movielens
from goracs.data.samples import samples, subsample, user_logs
from goracs.data.splits import Dates, LeaveOneOut, Paper, Split, Users
from goracs.types import InvalidInput

ROOT = Path(__file__).parents[2]
OURS = json.loads((ROOT / "tests" / "golden" / "movielens_counts.json").read_text())["ours"]


ALIKE: Any = {"seed": 0, "ties": "file", "ties_seed": 0, "every_event": False}


def paper(valid: Any, test: Any) -> Paper:
    return Paper(valid=valid, test=test, **ALIKE)


def users(**changes: Any) -> Users:
    made = instantiate(OmegaConf.merge(OmegaConf.load(ROOT / "conf" / "split" / "users.yaml"), changes))
    assert isinstance(made, Users)
    return made


def rows(count: int, of: int = 1) -> pl.DataFrame:
    return pl.DataFrame({"user": [f"u{row % of}" for row in range(count)], "time": range(count)})


@pytest.fixture(scope="module")
def movielens() -> pl.DataFrame:
    log = user_logs(format_of_movielens.read("bundled", None).events)
    found = samples(log, 10, 0, every_event=False)
    return found.with_columns(log["item"].gather(found["row"])).drop("row").with_row_index("row")


@pytest.fixture(scope="module")
def dealt(movielens: pl.DataFrame) -> Split:
    return users().assign(movielens)


def digest(frame: pl.DataFrame) -> str:
    lines = (
        f"{user}\t{item}\t{time}" for user, item, time in frame.select("user", "item", "time").iter_rows()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("asked", "total", "expected"),
    [(0.1, 94736, 9474), (0.25, 10, 3), (0.15, 10, 2), (0.149, 10, 1), (3, 10, 3), (1, 10, 1)],
)
def test_paper_equals_floor_of_share_plus_half(asked: float, total: int, expected: int) -> None:
    split = paper(valid=asked, test=1).assign(rows(total))
    assert len(split.valid) == expected


def test_paper_keeps_every_sample_in_order() -> None:
    table = rows(20)
    split = paper(valid=3, test=0.2).assign(table)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [13, 3, 4]
    assert pl.concat([split.train, split.valid, split.test]).equals(table)


@pytest.mark.parametrize("asked", [0, -1, 1.5, 0.0, float("nan"), float("inf"), True, "0.1"])
def test_paper_refuses_what_is_neither_count_nor_share(asked: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"split\.test must be a whole number >= 1 or a share in \(0, 1\), got"
    ):
        paper(valid=1, test=asked).assign(rows(20))


def test_paper_refuses_a_share_of_no_sample() -> None:
    with pytest.raises(InvalidInput, match=r"split\.valid=0\.01 of 20 samples is no sample"):
        paper(valid=0.01, test=1).assign(rows(20))


def test_paper_refuses_an_empty_pool() -> None:
    with pytest.raises(
        InvalidInput, match=r"\(12 samples\) and split\.test \(8\) leave nothing .* has 20 samples"
    ):
        paper(valid=12, test=0.4).assign(rows(20))


def test_paper_leaves_a_pool_of_one_sample() -> None:
    assert len(paper(valid=12, test=7).assign(rows(20)).train) == 1


def test_users_equals_its_first_values(dealt: Split) -> None:
    assert digest(dealt.valid) == OURS["users_split_valid"]
    assert digest(dealt.test) == OURS["users_split_test"]
    assert digest(subsample(dealt.train, 400, "uniform", 0)) == OURS["pool_of_400"]


def test_users_keeps_the_first_seventy_percent_as_pool(movielens: pl.DataFrame, dealt: Split) -> None:
    assert dealt.train.equals(movielens[:66315])
    assert len(dealt.valid) == len(dealt.test) == 200


@pytest.mark.parametrize("part", ["valid", "test"])
def test_users_never_draws_more_than_per_user(dealt: Split, part: str) -> None:
    drawn: pl.DataFrame = getattr(dealt, part)
    assert max(drawn["user"].value_counts()["count"]) <= 20
    assert drawn["row"].to_list() == sorted(set(drawn["row"]))
    assert drawn["row"][0] >= len(dealt.train)


def test_users_never_deals_a_user_to_both_sides(dealt: Split) -> None:
    assert set(dealt.valid["user"]).isdisjoint(dealt.test["user"])


def test_users_equals_the_counts_of_the_shared_notes(movielens: pl.DataFrame) -> None:
    """The last 30% hold 174 users and, at 20 each, 3,273 samples: so many can be asked for, and no more."""
    with pytest.raises(InvalidInput, match="hold 3273 with at most 20 of each of 174 users"):
        users(valid=2000, test=2000).assign(movielens)


def test_users_draws_uniformly_within_a_user() -> None:
    """Each of 8 samples of one user is drawn 2 of 8 times: 400 draws, standard error under .022."""
    table = pl.concat([rows(4), pl.DataFrame({"user": ["a"] * 8 + ["b"] * 8, "time": range(4, 20)})])
    drawn = [users(valid=2, test=2, per_user=2, pool_share=0.2, seed=s).assign(table) for s in range(400)]
    times = pl.concat([part for split in drawn for part in (split.valid, split.test)])["time"]
    shares = times.value_counts()["count"] / 400
    assert len(shares) == 16
    assert max((shares - 0.25).abs()) < 5 * 0.022


def test_users_deals_a_user_to_either_side() -> None:
    table = rows(40, of=8)
    sides = [
        users(valid=4, test=4, per_user=2, pool_share=0.5, seed=s).assign(table).valid for s in range(30)
    ]
    assert len({frozenset(side["user"]) for side in sides}) > 10


def test_users_cuts_the_last_user_to_hit_the_count() -> None:
    split = users(valid=3, test=5, per_user=2, pool_share=0.5).assign(rows(40, of=8))
    assert (len(split.valid), len(split.test)) == (3, 5)
    assert sorted(split.valid["user"].value_counts()["count"]) == [1, 2]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"per_user": 0}, r"split\.per_user must be .*got 0"),
        ({"seed": -1}, r"split\.seed must be a whole number >= 0, got -1"),
        ({"pool_share": 1.0}, r"split\.pool_share must lie between 0 and 1, got 1\.0"),
        ({"pool_share": 0}, r"split\.pool_share must lie between 0 and 1, got 0"),
    ],
)
def test_users_refuses_a_number_out_of_bounds(change: dict[str, Any], match: str) -> None:
    values = {"valid": 2, "test": 2, "per_user": 2, "pool_share": 0.5, **ALIKE} | change
    with pytest.raises(InvalidInput, match=match):
        Users(**values)


def test_users_refuses_an_empty_pool() -> None:
    with pytest.raises(InvalidInput, match=r"split\.pool_share=0\.01 of 20 samples is no sample"):
        users(valid=1, test=1, pool_share=0.01).assign(rows(20, of=4))


def test_paper_equals_its_configuration() -> None:
    made = instantiate(OmegaConf.load(ROOT / "conf" / "split" / "paper.yaml"))
    assert made == Paper(valid=0.1, test=0.1, seed=0, ties="hash", ties_seed=0, every_event=False)


def test_users_takes_shares_of_all_samples() -> None:
    split = users(valid=0.1, test=0.2, per_user=5, pool_share=0.5).assign(rows(40, of=8))
    assert (len(split.valid), len(split.test)) == (4, 8)


@pytest.mark.parametrize("asked", [0, 1.5, "0.1"])
def test_users_refuses_what_is_neither_count_nor_share(asked: Any) -> None:
    with pytest.raises(InvalidInput, match=r"split\.valid must be a whole number >= 1 or a share"):
        Users(valid=asked, test=1, per_user=1, pool_share=0.5, **ALIKE)


def leave_one_out(valid: Any, test: Any) -> LeaveOneOut:
    return LeaveOneOut(valid=valid, test=test, **ALIKE)


def test_leave_one_out_equals_one_by_hand() -> None:
    """a has 3 samples, b 2, c a single one, which stays in the pool."""
    table = pl.DataFrame({"user": list("abacab"), "time": range(6)})
    split = leave_one_out(None, None).assign(table)
    assert split.train.rows() == [("a", 0), ("c", 3)]
    assert split.valid.rows() == [("b", 1), ("a", 2)]
    assert split.test.rows() == [("a", 4), ("b", 5)]


def test_leave_one_out_draws_as_many_as_are_asked_for() -> None:
    split = leave_one_out(2, 0.1).assign(rows(40, of=8))
    assert [len(part) for part in (split.train, split.valid, split.test)] == [24, 2, 4]
    assert split.test["time"].is_sorted()
    assert leave_one_out(8, 8).assign(rows(40, of=8)).test["time"].to_list() == list(range(32, 40))
    with pytest.raises(
        InvalidInput, match=r"split\.test=9 asks for 9 samples, but one for each user makes 8"
    ):
        leave_one_out(2, 9).assign(rows(40, of=8))


def test_leave_one_out_refuses_users_without_three_samples() -> None:
    with pytest.raises(InvalidInput, match=r"needs users with at least 3 samples: of 8 there is none"):
        leave_one_out(None, None).assign(rows(16, of=8))


def test_dates_put_a_moment_itself_behind_the_border() -> None:
    table = rows(5)
    split = Dates(valid="1970-01-01T00:00:02", test="1970-01-01T02:00:03+02:00", **ALIKE).assign(table)
    assert [part["time"].to_list() for part in (split.train, split.valid, split.test)] == [
        [0, 1],
        [2],
        [3, 4],
    ]


@pytest.mark.parametrize(
    ("valid", "test", "match"),
    [
        ("soon", "1970-01-02", r"split\.valid must be a day such as 2017-01-01, got 'soon'"),
        ("1970-01-02", "1970-01-02", r"split\.test \(1970-01-02\) must lie after split\.valid"),
        (
            "1970-01-02",
            "1970-01-03",
            r"no sample lies from split\.valid to split\.test .* 1970-01-01 to 1970-01-01",
        ),
        ("1969-01-02", "1970-01-03", r"no sample lies before split\.valid"),
    ],
)
def test_dates_refuse_what_leaves_a_part_empty(valid: str, test: str, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        Dates(valid=valid, test=test, **ALIKE).assign(rows(5))
