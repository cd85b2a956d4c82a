"""The table: every method's figures, best and second marked where a test says so; the foremost drawn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from goracs.report.blocks import Block, Entry, short
from goracs.report.comparison import Measured
from goracs.report.page.charts import coloured, known, named, quantity, spec, tip
from goracs.report.page.document import Chart, Grid, Mark, Part, Section, Text, number
from goracs.report.page.gathered import Gathered, entries
from goracs.report.statistics import interval_of_both, t_interval
from goracs.report.table import TITLES, Cell
from goracs.report.varying import DASH

Ends = tuple[float, float] | None
DRAWN = 6  # blocks
CAPTION = (
    "Mean ± deviation over seeds; below it the 95% interval, over users and seeds where several seeds "
    "kept their "
    "answers, else over users. Best and second are marked where a test says so, after Holm's "
    "correction: else nobody is."
)


def section(found: Gathered) -> Section:
    """The table, each block's foremost figure drawn, and every number."""
    if not found.blocks:
        return Section("results", "Results", [Text("No run was evaluated.", "missing")])
    parts: list[Part] = [_grid(found)]
    for metric in found.main[:2]:
        parts += [chart for block in found.blocks[:DRAWN] if (chart := _chart(found, block, metric))]
    if len(found.blocks) > DRAWN:
        parts.append(Text(f"The first {DRAWN} of {len(found.blocks)} blocks are drawn; the table has all."))
    return Section("results", "Results", [*parts, _every_number(found)])


def of_users(entry: Entry, metric: str) -> Ends:
    """The 95% interval over users of one run, of several averaged; None where one has none."""
    told = [run["metrics"]["tuned"].get(metric) or {} for run in entry.runs.values()]
    low, high = ([one.get(end) for one in told] for end in ("low", "high"))
    known = [end for end in (*low, *high) if end is not None]
    return (mean(known[: len(low)]), mean(known[len(low) :])) if len(known) == 2 * len(told) else None


def of_both(one: Measured) -> Ends:
    """The 95% interval over users and seeds; None for one seed, or without answers."""
    if len(one.values) < 2 or set(one.resampled) != set(one.values):
        return None
    seeds = list(one.values)
    return interval_of_both(
        np.array([one.values[seed] for seed in seeds]), np.stack([one.resampled[seed] for seed in seeds])
    )


def _grid(found: Gathered) -> Grid:
    metrics = [name for name in TITLES if any(name in block.metrics for block in found.blocks)]
    apart = len(found.blocks) > 1
    rows, marks = [], {}
    for row in found.table.references:
        settings = [short(k, v) for k, v in zip(found.table.varying, row.values, strict=True) if v != DASH]
        figures = [_of_cell(row.cells.get(name)) for name in metrics]
        rows.append(
            [
                *([", ".join(settings) or DASH] if apart else []),
                row.label,
                str(len(row.seeds) or DASH),
                *figures,
            ]
        )
    for block, entry in entries(found):
        shown = [_shown(entry, name) for name in metrics]
        for column, name in enumerate(metrics):
            if mark := _mark(block, entry, name):
                marks[len(rows), 2 + apart + column] = mark
        rows.append([*([block.name] if apart else []), entry.method, str(len(entry.runs)), *shown])
    heads = [*(["block"] if apart else []), "method", "seeds", *(TITLES[name] for name in metrics)]
    return Grid("results", CAPTION, heads, rows, marks)


def _mark(block: Block, entry: Entry, metric: str) -> Mark | None:
    told = block.comparisons.get(metric)
    if told is None or entry.method not in (told.best, told.second):
        return None
    return "best" if entry.method == told.best else "second"


def _shown(entry: Entry, metric: str) -> str:
    one = entry.measured(metric)
    if one is None:
        return DASH
    interval = of_both(one) or of_users(entry, metric)
    less = len(one.values) < len(entry.runs)
    return _figure(list(one.values.values()), interval) + (
        f" ({len(one.values)} of {len(entry.runs)} seeds)" if less else ""
    )


def _of_cell(cell: Cell | None) -> str:
    if cell is None:
        return DASH
    known = cell.low is not None and cell.high is not None
    return _figure(cell.values, (cell.low, cell.high) if known else None)  # type: ignore[arg-type]


def _figure(values: Sequence[float], interval: Ends) -> str:
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    below = "" if interval is None else f"\n[{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{mean(values):.3f}{spread}{below}"


def _chart(found: Gathered, block: Block, metric: str) -> Chart | None:
    """Each method's mean and interval, and its seeds."""
    rows, names = [], [entry.method for entry in block.entries]
    for entry in block.entries:
        one = entry.measured(metric)
        if one is not None:
            low, high = of_both(one) or of_users(entry, metric) or (None, None)
            told = {"method": entry.method, "low": low, "high": high, "mean": one.mean}
            rows += [{**told, "seed": seed, "value": value} for seed, value in one.values.items()]
    if not rows:
        return None
    y, title = named("method", names), TITLES[metric]
    colour = coloured("method", found.methods) | {"legend": None}
    tips = tip(rows, "method", "mean", "low", "high", "seed", "value")
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": quantity("low", title), "x2": {"field": "high"}},
        },
        {"mark": {"type": "point", "size": 26, "opacity": 0.55}, "encoding": {"x": quantity("value", title)}},
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": quantity("mean", title)},
        },
    ]
    layers = layers if known(rows, "low") else layers[1:]
    for layer in layers:
        layer["encoding"] |= {"y": y, "color": colour, "tooltip": tips}
    means = {row["method"]: row["mean"] for row in rows}
    alt = f"{title} of each method, {block.name}: " + "; ".join(f"{n} {v:.3f}" for n, v in means.items())
    place = found.blocks.index(block)
    return Chart(
        f"results-{metric}-{place}".replace("@", ""),
        f"{title}, {block.name}",
        alt,
        spec(rows, layers, 30 + 24 * len(means)),
    )


def _every_number(found: Gathered) -> Grid:
    heads = ["block", "method", "figure", "seeds", "mean", "sd", "low, seeds", "high, seeds"]
    heads += ["low, users", "high, users", "low, both", "high, both"]
    rows = []
    for block, entry in entries(found):
        for metric in block.metrics:
            if (one := entry.measured(metric)) is not None:
                values = np.array(list(one.values.values()))
                several = len(values) > 1
                spread = float(values.std(ddof=1)) if several else None
                intervals = [t_interval(values) if several else None, of_users(entry, metric), of_both(one)]
                sides = [end for interval in intervals for end in (interval or (None, None))]
                shown = [number(value, 6) for value in (one.mean, spread, *sides)]
                rows.append([block.name, entry.method, TITLES[metric], str(len(values)), *shown])
    caption = "Every figure: over seeds the t interval, over users the bootstrap's, and over both."
    return Grid("figures", caption, heads, rows, folded=True)
