"""What others published for a run of this kind, beside what it came to here."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

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
    rows = [[one.method, TITLES[one.metric], one.value, _here(one, results)] for one in figures]
    caption = f"As cited from {CITED}; here: the mean over the seeds of this report."
    parts: list[Part] = [Grid("published", caption, ["method", "figure", "published", "here"], rows)]
    if preset.endswith(SMALL):
        said = "The preset in small has other data and another backbone: the columns are not comparable."
        parts.append(Text(said, "warning"))
    return parts


def _here(figure: Figure, results: Sequence[Result]) -> str:
    tuned = [(run["metrics"] or {}).get("tuned") or {} for run in results if label_of(run) == figure.method]
    values = [told[figure.metric]["value"] for told in tuned if figure.metric in told]
    return number(mean(values) if values else None)
