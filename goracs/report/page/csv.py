"""The tables of a report as CSV, cells as they are shown, marks in a column of their own."""

from __future__ import annotations

import csv
import io

from goracs.report.page.document import Grid


def text(grid: Grid) -> str:
    """One table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    marked = ["marks"] if grid.marks else []
    writer.writerow([*grid.heads, *marked])
    for number, row in enumerate(grid.rows):
        marks = "; ".join(
            f"{grid.heads[at]} {mark}" for (line, at), mark in grid.marks.items() if line == number
        )
        writer.writerow([*(cell.replace("\n", " ") for cell in row), *([marks] if marked else [])])
    return out.getvalue()
