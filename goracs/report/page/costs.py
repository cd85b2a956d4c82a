"""What the runs cost: time, memory and cache of each stage."""

from __future__ import annotations

from statistics import median
from typing import Any

from goracs.report.page.charts import named, quantity, spec, tip
from goracs.report.page.document import Chart, Grid, Section, Text
from goracs.report.page.gathered import Gathered

CAPTION = (
    "Made: by these jobs; found: in the store. Seconds and memory are those of when a stage was made, "
    "each artifact "
    "once; memory is the process's peak meanwhile."
)


def section(found: Gathered) -> Section:
    """A line for each stage, and where the time went."""
    told = _stages(found)
    if not told:
        return Section(
            "costs", "Time, memory, cache", [Text("No result tells what its stages cost.", "missing")]
        )
    rows = [
        [
            name,
            str(one["made"]),
            str(one["found"]),
            f"{sum(one['seconds']):,.1f}",
            _middle(one["seconds"]),
            _most(one["mb"]),
        ]
        for name, one in told.items()
    ]
    heads = ["stage", "made", "found", "seconds in all", "seconds, median", "peak MB"]
    points = [
        {"stage": name, "seconds": sum(one["seconds"]), "artifacts": len(one["seconds"])}
        for name, one in told.items()
    ]
    layer = {
        "mark": {"type": "bar", "color": "var(--c0)", "height": {"band": 0.6}},
        "encoding": {
            "x": quantity("seconds", "seconds in all, each artifact once", zero=True),
            "y": named("stage", list(told)),
            "tooltip": tip(points, "stage", "seconds", "artifacts"),
        },
    }
    alt = "Seconds of each stage, each artifact once: " + "; ".join(
        f"{p['stage']} {p['seconds']:,.0f}" for p in points
    )
    chart = Chart("costs", "Where the time went", alt, spec(points, [layer], 30 + 22 * len(points)))
    return Section("costs", "Time, memory, cache", [chart, Grid("costs", CAPTION, heads, rows)])


def _stages(found: Gathered) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    seen: set[tuple[str, str]] = set()
    for result in found.results:
        for name, cost in (result.get("stages") or {}).items():
            one = told.setdefault(name, {"made": 0, "found": 0, "seconds": [], "mb": []})
            one["found" if cost.get("cached") else "made"] += 1
            key = name, str(result["digests"].get(name, result["file"]))
            if key not in seen and cost.get("seconds") is not None:
                seen.add(key)
                one["seconds"].append(cost["seconds"])
                one["mb"] += [cost["peak_mb"]] if cost.get("peak_mb") is not None else []
    return told


def _middle(values: list[float]) -> str:
    return f"{median(values):,.1f}" if values else "-"


def _most(values: list[float]) -> str:
    return f"{max(values):,.0f}" if values else "-"
