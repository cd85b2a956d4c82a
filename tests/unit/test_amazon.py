"""The three Amazon readers: titles parsed and as released, brands, repeats, and what they refuse."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.dataset import Interactions
from goracs.data.readers.lines import json_lines, json_rows
from goracs.types import InvalidInput
from tests.amazon_files import write_2014, write_2018, write_2023

CONF = Path(__file__).parents[2] / "conf" / "dataset"
REVIEW = {"reviewerID": "U", "asin": "A", "overall": 4.0, "unixReviewTime": 1_400_000_000}
WRITE: dict[int, Callable[[Path, int], tuple[Path, Path]]] = {
    2014: write_2014,
    2018: write_2018,
    2023: write_2023,
}


def reader(edition: int, files: tuple[Path, Path], **changes: Any) -> Any:
    places = {"reviews": str(files[0]), "items": str(files[1])}
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF / f"amazon{edition}.yaml"), places, changes))


def read(
    edition: int, path: Path, meta: str, review: str = json.dumps(REVIEW), **changes: Any
) -> Interactions:
    """What the reader makes of some lines of metadata and of reviews."""
    files = path / "reviews.json", path / "meta.json"
    files[0].write_text(f"{review}\n", encoding="utf-8")
    files[1].write_text(f"{meta}\n", encoding="utf-8")
    found: Interactions = reader(edition, files, **changes).read()
    return found


def raw_lines(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().splitlines()


@pytest.mark.parametrize("edition", WRITE)
def test_read_equals_a_line_by_line_reading(tmp_path: Path, edition: int) -> None:
    files = WRITE[edition](tmp_path, 3)
    found = reader(edition, files).read()
    reviews = [json.loads(line) for line in raw_lines(files[0])]
    user, item, rating, time = {
        2023: ("user_id", "parent_asin", "rating", "timestamp"),
    }.get(edition, ("reviewerID", "asin", "overall", "unixReviewTime"))
    unit = 1000 if edition == 2023 else 1
    assert found.events.select("user", "item", "rating", "time").rows() == [
        (one[user], one[item], one[rating], one[time] // unit) for one in reviews
    ]
    metadata = [
        ast.literal_eval(line) if edition == 2014 else json.loads(line) for line in raw_lines(files[1])
    ]
    assert found.items.rows() == [(one[item], one["title"]) for one in metadata]
    assert (found.excluded, found.timed) == ({}, True)


@pytest.mark.parametrize(
    ("edition", "title", "brand"),
    [(2014, r"_title_:\s*_(.*?)_", r"_brand_:\s*_(.*?)_"), (2018, r'"title": "(.*?)"', r'"brand": "(.*?)"')],
)
def test_released_titles_equal_the_notebooks_expressions(
    tmp_path: Path, edition: int, title: str, brand: str
) -> None:
    """By Python's own regular expressions, line by line."""
    files = WRITE[edition](tmp_path, 3)
    expected = []
    for line in raw_lines(files[1]):
        line = line.replace("'", "_")
        named, made = re.search(title, line), re.search(brand, line)
        assert made
        expected.append(f"{named[1]} - {made[1]}" if named else None)
    found = reader(edition, files, titles="released", brand="always").read()
    assert sorted(found.items["title"].to_list(), key=str) == sorted(expected, key=str)
    assert (None in expected) == (edition == 2014)


@pytest.mark.parametrize(
    ("meta", "title"),
    [
        ("{'asin': 'A', 'title': 'Plain', 'brand': 'X'}", "Plain"),
        ("""{'asin': 'A', 'title': "Bob's", 'brand': 'X'}""", None),
        (r"{'asin': 'A', 'title': 'Bob\'s \"best\"', 'brand': 'X'}", "Bob\\"),
        ("{'asin': 'A', 'title': 'Snake_case', 'brand': 'X'}", "Snake"),
    ],
)
def test_released_titles_of_2014_end_where_the_notebook_ends_them(
    tmp_path: Path, meta: str, title: str | None
) -> None:
    other = "{'asin': 'B', 'title': 'Other'}"
    found = read(2014, tmp_path, f"{meta}\n{other}", titles="released")
    assert dict(found.items.iter_rows())["A"] == title


