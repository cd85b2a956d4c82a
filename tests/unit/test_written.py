"""The title in what an LLM wrote: one title, with the quotes it holds, of answers of any kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers import movielens
from goracs.evaluation.written import title_in

NOBODY: frozenset[str] = frozenset()
HARD = (
    '"Weird Al" Yankovic: Live',
    'Tribute to "Weird Al"',
    'Say "A", "B" and "C"',
    '24" Monitor, 7" Stand',
    'A", "B',
    'Rock" n Roll',
    '""',
    '"',
    "",
    " spaced ",
    "A",
)


@given(st.text(st.sampled_from('"A ,1\t') | st.characters(exclude_characters="\n"), max_size=12))
def test_a_known_title_between_quotes_is_itself(title: str) -> None:
    assert title_in(f'"{title}"', {title, "A"}) == title


def test_every_title_of_a_catalogue_is_found_alone_and_in_front_of_others() -> None:
    titles = {*movielens.read("bundled", None).items["title"], *HARD} - {"", '"', '""'}
    for title in titles:
        assert title_in(f'"{title}"', titles) == title
        assert title_in(f'"{title}", "Nobody\'s"', titles) == title
        assert title_in(f'Certainly: "{title}" and "Nobody\'s".', titles) == title


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ('"Toy Story (1995)"', "Toy Story (1995)"),
        (' "Toy Story (1995)"\n\n### Input:\n"Seven"', "Toy Story (1995)"),
        ("Toy Story", "Toy Story"),
        ('"Toy Story', "Toy Story"),
        ('Toy Story"', "Toy Story"),
        ("", ""),
        ('""', ""),
        ('The next movie is "Heat".', "Heat"),
    ],
)
def test_one_title_is_found_where_it_stands(written: str, title: str) -> None:
    assert title_in(written, NOBODY) == title


@pytest.mark.parametrize(
    "written",
    [
        '"A", "B"',
        '"A","B"',
        '"A" "B"',
        '"A""B"',
        '"A" and "B"',
        '"A"; "B", "C"',
        '"A", "B',
        '"A", "',
        '"A" (1999), "B" (2001)',
        '"A" is like "B"',
        '"A"/"B"',
        '1. "A" 2. "B"',
        'Either "A" or "B", or "C"',
    ],
)
def test_of_several_titles_the_first_counts(written: str) -> None:
    assert title_in(written, NOBODY) == "A"
    assert title_in(written, {"A", "B", "A, B"}) == "A"


@pytest.mark.parametrize(
    "title", ['"Weird Al" Yankovic: Live', 'Tribute to "Weird Al"', 'Say "A", "B" or "C"']
)
def test_quotes_within_a_title_that_nobody_has_are_closed_before_it(title: str) -> None:
    assert title_in(f'"{title}"', NOBODY) == title
    assert title_in(f'"{title}", "B"', NOBODY) == title


def test_where_no_quote_closes_the_title_it_ends_at_the_last() -> None:
    assert title_in('"The "Big One"', NOBODY) == 'The "Big One'
    assert title_in('"Kevin"Bull"Ryan', NOBODY) == 'Kevin"Bull'


def test_the_longest_known_title_wins() -> None:
    assert title_in('"Heat" and "Heat 2"', {"Heat"}) == "Heat"
    assert title_in('"24" Monitor", "B"', {'24" Monitor', "24"}) == '24" Monitor'
