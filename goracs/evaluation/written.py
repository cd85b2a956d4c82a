"""The title in what an LLM wrote.

In training an answer is one title between double quotes, and a title may hold quotes itself. So on the first
line of what was written:
1.  Behind the first quote, the longest text up to a quote that is a title of the catalogue is the title.
2.  Else (an answer of several, `"A", "B"`; a title that nobody has) it ends at the quote that closes the
    first: a quote opens where a word begins and closes where one ends, and those within are closed before.
3.  Where none does, it ends at the last quote; with one quote at most, the line itself is the title.
"""

from __future__ import annotations

from collections.abc import Set

OPENS_BEHIND = " \t([{-/"  # and at the start of a line, and behind a quote that opens


def title_in(written: str, known: Set[str]) -> str:
    """The title in what an LLM wrote after a prompt.

    Law: `"title"` gives the title for every known one that has no line break, whatever quotes it holds.

    Args:
        written: all that it wrote.
        known: the titles of the catalogue.
    """
    line = written.strip().partition("\n")[0].strip()
    quotes = [place for place, letter in enumerate(line) if letter == '"']
    if len(quotes) < 2:
        return line.strip('" ')
    start = quotes[0] + 1
    titles = [line[start:end] for end in reversed(quotes[1:])]
    in_catalogue = (title for title in titles if title in known)
    return next(in_catalogue, line[start : _closing(line, quotes)])


def _closing(line: str, quotes: list[int]) -> int:
    """The place of the quote that closes the first; the last one where none does."""
    depth, opened = 1, quotes[0]
    for place in quotes[1:]:
        before, after = line[place - 1], line[place + 1 : place + 2]
        if _begins(after) and (before in OPENS_BEHIND or place - 1 == opened):
            depth, opened = depth + 1, place
        elif not before.isspace() and not after.isalnum():
            depth -= 1
        if depth == 0:
            return place
    return quotes[-1]


def _begins(letter: str) -> bool:
    return bool(letter) and not letter.isspace()