@pytest.mark.parametrize(
    ("meta", "title"),
    [
        ({"title": "It's", "asin": "A", "brand": "X"}, "It_s"),
        ({"title": 'A 5" disk', "asin": "A", "brand": "X"}, "A 5\\"),
        ({"title": "Caf\u00e9 &amp; bar", "asin": "A", "brand": "X"}, "Caf\\u00e9 &amp; bar"),
    ],
)
def test_released_titles_of_2018_are_the_raw_text(tmp_path: Path, meta: dict[str, str], title: str) -> None:
    found = read(2018, tmp_path, json.dumps(meta), titles="released")
    assert found.items.rows() == [("A", title)]


@pytest.mark.parametrize(
    ("brand", "titles"),
    [
        ("none", ["One", "Two", "Three"]),
        ("nonempty", ["One - X", "Two", "Three"]),
        ("always", ["One - X", "Two - ", "Three"]),
    ],
)
@pytest.mark.parametrize("how", ["parsed", "released"])
def test_brand_follows_its_rule(tmp_path: Path, how: str, brand: str, titles: list[str]) -> None:
    lines = [
        {"asin": "A", "title": "One", "brand": "X"},
        {"asin": "B", "title": "Two", "brand": ""},
        {"asin": "C", "title": "Three"},
    ]
    found = read(2018, tmp_path, "\n".join(map(json.dumps, lines)), titles=how, brand=brand)
    assert found.items["title"].to_list() == titles


def test_the_last_titled_line_of_an_item_counts(tmp_path: Path) -> None:
    lines = [
        {"asin": "A", "title": "First"},
        {"asin": "B"},
        {"asin": "A", "title": "Last"},
        {"asin": "A", "title": None},
    ]
    found = read(2018, tmp_path, "\n".join(map(json.dumps, lines)))
    assert found.items.sort("item").rows() == [("A", "Last"), ("B", None)]
    assert found.excluded == {"items: line of an item that has another line": 2}


@pytest.mark.parametrize("rows", [json_lines, partial(json_rows, texts=[])])
def test_half_a_character_is_a_broken_line_and_no_zero_byte(rows: Any, tmp_path: Path) -> None:
    """The engine takes one for the other: two ids would be one."""
    file, types = tmp_path / "x.json", {"item": pl.String()}
    whole = [{"item": "\ud83d\ude00"}, {"item": "a\0"}, {"item": "B", "\ud800": 1}]
    for half in ("a\ud800", "a\ud801", "\udc00"):
        file.write_text("\n".join(map(json.dumps, [*whole, {"item": half}])))
        found = rows(file, types, ["item"], 2)
        assert found.table["item"].to_list() == ["\U0001f600", "a\0"]
        assert found.left_out == {"broken line (the first: 3)": 2}
    file.write_text(json.dumps([{"item": "a\ud800"}]))
    with pytest.raises(InvalidInput, match="half a character"):
        json_rows(file, types, ["item"], 2, [])


