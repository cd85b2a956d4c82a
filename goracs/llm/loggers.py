"""A finished job told to an experiment tracker: its configuration, search, training curve and figures.

The tracker hears of a job once it is finished, from its files; so a resumed or skipped job is told in full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger


def write_csv(folder: Path) -> None:
    """Write csv/metrics.csv and csv/hparams.yaml beside a job's result.json and curve.json."""
    _tell(CSVLogger(folder, name="csv", version=""), folder)


def write_tensorboard(folder: Path) -> None:
    """Write tensorboard/events.out.tfevents.* and tensorboard/hparams.yaml beside them."""
    _tell(TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False), folder)


def tell_wandb(
    result: Path, settings: Mapping[str, Any], run: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Send a result to a run of its own, and close it; what names the run.

    Args:
        result: the folder of result.json and curve.json.
        settings: project, mode (offline or online) and folder, as in conf/logger/wandb.yaml.
        run: name, group and job_type.
    """
    place = Path(settings["folder"])
    place.mkdir(parents=True, exist_ok=True)
    tracker = WandbLogger(
        project=settings["project"],
        save_dir=place,
        offline=settings["mode"] == "offline",
        log_model=False,
        settings=_silent_of_the_machine(),
        **run,
    )
    try:
        _tell(tracker, result)
        tracker.experiment.log_artifact(_kept(result, tracker.experiment.id))
        return {"project": settings["project"], "id": tracker.experiment.id, **run}
    finally:
        tracker.experiment.finish()  # else the next job of a sweep would write into this run


def _silent_of_the_machine() -> Any:
    """No name of it, no path of Python or of a repository goes to the tracker."""
    from wandb import Settings

    return Settings(x_disable_machine_info=True, disable_git=True, host="")


def _kept(result: Path, run: str) -> Any:
    """What a job leaves but the weights of its adapter, as an artifact of the tracker."""
    from wandb import Artifact

    artifact = Artifact(f"goracs-{run}", type="result")
    for file in sorted(result.glob("*.*")):
        artifact.add_file(str(file))
    return artifact


def _tell(tracker: Logger, folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    tracker.log_hyperparams({**result["config"], "command": result["command"]})
    for number, row in enumerate(_rows(folder / "trace.json")):
        tracker.log_metrics(searched(row), step=number)
    for row in _rows(folder / "curve.json"):
        looked = {"valid/loss": row["valid_loss"]} if "valid_loss" in row else {}
        tracker.log_metrics({"train/loss": row["loss"], "train/lr": row["lr"], **looked}, step=row["step"])
    tracker.log_metrics(figures(result), step=(result["steps"] or 0) + 1)
    tracker.finalize("success")


def _rows(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def searched(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one step of a search, by class where the trace is by class, such as search/objective."""
    place = f"search/class {row['class']}" if "class" in row else "search"
    told = {name: row.get(name) for name in ("objective", "bound", "seconds")}
    return {f"{place}/{name}": float(value) for name, value in told.items() if value is not None}


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
