"""The table of some runs as a picture.

One line per selector, budget and whatever else differs: a point for each seed, a bar at their mean, and as a
line the 95% interval over users (of several seeds theirs averaged, see `goracs.report.table`). The references
are vertical lines.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from goracs.report.markdown import users_of
from goracs.report.table import TITLES, Cell, Table
from goracs.types import GoracsError

METRICS = ("auc", "ndcg@10")
LINE_STYLES = ("--", ":", "-.")


def draw(table: Table, out: Path) -> None:
    """Writes the tuned AUC (or NDCG@10) of each group, with the references, to `out`.

    Raises:
        GoracsError: no group has the metric, matplotlib is not installed, or `out` cannot be written.
    """
    metric = _metric(table)
    figure_class = _figure_class()
    rows = [row for row in table.groups if metric in row.cells]
    figure = figure_class(
        figsize=(8.0, 1.8 + 0.4 * len(rows) + 0.2 * len(table.references)), layout="constrained"
    )
    axes = figure.add_subplot()
    for height, row in enumerate(rows):
        draw_cell(axes, height, row.cells[metric])
    shown = [row for row in table.references if metric in row.cells]
    for number, row in enumerate(shown):
        value = row.cells[metric].values[0]
        style = LINE_STYLES[number % len(LINE_STYLES)]
        label = f"{table.name(row)}: {value:.3f}"
        axes.axvline(value, color=f"C{number + 1}", linestyle=style, label=label, zorder=0)
    axes.set_yticks(range(len(rows)), [table.name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    users = users_of([row.cells[metric] for row in rows])
    axes.set_xlabel(f"{TITLES[metric]} on the test samples; line: 95% interval over users, {users}")
    if shown:
        figure.legend(loc="outside lower center", fontsize="small", frameon=False)
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise GoracsError(f"the picture cannot be written to {out} ({error}): give another --out.") from error


def _metric(table: Table) -> str:
    for metric in METRICS:
        if any(metric in row.cells for row in table.groups):
            return metric
    raise GoracsError(f"no run has a tuned {' or '.join(TITLES[m] for m in METRICS)}: nothing to draw.")


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GoracsError(
            "plots need matplotlib: pip install 'goracs[plots]', or pip install matplotlib."
        ) from error
    return Figure


def draw_cell(axes: Any, height: int, cell: Cell) -> None:
    """Draws a point for each seed, a bar at the mean of several, and the interval, at one height."""
    if cell.low is not None and cell.high is not None:
        axes.plot([cell.low, cell.high], [height, height], color="C0", linewidth=1.5)
    if len(cell.values) > 1:
        axes.plot([mean(cell.values)] * 2, [height - 0.25, height + 0.25], color="C0", linewidth=2)
    axes.plot(cell.values, [height] * len(cell.values), "o", color="C0", markersize=5, alpha=0.8)
