"""Title rules and the k-core: what stays, and that all that goes is counted."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.filters import exact_repeats, k_core, usable
from goracs.data.readers import movielens
from goracs.types import InvalidInput
from tests.unit.test_prepare import made

ROWS = [(name[0], name[1], 4.0, time) for time, name in enumerate(["a1", "b1", "a2", "c3", "b4", "a5"])]


def kept(titles: dict[str, str | None], **rules: Any) -> Any:
    dataset = made(ROWS, titles, **{"title_unescape": False, **rules})
    return usable(dataset.read(), dataset)


def items(found: Any) -> list[str]:
    return found.events["item"].to_list()  # type: ignore[no-any-return]


def test_items_that_are_missing_or_have_a_blank_title_go_with_their_events() -> None:
    found = kept({"1": "One", "2": None, "3": " \t", "4": "", "6": "Never rated"})
    assert items(found) == ["1", "1"]
    assert found.excluded == {"no title": 4}
    assert found.titles.rows() == [("1", "One")]


def test_a_title_has_to_be_longer_than_asked_in_characters_as_they_are() -> None:
    found = kept(
        {"1": " ab", "2": "\u00e9\u00e9", "3": "\u00e9\u00e9\u00e9", "4": "abc", "5": "abcd"},
        title_longer_than=2,
    )
    assert items(found) == ["1", "1", "3", "4", "5"]
    assert found.excluded == {"title of at most 2 characters": 1}


def test_entities_are_unescaped_where_that_is_asked_for() -> None:
    titles: dict[str, str | None] = {"1": "Q&amp;A", "2": "It&#39;s", "3": "R&B", "4": None, "5": "x"}
    for unescape, first in (
        (True, ["Q&A", "It's", "R&B", "x"]),
        (False, ["Q&amp;A", "It&#39;s", "R&B", "x"]),
    ):
        assert kept(titles, title_unescape=unescape).titles["title"].to_list() == first


def test_line_breaks_in_a_title_become_spaces_and_are_counted() -> None:
    found = kept(
        {"1": "One\nline", "2": "a\tb\u0085c", "3": "&#10;d", "4": "e", "5": "f"}, title_unescape=True
    )
    assert found.titles["title"].to_list() == ["One line", "a b c", " d", "e", "f"]
    assert found.cleaned == 3


def test_of_items_with_one_title_the_smallest_id_stays_where_titles_are_unique() -> None:
    found = kept(
        {"5": "One", "1": "One", "0": "One", "2": "Two", "3": "Three", "4": "Four"}, title_unique=True
    )
    assert items(found) == ["1", "1", "2", "3", "4"]  # item 0 has no event, so it takes no title from others
    assert found.excluded == {"title of another item": 1}


def test_a_core_is_taken_of_what_the_titles_leave_and_counted() -> None:
    rows = [(user, item, 4.0, 0) for user in "abc" for item in "12"] + [
        ("d", "1", 4.0, 0),
        ("a", "3", 4.0, 0),
    ]
    dataset = made(rows, {"1": "One", "2": "Two", "3": "Three"}, core=2)
    found = usable(dataset.read(), dataset)
    assert len(found.events) == 6
    assert found.excluded == {"outside the 2-core": 2}


def test_no_core_is_left_of_a_chain() -> None:
    chain = pl.DataFrame({"user": list("abbccd"), "item": list("112233")})
    assert k_core(chain, 2).is_empty()


SCRAPED = [
    "var aPageStart = (new Date()).getTime(); var ue_t0=ue_t0||+new Date();",
    '<span id="productTitle" class="a-size-large">Lamp',
    '<a class="a-link-normal" href="x">Lamp</a>',
    "Lamp</span>",
    "<DIV>Lamp",
    "<script>x()</script>",
    "<h1>Lamp</h1>",
    "<!-- Lamp -->",
    "<!DOCTYPE html>",
    "(function(d) { d.x = 1 })",
    "window.ue_t = (new Date()).getTime()",
]
TITLES = [
    "<a_60><b_159><c_203>",  # ids that are words
    "The <i>New</i> Lamp<br/>",
    "I <3 Lamps > Candles",
    "<---> (2009)",
    "Multi-Function (Black) {2 pieces}",
    "VAR 2 = Lamp; var. 3",
    'Lamp, 8" x 11" />',
    ".hack//Infection",
    "Span (2010)",
    "R&amp;B",
]


@pytest.mark.parametrize(("title", "reason"), [(t, "drop") for t in SCRAPED] + [(t, "") for t in TITLES])
def test_titles_that_are_markup_or_code_go_and_are_counted(title: str, reason: str) -> None:
    titles: dict[str, str | None] = {"1": title, "2": "Two", "3": "Three", "4": "Four", "5": "Five"}
    found = kept(titles)
    assert found.excluded == ({"title that is markup or code": 2} if reason else {})
    assert kept(titles, title_markup="keep").excluded == {}


def test_markup_is_seen_behind_entities_where_they_are_unescaped() -> None:
    titles: dict[str, str | None] = {
        "1": "&lt;span id=&quot;x&quot;&gt;One",
        "2": "Two",
        "3": "3",
        "4": "4",
        "5": "5",
    }
    assert kept(titles, title_unescape=True).excluded == {"title that is markup or code": 2}


def test_titles_longer_than_allowed_go_and_are_counted() -> None:
    titles: dict[str, str | None] = {"1": "é" * 20, "2": "é" * 21, "3": "Three", "4": "4" * 300, "5": "5"}
    found = kept(titles, title_max=20)
    assert items(found) == ["1", "1", "3", "5"]
    assert found.excluded == {"title of more than 20 characters": 2}
    assert kept(titles, title_max=None).excluded == {}


def test_no_real_title_goes_by_the_rules_of_titles() -> None:
    """Nor any of the bundled films' ten thousand."""
    dataset = made([], dict(movielens.read("bundled", None).items.rows()))
    rated = [("u", item, 4.0, 0) for item in dataset.raw.items["item"]]
    found = usable(made(rated, dict(dataset.raw.items.rows())).read(), dataset)
    assert found.excluded == {}


