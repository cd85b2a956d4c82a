"""What a run leaves: result.json (schema 1), the coreset as prompts, its trace, the adapter or the head.

A job is finished when the store holds this stage's artifact; a job folder is a copy of it, with what is
that run's own told in its result.json.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goracs.stages.common import PROMPTS, Source, write_json
from goracs.store import MANIFEST, Artifact, Stage, installed_versions
from goracs.types import Example

SCHEMA = 1
PLACES = ("folder", "path", "model")  # configured names of files and folders
LEFT = {  # what a job leaves of its stages, where there is such a file
    "finetune": ("adapter", "curve.json", "head.npy"),
    "evaluate": ("predictions.parquet",),
}
METRICS_OF = {"untuned": "evaluate_untuned", "start": "evaluate_start", "tuned": "evaluate", "rule": "rule"}
RULES_OF_ITEMS = ("popular", "last_item")  # parts and stages that only a task of items has


@dataclass(frozen=True)
class Told:
    """What result.json says of a job beside what its stages made.

    Args:
        config: all that may change the result, as plain values.
        command: what a user would type for this job alone.
        seed: of the selection and the fine-tune.
        selector: the file chosen from conf/selector.
        budget_asked: as configured.
        budget: rows of the coreset; None where the run stops before select.
        precision: how the backbone computes, and how far its margins move by that alone; None where no stage
            asks it.
        warnings: what the user should know before anything is made, in sentences.
        chosen: what `auto` came to on the backbone, by the name of the setting.
    """

    config: Mapping[str, Any]
    command: str
    seed: int
    selector: str
    budget_asked: float | str
    budget: int | None
    precision: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    chosen: Mapping[str, Any]


def stage(
    told: Told, inputs: Mapping[str, Source], digests: Mapping[str, str], files: tuple[str, ...]
) -> Stage:
    """The last stage of every job.

    Args:
        told: what is said of the job.
        inputs: its stages by name.
        digests: the keys of all that it used, by name.
        files: names of the data set's configured files, which enter by content.
    """

    def build(folder: Path, found: Mapping[str, Path]) -> None:
        _write(told, digests, found, folder)

    dataset = {name: value for name, value in told.config["dataset"].items() if name not in files}
    hashed = {"config": _without_places({**told.config, "dataset": dataset})}
    return Stage("result", 4, hashed, inputs, build)


def leave(artifact: Artifact, folder: Path, told: Told, built: frozenset[str]) -> list[str]:
    """Copy a result and note what is this run's own: its words, and which stages it found.

    Returns: all that its user should know, in sentences.

    Args:
        artifact: of this stage.
        folder: where the job gathers what it leaves (`goracs.jobs.job_folder`).
        told: of this run.
        built: the keys of the stages that this run made.
    """
    shutil.copytree(artifact.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    file = folder / "result.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    for name, cost in result["stages"].items():
        cost["cached"] = result["digests"][name] not in built
    of_coreset = ((result["coreset"] or {}).get("report") or {}).get("warnings", [])
    of_head = result.get("head", {}).get("warnings", [])
    warnings = [*told.warnings, *(f"coreset: {said}" for said in of_coreset), *of_head]
    result |= {"command": told.command, "config": told.config, "warnings": warnings}
    if result["coreset"]:
        result["coreset"]["selector"] = told.selector
    _dump(file, result)
    return warnings


def _without_places(value: Any) -> Any:
    """A configuration without where things lie: what lies there is in the inputs' keys."""
    if not isinstance(value, dict):
        return value
    return {name: _without_places(inner) for name, inner in value.items() if name not in PLACES}


