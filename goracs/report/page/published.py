"""What others published for a run of this kind, beside what it came to here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goracs.report.blocks import Entry, blocks, settled
from goracs.report.page.document import Grid, Part, Section, Text, number
from goracs.report.published import CITED, SMALL, Figure, published
from goracs.report.results import Result
from goracs.report.table import TITLES
from goracs.report.varying import label_of


def section(preset: str, results: Sequence[Result]) -> Section:
    """The published figures of a preset, cited; words where none are known."""
    return Section("published", "Published figures", _parts(preset, results))


def _parts(preset: str, results: Sequence[Result]) -> list[Part]:
    figures = published(preset)
    if not figures:
        return [Text(f"None are known to us for {preset}.", "missing")]
    entries = _entries(results)
    rows = [[one.method, TITLES[one.metric], one.value, _here(one, entries)] for one in figures]
    caption = f"As cited from {CITED}; here: the mean over the seeds of this report."
    parts: list[Part] = [Grid("published", caption, ["method", "figure", "published", "here"], rows)]
    several = sorted({one.method for one in figures if len(entries.get(one.method, [])) > 1})
    if several:
        said = f"Run in several set-ups, so that no one figure is theirs: {', '.join(several)}."
        parts.append(Text(said, "missing"))
    if preset.endswith(SMALL):
        said = "The preset in small has other data and another backbone: the columns are not comparable."
        parts.append(Text(said, "warning"))
    return parts


def _entries(results: Sequence[Result]) -> dict[str, list[Entry]]:
    """Selector -> its runs, an entry for each set-up."""
    found: dict[str, list[Entry]] = {}
    for block in blocks(settled(results)[0]):
        for entry in block.entries:
            found.setdefault(label_of(next(iter(entry.runs.values()))), []).append(entry)
    return found


def _here(figure: Figure, entries: Mapping[str, Sequence[Entry]]) -> str:
    mine = entries.get(figure.method, [])
    measured = mine[0].measured(figure.metric) if len(mine) == 1 else None
    return number(measured.mean if measured else None)