def test_python_literals_are_never_evaluated(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    meta = f"{{'asin': 'A', 'title': open({str(trap)!r}, 'w').name}}\n{{'asin': 'B', 'title': 'Good'}}"
    found = read(2014, tmp_path, meta)
    assert not trap.exists()
    assert found.items.rows() == [("B", "Good")]
    assert found.excluded == {"items: broken line (the first: 1)": 1}


@pytest.mark.parametrize(
    "line",
    [
        *("{'asin': 'A', 'title': 'cut", "['A']", "{'title': 'no item'}", "{'asin': 'A', 'title': 5}"),
        *(r"{'asin': 'A', 'title': 'half a character: \ud800'}", "(" * 5000),
    ],
)
def test_a_broken_literal_is_refused_above_the_threshold(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidInput, match=r"meta\.json .*broken_lines=0: the first, line 1, is no "):
        read(2014, tmp_path, line, broken_lines=0)


def test_literals_may_hold_escapes_that_python_does_not_know(tmp_path: Path) -> None:
    found = read(2014, tmp_path, r"{'asin': 'A', 'title': 'a\d', 'description': '\ '}")
    assert found.items.rows() == [("A", r"a\d")]


@pytest.mark.parametrize(
    ("review", "match"),
    [
        (REVIEW | {"overall": 6.0}, r"outside dataset\.scale=\[1,5\].*6\.0"),
        (REVIEW | {"unixReviewTime": 1_400_000_000_000}, "a time in milliseconds"),
        (
            {"user": "U", "asin": "A"},
            "has no line with reviewerID, overall, unixReviewTime: .* fields user, asin",
        ),
    ],
)
def test_a_wrong_review_is_refused(tmp_path: Path, review: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        read(2018, tmp_path, '{"asin": "A", "title": "One"}', json.dumps(review))


def test_released_titles_are_refused_where_none_can_be_found(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"no title by the rule dataset\.titles=released.*dataset\.titles=parsed"
    ):
        read(2018, tmp_path, '{"asin":"A","title":"One"}\n{"asin": "B"}', titles="released")


def test_a_missing_file_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file .*nowhere: dataset\.reviews"):
        reader(2018, (tmp_path / "nowhere", tmp_path)).digests()


@pytest.mark.parametrize("edition", WRITE)
def test_digests_are_unchanged_by_names_and_places(tmp_path: Path, edition: int) -> None:
    files = WRITE[edition](tmp_path, 3)
    moved = files[0].rename(tmp_path / "r"), files[1].rename(tmp_path / "m")
    (tmp_path / "again").mkdir()
    again = WRITE[edition](tmp_path / "again", 3)
    assert reader(edition, moved).digests() == reader(edition, again).digests()
    other = WRITE[edition](tmp_path / "again", 4)
    assert reader(edition, moved).digests() != reader(edition, other).digests()


@pytest.mark.parametrize("edition", WRITE)
def test_without_metadata_ids_are_titles_and_that_is_told(tmp_path: Path, edition: int) -> None:
    files = WRITE[edition](tmp_path, 3)
    whole, bare = reader(edition, files).read(), reader(edition, files, items=None)
    found = bare.read()
    assert found.events.equals(whole.events)
    assert found.items["item"].to_list() == found.items["title"].to_list()
    assert set(found.items["item"]) == set(whole.events["item"])
    assert found.noted == {"items: item without metadata, its id is its title": len(found.items)}
    assert list(bare.digests()) == ["reviews"]


@pytest.mark.parametrize(
    ("edition", "titles", "line"),
    [
        (2014, "parsed", "{'asin': 'B', 'title': 'Caf\xe9'}"),
        (2014, "released", "{'asin': 'B', 'title': 'Caf\xe9'}"),
        (2018, "parsed", '{"asin": "B", "title": "Caf\xe9"}'),
        (2018, "released", '{"asin": "B", "title": "Caf\xe9"}'),
    ],
)
def test_one_byte_that_is_not_utf8_loses_no_line(
    tmp_path: Path, edition: int, titles: str, line: str
) -> None:
    quote = line[1]
    other = f"{{{quote}asin{quote}: {quote}A{quote}, {quote}title{quote}: {quote}Né{quote}}}"
    files = tmp_path / "reviews.json", tmp_path / "meta.json"
    files[0].write_text(json.dumps(REVIEW))
    files[1].write_bytes(f"{other}\n".encode() + line.encode("cp1252"))
    found = reader(edition, files, titles=titles).read()
    assert found.items.rows() == [("A", "Né"), ("B", "Café")]
    assert found.noted == {"items: line that is not UTF-8, read as Windows-1252 (the first: 2)": 1}


def test_released_titles_of_a_file_cut_in_a_line_are_refused(tmp_path: Path) -> None:
    files = tmp_path / "reviews.json", tmp_path / "meta.json"
    files[0].write_text(json.dumps(REVIEW))
    files[1].write_text('{"asin": "A", "title": "One"}\n{"asin": "B", "title": "Tw')
    with pytest.raises(
        InvalidInput, match=r"meta\.json ends in the middle of a line: '.*Tw'\. It is cut short"
    ):
        reader(2018, files, titles="released").read()
    found = reader(2018, files).read()
    assert found.excluded == {"items: broken line (the first: 2)": 1}


def test_times_of_reviews_may_be_whole_floats_and_no_others(tmp_path: Path) -> None:
    meta = '{"asin": "A", "title": "One"}'
    found = read(2018, tmp_path, meta, json.dumps(REVIEW | {"unixReviewTime": 1.4e9}))
    assert found.events["time"].to_list() == [1_400_000_000]
    with pytest.raises(InvalidInput, match="a time that is no whole number in 1 of its 1 rows"):
        read(2018, tmp_path, meta, json.dumps(REVIEW | {"unixReviewTime": 1400000000.5}))
