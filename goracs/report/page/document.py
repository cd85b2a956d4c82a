"""What a report is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Mark = Literal["best", "second"]
Kind = Literal["plain", "warning", "missing"]


@dataclass(frozen=True)
class Text:
    """A paragraph: what was found, what to beware of, or what is not there and how to get it."""

    words: str
    kind: Kind = "plain"


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        name: of its file and its place in the page.
        caption: what its cells are.
        heads: [k] of the columns.
        rows: [n][k] as shown; a second line of a cell is its interval.
        marks: (row, column) -> what a test says of the cell.
        folded: whether the page shows it only when asked.
    """

    name: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure: its file's name, its title, what it shows in words, and its Vega-Lite specification."""

    name: str
    title: str
    alt: str
    spec: Mapping[str, Any]


Part = Text | Grid | Chart


@dataclass(frozen=True)
class Section:
    """A part of the report under a title; `name` is its place in the page."""

    name: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """The whole report."""

    title: str
    lead: str
    sections: Sequence[Section]

    @property
    def charts(self) -> list[Chart]:
        """All of them, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Chart)]

    @property
    def grids(self) -> list[Grid]:
        """All of them, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Grid)]


def number(value: float | None, digits: int = 3) -> str:
    """A figure as shown; a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """A difference as shown, with its sign."""
    if value is None:
        return "-"
    shown = f"{value:+.3f}"
    return shown[1:] if float(shown) == 0 else shown


def ends(interval: tuple[float, float] | None) -> str:
    """An interval of differences as shown."""
    return "-" if interval is None else f"[{signed(interval[0])}, {signed(interval[1])}]"


def shown_p(p: float | None) -> str:
    """A p as shown."""
    return "<0.001" if p is not None and p < 0.0005 else number(p)


def counted(count: int, what: str) -> str:
    """A number and its word: 1 job, 2 jobs."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