@pytest.mark.parametrize("rule", [{"core": 1}, {"title_longer_than": -1}, {"title_max": 0}])
def test_rules_out_of_bounds_are_refused(rule: dict[str, int]) -> None:
    (name,) = rule
    with pytest.raises(ValueError, match=rf"dataset\.{name}.* must be a whole number >= "):
        made(ROWS, {}, **rule)


TWICE = [
    ("a", "1", 4.0, 5),
    ("a", "1", 4.0, 5),
    ("b", "1", 4.0, 5),
    ("a", "1", 4.0, 6),
    ("a", "1", 3.0, 5),
    ("a", "2", 4.0, 5),
    ("a", "1", 4.0, 5),
]
RULES = {"title_unescape": False}


def test_exact_repeats_are_counted_and_kept_unless_said_otherwise() -> None:
    dataset = made(TWICE, {"1": "One", "2": "Two"}, **RULES)
    found = usable(dataset.read(), dataset)
    assert (found.duplicates, found.excluded) == (2, {})
    assert found.events.rows() == TWICE


def test_dropped_repeats_leave_the_first_of_each_and_are_counted_under_their_reason() -> None:
    dataset = made(TWICE, {"1": "One", "2": None}, duplicates="drop", **RULES)
    found = usable(dataset.read(), dataset)
    assert found.events.rows() == [TWICE[0], *TWICE[2:5]]
    assert found.duplicates == 2
    assert found.excluded == {"no title": 1, "exact repeat of another event": 2}


def test_refused_repeats_are_told_with_the_first_and_what_to_do() -> None:
    dataset = made(TWICE, {"1": "One"}, duplicates="refuse", **RULES)
    match = r"2 of the 7 events .* as does user a, item 1, rating 4\.0, time 5: dataset\.duplicates=drop"
    with pytest.raises(InvalidInput, match=match):
        usable(dataset.read(), dataset)
    none = made(TWICE[1:6], {"1": "One"}, duplicates="refuse", **RULES)
    assert usable(none.read(), none).duplicates == 0


EVENT = st.tuples(
    st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from([1.0, 2.0]), st.integers(0, 2)
)


@given(st.lists(EVENT, max_size=40))
def test_exact_repeats_equal_a_reading_with_a_set(rows: list[tuple[str, str, float, int]]) -> None:
    schema = {"user": pl.String, "item": pl.String, "rating": pl.Float64, "time": pl.Int64}
    expected = [k for k, row in enumerate(rows) if row in rows[:k]]
    assert exact_repeats(pl.DataFrame(rows, schema=schema, orient="row")).to_list() == expected


def test_events_of_one_second_that_differ_in_parts_of_it_are_no_repeats() -> None:
    schema = {"user": pl.String, "item": pl.String, "rating": pl.Float64, "time": pl.Int64, "part": pl.Int64}
    rows = [("a", "1", 4.0, 5, 1), ("a", "1", 4.0, 5, 2), ("a", "1", 4.0, 5, 1)]
    assert exact_repeats(pl.DataFrame(rows, schema=schema, orient="row")).to_list() == [2]
