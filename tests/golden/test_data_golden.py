"""Prepared sets against the counts that two independent implementations of the paper's rule agreed on."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from goracs.config import conf_dir
from goracs.data.filters import MARKUP, unescaped
from goracs.data.prepare import PARTS, Prepared, prepare

OPEN = Path(__file__).parents[3] / "shared" / "data" / "open"
pytestmark = pytest.mark.skipif(not OPEN.is_dir(), reason="shared data are not here")
GIFTS = [
    "dataset=amazon2018",
    f"dataset.reviews={OPEN}/amazon2018_gift_cards/Gift_Cards_5.slim.jsonl.gz",
    f"dataset.items={OPEN}/amazon2018_gift_cards/meta_Gift_Cards.slim.jsonl.gz",
]
LONG = ["dataset.title_longer_than=50", "dataset.min_history=3", "dataset.brand=always"]
FOOD, GAMES = "ten_percent_each (Food rule)", "last 5000 / previous 5000 (Games and Movies rule)"
CASES = {
    "films": (
        "ml-latest-small",
        "rule_games_food (no minimum history)",
        [f"dataset.path={OPEN}/ml-latest-small"],
    ),
    "films, 3": (
        "ml-latest-small",
        "rule_movies_min_history_3 (without its len(title)>50 filter)",
        [f"dataset.path={OPEN}/ml-latest-small", "dataset.min_history=3"],
    ),
    "gifts": ("amazon2018_gift_cards", "rule_games_food (no minimum history)", GIFTS),
    "gifts, 3": (
        "amazon2018_gift_cards",
        "rule_movies_min_history_3 (without its len(title)>50 filter)",
        [*GIFTS, "dataset.min_history=3"],
    ),
    "gifts, long": (
        "amazon2018_gift_cards",
        'rule_movies_full (title + " - " + brand, len > 50, history >= 3)',
        [*GIFTS, *LONG, "dataset.title_unescape=false"],
    ),
    "gifts, exact": (
        "amazon2018_gift_cards",
        "rule_movies_exact (regex titles, len > 50, history >= 3)",
        [*GIFTS, *LONG, "dataset.title_unescape=false", "dataset.titles=released"],
    ),
}


def prepared(*words: str) -> Prepared:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=["split=paper", "split.ties=file", *words])
    made = {name: instantiate(config[name], _convert_="all") for name in ("dataset", "split", "task")}
    return prepare(made["dataset"], made["split"], made["task"])


def ordered(found: Prepared) -> pl.DataFrame:
    columns = "user", "item", "time", "label", "history"
    parts: list[pl.LazyFrame] = [getattr(found, part) for part in PARTS]
    return pl.concat([part.select(columns).collect() for part in parts])


@pytest.mark.parametrize(("data", "rule", "words"), CASES.values(), ids=CASES)
def test_samples_equal_the_reference(data: str, rule: str, words: list[str]) -> None:
    everything = json.loads((OPEN / "reference_counts.json").read_text())[data]
    wanted = everything[rule]
    found = prepared(*words, "split.valid=0.1", "split.test=0.1")
    counts, rows = found.statistics, ordered(found)
    assert [counts[name] for name in ("events", "users", "items")] == [
        everything[name] for name in ("events", "users", "items")
    ]
    assert (counts["samples"], counts["liked"]) == (wanted["samples"], wanted["liked_rating_gt_3"])
    lengths = rows["history"].list.len().cast(pl.String).value_counts(name="n")
    assert dict(lengths.iter_rows()) == wanted["samples_by_history_length"]
    for row, first in zip(rows.rows(named=True), wanted["first_3"], strict=False):
        assert [row[name] for name in ("user", "item", "time", "history")] == [
            first[name] for name in ("user", "target", "timestamp", "history")
        ]
    assert rows[-3:].select("user", target="item", timestamp="time").to_dicts() == wanted["last_3"]
    lines = "\n".join(
        f"{user}\t{item}\t{time}" for user, item, time in rows.select("user", "item", "time").rows()
    )
    assert hashlib.sha256(lines.encode()).hexdigest() == next(
        value for name, value in wanted.items() if name.startswith("sha256_ordered")
    )
    check_split(counts, wanted["splits"][FOOD])


def test_the_last_5000_equal_the_reference() -> None:
    wanted = json.loads((OPEN / "reference_counts.json").read_text())["ml-latest-small"]
    rule = wanted["rule_games_food (no minimum history)"]["splits"][GAMES]
    check_split(prepared("split.valid=5000", "split.test=5000").statistics, rule)


def test_no_real_title_is_too_long_or_markup() -> None:
    """Of 22,000 real titles as published none goes by the rules of titles that are the default."""
    games = (OPEN / "goracs_games_titles" / "id2name.txt").read_text().splitlines()
    office = gzip.decompress(
        (OPEN / "amazon2018_office_products_seqrec" / "info.txt.gz").read_bytes()
    ).decode()
    meta = pl.read_ndjson(OPEN / "amazon2018_gift_cards" / "meta_Gift_Cards.slim.jsonl.gz")["title"].to_list()
    named = [line.split("\t")[0] for line in games] + [line.split("\t")[1] for line in office.splitlines()]
    titles = unescaped(pl.Series([*named, *(title for title in meta if title)]))
    assert len(titles) > 22_000
    assert titles.filter(titles.str.contains(MARKUP) | (titles.str.len_chars() > 1000)).is_empty()


def check_split(counts: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {part: counts["splits"][part]["samples"] for part in PARTS} == wanted["sizes"]
    assert {part: counts["splits"][part]["liked"] for part in PARTS} == wanted["liked"]
    for part in ("valid", "test"):
        assert list(counts["splits"][part]["first"].values()) == wanted[f"first_{part}"]
