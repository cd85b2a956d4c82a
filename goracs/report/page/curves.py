"""How a figure goes with the budget, and with the weight of the gradients (lambda), where runs vary them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from goracs.report.blocks import Block, Entry
from goracs.report.page.charts import coloured, known, quantity, spec, tip
from goracs.report.page.document import Chart, Part, Section, Text
from goracs.report.page.gathered import Gathered, entries
from goracs.report.page.results import of_users
from goracs.report.statistics import t_interval
from goracs.report.table import TITLES, leading_number
from goracs.report.varying import DASH, shown_config

NONE = "Neither the budget nor the weight of the gradients varies among these runs."
BANDS = (
    "Bands are 95% intervals over seeds (of one seed, over users): all methods answer for the same users, so "
    "how sure they are of those is no part of how they differ."
)
LAM = "selector.lam"
WIDE = 4  # from this ratio of budgets on the axis is logarithmic


def section(found: Gathered) -> Section:
    """The curves."""
    charts: list[Part] = []
    for metric in found.main[:2]:
        charts += [*_curve(found, metric, "budget"), *_curve(found, metric, "lambda")]
    words = Text(BANDS) if charts else Text(NONE, "missing")
    return Section("curves", "Budget and weight of the gradients", [words, *charts])


def _curve(found: Gathered, metric: str, what: str) -> Iterator[Chart]:
    points = [point for block, entry in entries(found) if (point := _point(block, entry, metric, what))]
    lines: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        lines.setdefault(point["line"], []).append(point)
    kept = [row for rows in lines.values() if len({row[what] for row in rows}) > 1 for row in rows]
    if not kept:
        return
    names = list(dict.fromkeys(row["line"] for row in kept))
    x = quantity(what, "budget, rows" if what == "budget" else "lambda")
    steps = [row[what] for row in kept]
    if what == "budget" and max(steps) >= WIDE * min(steps):
        x["scale"] |= {"type": "log", "base": 2}
        del x["scale"]["zero"]
    x["axis"] = {"values": sorted(set(steps))}
    title, colour = TITLES[metric], coloured("line", names)
    tips = tip(kept, "line", what, "mean", "low", "high", "seeds")
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "opacity": 0.14},
            "encoding": {"y": quantity("low", title), "y2": {"field": "high"}},
        },
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": quantity("mean", title)}},
        {
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"y": quantity("mean", title), "tooltip": tips},
        },
    ]
    layers = layers if known(kept, "low") else layers[1:]
    for layer in layers:
        layer["encoding"] |= {"x": x, "color": colour}
    alt = f"{title} against {what}, bands are 95% intervals. " + "; ".join(
        f"{name}: " + ", ".join(f"{row[what]:g} {row['mean']:.3f}" for row in kept if row["line"] == name)
        for name in names
    )
    yield Chart(f"{what}-{metric}".replace("@", ""), f"{title} by {what}", alt, spec(kept, layers))


def _point(block: Block, entry: Entry, metric: str, what: str) -> dict[str, Any] | None:
    """A method's figure at its budget or lambda; None where it has none, or none that is a number."""
    one = entry.measured(metric)
    lam = shown_config(next(iter(entry.runs.values()))).get(LAM, DASH)
    at = leading_number(block.budget if what == "budget" else lam)
    if one is None or at is None:
        return None
    name, where = entry.method, block.name
    if what == "lambda":
        name = " ".join(word for word in name.split(" ") if not word.startswith("lam="))
    else:
        where = ", ".join(where.split(", ")[1:])
    values = np.array(list(one.values.values()))
    low, high = (t_interval(values) if len(values) > 1 else of_users(entry, metric)) or (None, None)
    line = ", ".join(filter(None, [name, where]))
    return {
        "line": line,
        what: at,
        "mean": one.mean,
        "low": low,
        "high": high,
        "seeds": len(one.values),
    }
