"""The report as one page: no network, no other file; light and dark as the reader's system is."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from pathlib import Path

from goracs import harmless
from goracs.report.page.document import Chart, Document, Grid, Section, Text
from goracs.report.page.theme import DARK, LIGHT, variables

HERE = Path(__file__).parent
FILTERED = 6  # a table of so many rows has a filter
LABELS = {"plain": "", "warning": "Beware. ", "missing": "Not here. "}


def page(document: Document, library: str) -> str:
    """The whole page; `library` is the code that draws its figures."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    links = "".join(
        f'<li><a href="#{one.name}">{one.name.capitalize()}</a></li>' for one in document.sections
    )
    body = "\n".join(_section(one) for one in document.sections)
    specs = _inert({chart.name: chart.spec for chart in document.charts})
    title, drawing = shown(document.title), library.replace("</script", "<\\/script")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_allowed(drawing, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ {variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
{style}</style>
</head>
<body>
<a class="skip" href="#main">To the report</a>
<header>
<h1>{title}</h1>
<p class="lead">{shown(document.lead)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer><p>Written by goracs report. Figures show values under the pointer, tables as text.</p></footer>
<script type="application/json" id="specs">{specs}</script>
<script>{drawing}</script>
<script>{script}</script>
</body>
</html>
"""


def _allowed(*scripts: str) -> str:
    """What the page may do: run these scripts and no others, ask nobody for anything."""
    digests = " ".join(f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts)
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def shown(words: str) -> str:
    """Words as text of the page."""
    return escape(harmless.shown(words))


def _inert(value: object) -> str:
    """JSON that cannot end the element that holds it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )


def _section(section: Section) -> str:
    parts = "\n".join(_grouped(section))
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f'<h2 id="{section.name}-title">{shown(section.title)}</h2>\n{parts}\n</section>'
    )


def _grouped(section: Section) -> Iterator[str]:
    """The parts; figures that follow each other stand side by side where there is room."""
    figures: list[str] = []
    for part in section.parts:
        if isinstance(part, Chart):
            figures.append(_chart(part))
            continue
        if figures:
            yield _figures(figures)
            figures = []
        yield _words(part) if isinstance(part, Text) else _grid(part)
    if figures:
        yield _figures(figures)


def _figures(figures: list[str]) -> str:
    return f'<div class="figures">{"".join(figures)}</div>'


def _words(text: Text) -> str:
    label = LABELS[text.kind]
    return f'<p class="{text.kind}">{f"<b>{label}</b>" if label else ""}{shown(text.words)}</p>'


def _chart(chart: Chart) -> str:
    return (
        f'<figure id="figure-{chart.name}"><figcaption>{shown(chart.title)}</figcaption>'
        f'<div class="chart" role="img" aria-label="{shown(chart.alt)}" data-chart="{chart.name}"></div>'
        "</figure>"
    )


def _grid(grid: Grid) -> str:
    heads = "".join(
        f'<th scope="col" aria-sort="none"{_side(grid, column)}>'
        f'<button type="button">{shown(head)}</button></th>'
        for column, head in enumerate(grid.heads)
    )
    rows = "".join(f"<tr>{_row(grid, number)}</tr>" for number in range(len(grid.rows)))
    search = ""
    if len(grid.rows) >= FILTERED:
        search = (
            f'<p class="filter"><label for="filter-{grid.name}">Filter rows</label> '
            f'<input type="search" id="filter-{grid.name}" autocomplete="off"> '
            '<span role="status"></span></p>'
        )
    caption = f'<p class="caption" id="caption-{grid.name}">{shown(grid.caption)}</p>'
    table = (
        f'<div class="grid" id="grid-{grid.name}">{caption}{search}'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="caption-{grid.name}">'
        f'<table aria-labelledby="caption-{grid.name}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )
    if not grid.folded:
        return table
    return f"<details><summary>{shown(_short(grid))} ({len(grid.rows):,} rows)</summary>{table}</details>"


def _short(grid: Grid) -> str:
    return grid.caption.partition(":")[0].partition(".")[0].partition(",")[0]


def _row(grid: Grid, number: int) -> str:
    return "".join(_cell(grid, number, column) for column in range(len(grid.heads)))


def _cell(grid: Grid, row: int, column: int) -> str:
    first, _, below = grid.rows[row][column].partition("\n")
    words = shown(first)
    if mark := grid.marks.get((row, column)):
        words = f'<strong class="{mark}">{words}</strong> <span class="mark">{mark}</span>'
    if below:
        words += f"<small>{shown(below)}</small>"
    return f"<td{_side(grid, column)}>{words}</td>"


def _side(grid: Grid, column: int) -> str:
    """Columns of numbers are set to the right, words to the left and commands as code."""
    cells = [row[column] for row in grid.rows]
    if cells and all(
        cell == "-" or cell[:1].isdigit() or cell.lstrip("+-[<")[:1].isdigit() for cell in cells
    ):
        return (
            ' class="number"'
            if grid.heads[column] not in ("version", "digest", "folder")
            else ' class="code"'
        )
    return ' class="code"' if grid.heads[column] in ("command", "digest", "folder") else ""
