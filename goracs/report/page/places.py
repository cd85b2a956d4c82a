"""Where the coresets lie: pool, validation set and coreset on two principal axes of the pool's features."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import polars as pl

from goracs.report.page.charts import WIDTH, columns, quantity, spec
from goracs.report.page.document import Chart, Part, Section, Text
from goracs.report.page.gathered import Gathered, Job
from goracs.report.trace import projected

DRAWN = 6  # coresets
POINTS = 600  # of a side
WHOLE = ["pool", "validation"]
COLOURS = [f"var(--{name})" for name in ("faint", "muted", "c1", "c0", "c2", "c3", "c4", "c5", "c6", "c7")]
SHAPES = ["circle", "cross", "circle", "square", "diamond", "triangle-up"]
NONE = "No run was evaluated: there is no coreset to draw."


def section(found: Gathered) -> Section:
    """The coresets of the first block, of each method's least seed."""
    jobs = [job for job in found.one_a_method() if job.block is found.blocks[0]] if found.blocks else []
    charts = [chart for place, job in enumerate(jobs) if (chart := _chart(found, place, job))]
    parts: list[Part] = list(charts[:DRAWN])
    if not jobs:
        parts.append(Text(NONE, "missing"))
    if len(charts) < len(jobs):
        parts.append(
            Text(
                f"Of {len(jobs) - len(charts)} of {len(jobs)} coresets the features are no longer in "
                "the store, or "
                "the job folder has no indices.json: where they lie cannot be drawn. Running their commands "
                "again brings both back; --store names another store.",
                "missing",
            )
        )
    if len(charts) > DRAWN:
        parts.append(Text(f"Drawn are the first {DRAWN} of {len(charts)} methods."))
    return Section("places", "Where the coresets lie", parts)


def _chart(found: Gathered, place: int, job: Job) -> Chart | None:
    rows = job.rows()
    if rows is None or found.kept(job, "features") is None:
        return None
    sides = projected(job.result, job.folder, found.store)
    if sides is None:
        return None
    labels = _labels(found, job, rows)
    points: list[dict[str, Any]] = []
    for name in WHOLE:
        side = sides[name][:: max(1, len(sides[name]) // POINTS)]
        points += [_point(x, y, name) for x, y in side.tolist()]
    coreset = zip(sides["coreset"].tolist(), labels, strict=True)
    points += [_point(x, y, label) for (x, y), label in coreset]
    kinds = [*WHOLE, *sorted(set(labels))]
    layers = [_layer(kinds, WHOLE, 22), _layer(kinds, kinds[2:], 90)]
    of = ", ".join(f"{labels.count(label)} {label}" for label in kinds[2:])
    alt = f"The coreset of {job.method} ({of}) among the pool, on two principal axes of the features."
    title = f"{job.method}, {job.block.name}, seed {job.seed}"
    return Chart(f"places-{place}", title, alt, spec(points, layers, 280))


def _layer(kinds: list[str], shown: list[str], size: int) -> dict[str, Any]:
    """The points of some kinds, in the look that each has in the whole figure."""
    axis = {"labels": False, "ticks": False, "grid": False}
    named = {"field": "of", "type": "nominal", "title": None}
    legend = {"columns": columns(kinds, WIDTH)}
    return {
        "transform": [{"filter": {"field": "of", "oneOf": shown}}],
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": size},
        "encoding": {
            "x": quantity("x", "first principal axis of the pool") | {"axis": axis},
            "y": quantity("y", "second") | {"axis": axis},
            "color": {
                **named,
                "scale": {"domain": kinds, "range": looks(COLOURS, len(kinds))},
                "legend": legend,
            },
            "shape": {
                **named,
                "scale": {"domain": kinds, "range": looks(SHAPES, len(kinds))},
                "legend": legend,
            },
        },
    }


def looks(known: list[str], count: int) -> list[str]:
    """Of so many kinds; those after the last begin again behind those of pool and validation set."""
    own = len(WHOLE)
    return [*known[:own], *islice(cycle(known[own:]), count - own)]


def _point(x: float, y: float, of: str) -> dict[str, Any]:
    return {"x": float(f"{x:.4g}"), "y": float(f"{y:.4g}"), "of": of}


def _labels(found: Gathered, job: Job, rows: list[int]) -> list[str]:
    """The class of each chosen row, in words."""
    prepared = found.kept(job, "prepare")
    if prepared is None:
        return ["coreset"] * len(rows)
    told = pl.read_parquet(prepared / "train.parquet", columns=["label", "output"], glob=False)[rows]
    if told["label"].null_count():
        return ["coreset"] * len(rows)
    return [f"coreset: {word}" for word in told["output"].to_list()]
