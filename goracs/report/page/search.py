"""How the searches went: the objective by phase, its bound and the gap, over the seconds of the search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from goracs.ot.cost import gap
from goracs.report.page.charts import coloured, known, quantity, spec, tip
from goracs.report.page.document import Chart, Part, Section, Text, counted
from goracs.report.page.gathered import Gathered, Job
from goracs.types import GoracsError

DRAWN = 6  # searches
PHASES = ("start", "bound", "alternate", "exchange", "chain", "branch")
FLAT = 1e-4  # below it the scale of the gap is linear, so that 0 has a place
Step = dict[str, Any]


def section(found: Gathered) -> Section:
    """The searches of each method's first seed."""
    traces = [(job, job.left("trace.json")) for job in found.one_a_method()]
    searched = [(job, _steps(job, steps)) for job, steps in traces if steps]
    parts: list[Part] = []
    if any(steps is None for _, steps in traces):
        parts.append(
            Text("Some job folders have no trace.json: running their commands again leaves one.", "missing")
        )
    if not searched:
        parts.append(
            Text(
                "No search is on record: these selectors choose without one, or their traces are not kept.",
                "missing",
            )
        )
        return Section("search", "The searches", parts)
    if len(searched) > DRAWN:
        parts.append(
            Text(
                f"Drawn are the first {DRAWN} of {counted(len(searched), 'search')}: of each method "
                "and block the least seed."
            )
        )
    parts.append(Text("Solid the objective, dashed its lower bound; marks are the steps, by phase."))
    for place, (job, steps) in enumerate(searched[:DRAWN]):
        parts.append(_descent(place, job, steps))
    parts += _gaps([(job, steps) for job, steps in searched[:DRAWN]])
    return Section("search", "The searches", parts)


def _steps(job: Job, steps: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps with their part of the pool in words, and how far the bound is."""
    rows = []
    for step in steps:
        label = step.get("class")
        bound = step.get("bound")
        far = None if bound is None else gap(step["objective"], bound, _lowest(job, label))
        part = "all rows" if label is None else f"class {label}"
        rows.append({**step, "bound": bound, "part": part, "gap": far})
    return rows


def _lowest(job: Job, label: int | None) -> float:
    """The smallest cost of a row of a part; where a search has bounds, its report has that."""
    report = job.result["coreset"].get("report") or {}
    told = report if label is None else (report.get("classes") or {}).get(str(label))
    lowest = told.get("lowest_cost") if isinstance(told, dict) else None
    if not isinstance(lowest, int | float):
        of = "" if label is None else f" of class {label}"
        raise GoracsError(
            f"{job.folder}: result.json has no lowest_cost{of}, trace.json has bounds: run its job again."
        )
    return float(lowest)


def _name(job: Job) -> str:
    return f"{job.method}, {job.block.name}, seed {job.seed}"


def _descent(place: int, job: Job, steps: Sequence[Step]) -> Chart:
    parts = list(dict.fromkeys(step["part"] for step in steps))
    x, colour = quantity("seconds", "seconds of the search"), coloured("part", parts)
    tips = tip(steps, "part", "phase", "seconds", "objective", "bound", "gap")
    bounded = {"filter": "datum.bound != null"}
    layers: list[dict[str, Any]] = [
        {
            "transform": [bounded],
            "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3]},
            "encoding": {
                "x": x,
                "y": quantity("bound", "objective"),
                "color": colour,
            },
        },
        {
            "mark": {"type": "line", "interpolate": "step-after"},
            "encoding": {"x": x, "y": quantity("objective"), "color": colour},
        },
        {
            "mark": {"type": "point", "size": 40, "filled": True, "opacity": 1},
            "encoding": {
                "x": x,
                "y": quantity("objective"),
                "color": colour,
                "shape": {
                    "field": "phase",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": list(PHASES)},
                    "legend": {
                        "columns": len(PHASES),
                        "symbolFillColor": "var(--muted)",
                        "symbolStrokeColor": "var(--muted)",
                    },
                },
                "tooltip": tips,
            },
        },
    ]
    layers = layers if known(steps, "bound") else layers[1:]
    ended = "; ".join(_end(part, [step for step in steps if step["part"] == part]) for part in parts)
    return Chart(
        f"search-{place}",
        _name(job),
        f"The objective's descent, {_name(job)}. {ended}",
        spec(steps, layers, 220),
    )


def _end(part: str, steps: Sequence[Step]) -> str:
    known = [step["gap"] for step in steps if step["gap"] is not None]
    far = f", gap {known[-1]:.2%}" if known else ", no bound"
    return f"{part}: {steps[0]['objective']:.4g} to {steps[-1]['objective']:.4g}{far}"


def _gaps(searched: Sequence[tuple[Job, Sequence[Step]]]) -> Iterator[Chart]:
    rows = [
        {"search": _name(job), "part": step["part"], "seconds": step["seconds"], "gap": step["gap"]}
        for job, steps in searched
        for step in steps
        if step["gap"] is not None
    ]
    if not rows:
        return
    names = list(dict.fromkeys(row["search"] for row in rows))
    y = quantity("gap", "gap", zero=True, type="symlog", constant=FLAT) | {"axis": {"format": ".2~%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "interpolate": "step-after", "point": True},
            "encoding": {
                "x": quantity("seconds", "seconds of the search"),
                "y": y,
                "color": coloured("search", names),
                "tooltip": tip(rows, "search", "part", "seconds", "gap"),
                "detail": {"field": "part"},
            },
        }
    ]
    last = {f"{row['search']}, {row['part']}": row["gap"] for row in rows}
    alt = "How far each search is from the best coreset at most: " + "; ".join(
        f"{n} {v:.2%}" for n, v in last.items()
    )
    yield Chart("gaps", "The gaps: how far from the best coreset at most", alt, spec(rows, layers, 240))