def _write(told: Told, digests: Mapping[str, str], found: Mapping[str, Path], folder: Path) -> None:
    curve = _json(found.get("finetune"), "curve.json") or []
    result = {
        "schema": SCHEMA,
        "config": told.config,
        "command": told.command,
        "seed": told.seed,
        "status": "done",
        "versions": installed_versions(),
        "digests": dict(digests),
        "precision": told.precision,
        "warnings": told.warnings,
        "coreset": _coreset(told, found, folder) if "select" in found else None,
        "metrics": {name: _json(found.get(stage), "metrics.json") for name, stage in METRICS_OF.items()}
        | {name: _json(found[name], "metrics.json") for name in RULES_OF_ITEMS if name in found},
        "steps": len(curve) if curve else None,
        "tokens_trained": curve[-1]["tokens"] if curve else None,
        "kept_step": kept_step(curve),
        "prompts": {name: said for name, path in found.items() if (said := _json(path, PROMPTS))},
        "stages": {name: _cost(path) for name, path in found.items()},
    }
    if told.chosen:
        result["chosen"] = told.chosen
    if how := _json(found.get("evaluate"), "decoding.json"):  # titles were written
        result["decoding"] = how
    if fitted := _json(found.get("finetune"), "head.json"):  # no LLM was trained
        result["head"] = fitted
    for stage, names in LEFT.items():
        for name in names if stage in found else ():
            _copy(found[stage] / name, folder)
    write_json(folder / "result.json", result)


def kept_step(curve: Sequence[Mapping[str, Any]]) -> int | None:
    """The step whose adapter was kept: of the least validation loss, where somebody looked; else the last."""
    looked = [row for row in curve if "valid_loss" in row]
    kept = min(looked, key=lambda row: row["valid_loss"]) if looked else (curve[-1] if curve else None)
    return None if kept is None else int(kept["step"])


def _copy(made: Path, folder: Path) -> None:
    """Copy a file or folder, where there is one."""
    if made.is_dir():
        shutil.copytree(made, folder / made.name)
    elif made.exists():
        shutil.copy(made, folder)


def _coreset(told: Told, found: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Write the chosen rows, their prompts and the trace; what result.json says of them."""
    import numpy as np

    from goracs.data.prepare import read_examples

    rows = np.load(found["select"] / "indices.npy").tolist()
    pool = read_examples(found["prepare"], "train")
    prompts, columns = prompts_of([pool[row] for row in rows])
    _dump(folder / "coreset.json", prompts)
    info = {"file_name": "coreset.json", "columns": {theirs: name for theirs, (name, _) in columns.items()}}
    _dump(folder / "dataset_info.json", {"goracs_coreset": info})
    _dump(folder / "indices.json", rows)
    shutil.copy(found["select"] / "trace.json", folder)
    return {
        "selector": told.selector,
        "budget_asked": told.budget_asked,
        "budget": told.budget,
        "indices_file": "indices.json",
        "report": _json(found["select"], "report.json"),
        "assessment": _json(found.get("assess"), "assessment.json"),
    }


def prompts_of(chosen: Sequence[Example]) -> tuple[list[dict[str, Any]], dict[str, tuple[str, str]]]:
    """The rows of coreset.json, and their columns (see `_columns`)."""
    columns = _columns(chosen)
    return [{name: getattr(row, ours) for name, ours in columns.values()} for row in chosen], columns


def _columns(chosen: Sequence[Example]) -> dict[str, tuple[str, str]]:
    """LLaMA-Factory's word for a column -> its name in the alpaca form, and ours: those that are used."""
    plain = {"prompt": "instruction", "query": "input", "response": "output"}
    columns = {theirs: (name, name) for theirs, name in plain.items()}
    if any(example.system for example in chosen):
        columns["system"] = ("system", "system")
    if any(example.turns for example in chosen):
        columns["history"] = ("history", "turns")
    return columns


def _cost(path: Path) -> dict[str, Any]:
    manifest = _json(path, MANIFEST) or {}
    return {"seconds": manifest.get("seconds"), "peak_mb": manifest.get("peak_mb"), "cached": True}


def _json(folder: Path | None, name: str) -> Any:
    if folder is None or not (folder / name).exists():
        return None
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _dump(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
