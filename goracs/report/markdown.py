"""The table of some runs as GitHub Markdown that also reads well in a terminal, with notes beneath.

Notes    what a cell is, over how many users, what to beware of (few users, backbones that computed
         differently), what is missing and how to get it, the commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from goracs.harmless import fenced, in_markdown
from goracs.report.table import TITLES, Cell, Row, Table
from goracs.report.varying import DASH

FEW = 30  # users: below it a percentile bootstrap is rough, and mostly too narrow
ONE = "A cell: the value of one run [95% interval over users]."
SEVERAL = (
    "A cell: mean ± sample standard deviation over seeds (of one seed its value) [95% interval over users]. "
    "All seeds answer for the same users: the interval is that of one run, averaged over seeds, and more "
    "seeds do not narrow it."
)
ROUNDING = (
    "Their margins differ by rounding, in bf16 by up to about .1 with batch_tokens alone (docs/method.md): a "
    "small difference between rows of different marks says nothing of their coresets."
)
HOW = (
    "no run of the same settings made the features and gradient norms that it takes, or they are not in the "
    "store. Add assess=true to the command."
)
UNTOLD = "unknown (results of an older goracs)"


def render(table: Table) -> str:
    """The table with its notes and, where it has them, its commands beneath; ends with a newline."""
    several = any(len(row.seeds) > 1 for row in table.groups)
    heads = ["selector", "budget", *(["seeds"] if several else []), *table.varying]
    lines = [[*heads, *(_title(name) for name in table.metrics)]]
    for row in table.rows:
        seeds = [str(len(row.seeds) or DASH)] if several else []
        figures = (_figure(row, name) for name in table.metrics)
        lines.append([table.label(row), row.budget, *seeds, *row.values, *figures])
    notes = [SEVERAL if several else ONE, *_users(table), *_few(table), *_settings(table), *_unjudged(table)]
    pools = "; each drew a pool of its own (dataset.seed)" if table.redrawn else ""
    notes += [f"Seeds: {_listed(table.seeds)}{pools}.", *_missing(table)]
    commands = ["", "Commands:", "", fenced("\n".join(table.commands))] if table.commands else []
    rows = padded([[*map(in_markdown, line)] for line in lines])
    return "\n".join([*rows, "", *(f"- {in_markdown(note)}" for note in notes), *commands, ""])


def padded(lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, its head the first of them, as wide as its widest cells."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in cells
    ]


def _figure(row: Row, name: str) -> str:
    if name not in row.cells:
        return DASH
    cell = row.cells[name]
    said = f"{mean(cell.values):.3f}"
    if len(cell.values) > 1:
        said += f" ± {stdev(cell.values):.3f}"
    if cell.low is not None:
        said += f" [{cell.low:.3f}, {cell.high:.3f}]"
    if len(cell.values) < len(row.seeds):
        said += f" ({len(cell.values)} of {len(row.seeds)} seeds)"
    return said


def _users(table: Table) -> list[str]:
    """Over how many users the intervals are; nothing where there are none."""
    metrics_of: dict[str, list[str]] = {}
    for name in table.metrics:
        cells = [row.cells[name] for row in table.rows if name in row.cells]
        if counts := users_of(cells):
            metrics_of.setdefault(counts, []).append(_title(name))
    told = [f"{counts} ({', '.join(names)})" for counts, names in metrics_of.items()]
    if not told:
        return []
    return [f"Users: {next(iter(metrics_of)) if len(told) == 1 else ', '.join(told)}."]


def users_of(cells: Sequence[Cell]) -> str:
    """The numbers of users of some cells, in words; "" where there is neither a number nor an interval."""
    known = sorted({cell.users for cell in cells if cell.users is not None})
    span = [f"{known[0]} to {known[-1]}" if len(known) > 1 else str(known[0])] if known else []
    unknown = any(cell.low is not None and cell.users is None for cell in cells)
    return " and ".join([*span, *([UNTOLD] if unknown else [])])


def _few(table: Table) -> list[str]:
    """Which figures rest on too few users, those of the same rows together."""
    figures_of: dict[str, list[str]] = {}
    for name in table.metrics:
        have = [row for row in table.rows if name in row.cells]
        for users in sorted({count for row in have if (count := row.cells[name].users) is not None}):
            rows = [row for row in have if row.cells[name].users == users]
            where = "" if len(rows) == len(have) else f" of {_names(table, rows)}"
            if users < FEW:
                figures_of.setdefault(where, []).append(f"{_title(name)} ({users})")
    return [
        f"Warning: fewer than {FEW} users: {', '.join(figures)}{where}. Intervals over so few are rough, and "
        "mostly too narrow."
        for where, figures in figures_of.items()
    ]


def _settings(table: Table) -> list[str]:
    """How the backbones computed, where they did it differently."""
    if not table.marks:
        return []
    told = "; ".join(f"{mark} {setting}" for setting, mark in table.marks.items())
    return [f"Warning: the backbones computed differently: {told}. {ROUNDING}"]


def _unjudged(table: Table) -> list[str]:
    """Whose coresets lack their figures, and how to get them."""
    rows = [row for row in table.groups if not row.judged]
    where = "" if len(rows) == len(table.groups) else f" for {_names(table, rows)}"
    return [f"No POO{where}: {HOW}"] if rows else []


def _missing(table: Table) -> list[str]:
    """The seeds that other groups have and these lack."""
    lacking = [(row, [seed for seed in table.seeds if seed not in row.seeds]) for row in table.groups]
    return [f"Missing seeds of {table.name(row)}: {_listed(seeds)}." for row, seeds in lacking if seeds]


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _names(table: Table, rows: Iterable[Row]) -> str:
    return "; ".join(table.name(row) for row in rows)


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
