"""A finished job told to an experiment tracker: its configuration, training curve and figures.

The tracker hears of a job once it is finished, from its files; so a resumed or skipped job is told in full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger


def log_result(settings: Mapping[str, Any], folder: Path) -> None:
    """Send folder/result.json and folder/curve.json to the tracker of conf/logger, and close its run."""
    result = json.loads((folder / "result.json").read_text())
    tracker = _tracker(settings, folder)
    try:
        tracker.log_hyperparams({**result["config"], "command": result["command"]})
        curve = folder / "curve.json"
        for row in json.loads(curve.read_text()) if curve.exists() else []:
            tracker.log_metrics({"train/loss": row["loss"], "train/lr": row["lr"]}, step=row["step"])
        tracker.log_metrics(figures(result), step=(result["steps"] or 0) + 1)
        tracker.finalize("success")
    finally:
        if isinstance(tracker, WandbLogger):
            tracker.experiment.finish()  # else the next job of a sweep would write into this run


def figures(result: Mapping[str, Any]) -> dict[str, float]:
    """Every measured figure of a result under a flat name, such as tuned/auc or coreset/poo."""
    measured = {
        f"{who}/{name}": cell["value"]
        for who, cells in result["metrics"].items()
        for name, cell in (cells or {}).items()
    }
    judged = (result["coreset"] or {}).get("assessment") or {}
    measured |= {f"coreset/{name}": judged.get(name) for name in ("poo", "transport", "mean_gradient")}
    return {name: float(value) for name, value in measured.items() if value is not None}


def _tracker(settings: Mapping[str, Any], folder: Path) -> Logger:
    if settings["kind"] == "csv":
        return CSVLogger(folder, name="csv", version="")
    return WandbLogger(
        project=settings["project"], save_dir=folder, offline=settings["mode"] == "offline", log_model=False
    )
