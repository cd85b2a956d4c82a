"""Whether the figures of a coreset foretell the test: POO and its parts against the loss, over all jobs."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np

from goracs.report.blocks import LESS_IS_BETTER
from goracs.report.page.charts import coloured, quantity, spec, tip
from goracs.report.page.document import Chart, Grid, Part, Section, Text, counted, number
from goracs.report.page.gathered import Gathered
from goracs.report.statistics import rank_correlation
from goracs.report.table import TITLES
from goracs.types import FloatArray

FIGURES = {"poo": "POO", "transport": "transport OT_d", "mean_gradient": "mean gradient norm"}


def section(found: Gathered) -> Section:
    """The scatters and the rank correlations."""
    title = "What foretells the test"
    rows = _rows(found)
    if len(rows) < 3:
        words = (
            f"{counted(len(rows), 'coreset')} with its figures: a correlation takes three. Add "
            "assess=true to the "
            "command, which judges every coreset."
        )
        return Section("foretell", title, [Text(words, "missing")])
    metric = found.main[0]
    parts: list[Part] = [_chart(found, rows, name, metric) for name in FIGURES]
    absent = len(found.jobs) - len(rows)
    if absent:
        parts.append(
            Text(
                f"{absent} of {len(found.jobs)} jobs have no such figures (assess=true brings them).",
                "missing",
            )
        )
    return Section("foretell", title, [*parts, _grid(rows, metric)])


def _rows(found: Gathered) -> list[dict[str, Any]]:
    rows = []
    for job in found.jobs:
        told = job.result["coreset"].get("assessment") or {}
        values = {
            TITLES[name]: job.result["metrics"]["tuned"].get(name, {}).get("value") for name in found.main[:1]
        }
        if all(told.get(name) is not None for name in FIGURES) and None not in values.values():
            figures = {shown: told[name] for name, shown in FIGURES.items()}
            rows.append(
                {"method": job.method, "block": job.block.name, "seed": job.seed, **figures, **values}
            )
    return rows


def _chart(found: Gathered, rows: list[dict[str, Any]], name: str, metric: str) -> Chart:
    x, y = FIGURES[name], TITLES[metric]
    rho = _correlation(rows, x, y)
    layer = {
        "mark": {"type": "point", "filled": True, "size": 45, "opacity": 0.85},
        "encoding": {
            "x": quantity(x),
            "y": quantity(y, f"test {y}"),
            "color": coloured("method", found.methods),
            "tooltip": tip(rows, "method", "block", "seed", x, y),
        },
    }
    told = f"rank correlation {number(rho, 2)} over {counted(len(rows), 'job')}"
    return Chart(
        f"foretell-{name}".replace("_", "-"),
        f"{x}: {told}",
        f"Test {y} against {x}, a point for each job; {told}.",
        spec(rows, [layer]),
    )


def _grid(rows: list[dict[str, Any]], metric: str) -> Grid:
    y, lines = TITLES[metric], []
    blocks = list(dict.fromkeys(row["block"] for row in rows))
    for name in FIGURES.values():
        within = [_correlation([row for row in rows if row["block"] == block], name, y) for block in blocks]
        known = [value for value in within if value is not None]
        lines.append(
            [
                name,
                number(_correlation(rows, name, y), 2),
                number(mean(known) if known else None, 2),
                str(len(rows)),
            ]
        )
    way = (
        "near 1: the smaller the figure, the smaller the loss"
        if metric in LESS_IS_BETTER
        else f"near -1: the smaller the figure, the larger the {y}"
    )
    caption = f"Spearman's rank correlation with the test {y}; {way}."
    return Grid("foretell", caption, ["figure", "over all jobs", "mean within a block", "jobs"], lines)


def _correlation(rows: list[dict[str, Any]], x: str, y: str) -> float | None:
    if len(rows) < 3:
        return None
    first, second = (_column(rows, name) for name in (x, y))
    return rank_correlation(first, second)


def _column(rows: list[dict[str, Any]], name: str) -> FloatArray:
    return np.array([row[name] for row in rows], dtype=np.float64)
