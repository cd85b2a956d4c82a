"""How the fine-tunes went: the loss of each step, and of the validation set where somebody looked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from goracs.report.page.charts import coloured, quantity, spec, tip
from goracs.report.page.document import Chart, Part, Section, Text, counted
from goracs.report.page.gathered import Gathered, Job

STEPS = 60  # of a curve that are drawn at most
TITLES = {"loss": "training loss", "valid_loss": "validation loss"}


def section(found: Gathered) -> Section:
    """All curves, a colour for each method."""
    curves = [(job, job.left("curve.json")) for job in found.jobs]
    parts: list[Part] = [chart for field in TITLES for chart in _chart(found, field, curves)]
    absent = sum(curve is None for _, curve in curves)
    if absent:
        who = f"{absent} of {counted(len(curves), 'job')}"
        words = f"{who} left no curve.json: a head has none, and kept results may lack it."
        parts.append(Text(words, "missing"))
    return Section("training", "Training", parts or [Text("No run was fine-tuned.", "missing")])


def _chart(found: Gathered, field: str, curves: list[tuple[Job, Any]]) -> Iterator[Chart]:
    rows: list[dict[str, Any]] = []
    for number, (job, curve) in enumerate(curves):
        told = [step for step in curve or [] if step.get(field) is not None]
        for step in told[:: -(-len(told) // STEPS) or 1]:
            value = float(f"{step[field]:.4g}")
            rows.append(
                {
                    "job": number,
                    "method": job.method,
                    "seed": job.seed,
                    "block": job.block.name,
                    "step": step["step"],
                    field: value,
                }
            )
    if not rows:
        return
    drawn = len({row["job"] for row in rows})
    last = {row["job"]: row[field] for row in rows}
    layer = {
        "mark": {"type": "line", "strokeWidth": 1.3, "opacity": 0.75, "point": {"size": 12, "opacity": 0.75}},
        "encoding": {
            "x": quantity("step"),
            "y": quantity(field, TITLES[field]),
            "color": coloured("method", found.methods),
            "detail": {"field": "job"},
            "tooltip": tip(rows, "method", "block", "seed", "step", field),
        },
    }
    ends = f"it ends between {min(last.values()):.3g} and {max(last.values()):.3g}"
    alt = f"The {TITLES[field]} by step, a line for each of {counted(drawn, 'job')}; {ends}."
    yield Chart(f"training-{field}".replace("_", "-"), TITLES[field].capitalize(), alt, spec(rows, [layer]))
