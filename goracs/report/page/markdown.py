"""The report as GitHub Markdown, its figures as pictures beside it."""

from __future__ import annotations

from goracs.harmless import in_markdown
from goracs.report.markdown import padded
from goracs.report.page.document import Chart, Document, Grid, Part, Text

LABELS = {"plain": "", "warning": "**Beware.** ", "missing": "**Not here.** "}
MARKS = {"best": ("**", "** (best)"), "second": ("*", "* (second)")}


def text(document: Document) -> str:
    """The whole report; figures are figures/NAME.svg."""
    parts = [f"# {in_markdown(document.title)}", in_markdown(document.lead)]
    for section in document.sections:
        parts += [f"## {in_markdown(section.title)}", *(_part(part) for part in section.parts)]
    return "\n\n".join(parts) + "\n"


def _part(part: Part) -> str:
    if isinstance(part, Text):
        return LABELS[part.kind] + in_markdown(part.words)
    if isinstance(part, Chart):
        alt = in_markdown(part.alt.replace("[", "(").replace("]", ")"))
        return f"**{in_markdown(part.title)}**\n\n![{alt}](figures/{part.name}.svg)"
    return f"{in_markdown(part.caption)}\n\n{chr(10).join(padded(_lines(part)))}"


def _lines(grid: Grid) -> list[list[str]]:
    rows = [[_cell(grid, row, column) for column in range(len(grid.heads))] for row in range(len(grid.rows))]
    return [[*map(in_markdown, grid.heads)], *rows]


def _cell(grid: Grid, row: int, column: int) -> str:
    first, _, below = in_markdown(grid.rows[row][column]).partition("\n")
    before, after = MARKS.get(grid.marks.get((row, column), ""), ("", ""))
    return f"{before}{first}{after} {below}".rstrip()
