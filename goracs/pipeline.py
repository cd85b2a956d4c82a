"""The line: from a configuration to a job folder, one stage after the other.

Nothing here computes: it describes the stages, lets the store bring them, and gathers what a run leaves.
A job is finished when the store holds its `result`; the job folder is a copy of that.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from goracs import stages
from goracs.data.alpaca import Prompts
from goracs.data.tasks import Ctr
from goracs.llm.settings import Backbone, InitAdapter
from goracs.results import SCHEMA
from goracs.selection.full import Full
from goracs.stages import Source
from goracs.store import MANIFEST, Stage, Store, installed_versions
from goracs.types import InvalidInput, Selector, resolve_budget

LINE = ("prepare", "embed", "adapter", "score", "select", "finetune", "evaluate")
PLACES = ("folder", "path", "model")  # configured names of files and folders
METRICS_OF = {"untuned": "evaluate_untuned", "start": "evaluate_start", "tuned": "evaluate", "rule": "rule"}
log = logging.getLogger("goracs")


@dataclass(frozen=True)
class Job:
    """One configured run.

    `made` holds the settings objects and scalars by their configured name, `config` as plain values all that
    may change the result, `selector_name` the file chosen from conf/selector, `command` what a user would
    type for this job alone.
    """

    made: Mapping[str, Any]
    config: Mapping[str, Any]
    selector_name: str
    command: str


class Line:
    """The stages of a job, described when they are first asked for: no model is looked for in vain."""

    def __init__(self, job: Job, store: Store) -> None:
        self.job, self.store, self.made = job, store, job.made
        self.task, self.runtime = self.made["task"], self.made["runtime"]
        self.features: str = self.made["features"]["kind"]

    def upto(self, last: str) -> dict[str, Source]:
        """The stages up to `last` that somebody needs, in the order in which they run."""
        wanted = LINE[: LINE.index(last) + 1]
        used = {last}
        if "select" in wanted:
            used = set().union(self.selected.inputs, *(stage.inputs for stage in self.assessed.values()))
        line: dict[str, Source] = {"prepare": self.prepared}
        if "embed" in used:
            line["embed"] = self.embedded
        if "finetune" in wanted or used & {"adapter", "score"}:
            line["adapter"] = self.start
        if "score" in used:
            line["score"] = self.scored
        if "select" in wanted:
            line |= {"select": self.selected, **self.assessed}
        if "finetune" in wanted:
            line["finetune"] = self.tuned
        return line | (self.evaluations if "evaluate" in wanted else {})

    @cached_property
    def config(self) -> dict[str, Any]:
        """The job's configuration with what depends on the machine or the method resolved."""
        config = dict(self.job.config)
        if "backbone" in self.__dict__:  # asked for by some stage
            config["backbone"] = {**config["backbone"], "precision": self.backbone.precision}
        if isinstance(self.made["selector"], Full):
            config["budget"] = "all"
        return config

    @cached_property
    def prepared(self) -> Stage:
        """Examples."""
        return stages.prepare(self.made["dataset"], self.made["split"], self.task)

    @cached_property
    def backbone(self) -> Backbone:
        """The backbone's settings with the precision as this machine has it."""
        from goracs.llm.backbone import resolved_precision

        asked: Backbone = self.made["backbone"]
        return replace(asked, precision=resolved_precision(asked.precision, self.runtime.accelerator))

    @cached_property
    def files(self) -> Source:
        """The backbone's weights and tokenizer."""
        return stages.weights(self.made["backbone"].model)

    @cached_property
    def llm(self) -> stages.Llm:
        """What every LLM stage starts from."""
        return stages.Llm(self.prepared, self.files, self.backbone, self.task, self.runtime)

    @cached_property
    def embedded(self) -> Stage:
        """Features from the sentence encoder."""
        encoder = self.made["encoder"]
        return stages.embed(self.prepared, stages.weights(encoder.model), encoder, self.task, self.runtime)

    @cached_property
    def start(self) -> Source:
        """The initial adapter."""
        return stages.adapter(self.llm, self.made["adapter"])

    @cached_property
    def scored(self) -> Stage:
        """Numbers from one pass of the LLM."""
        sketched = self.features == "sketch" or "sketch" in self.made["selector"].needs
        return stages.score(self.llm, self.start, self.made["score"], sketched)

    def _inputs(self, needs: Set[str]) -> dict[str, Stage]:
        """The stages that give features or the named scores, and no others."""
        sketched = self.features == "sketch" and "features" in needs
        inputs = {"prepare": self.prepared}
        if "features" in needs and not sketched:
            inputs["embed"] = self.embedded
        if needs - {"features"} or sketched:
            inputs["score"] = self.scored
        return inputs

    @cached_property
    def budget(self) -> int:
        """Rows of the coreset; the data are prepared for it, since a share needs the pool's size."""
        folder = self.store.get(self.prepared).path
        pool = json.loads((folder / "statistics.json").read_text())["splits"]["train"]["samples"]
        return resolve_budget("all" if isinstance(self.made["selector"], Full) else self.made["budget"], pool)

    @cached_property
    def selected(self) -> Stage:
        """The coreset."""
        selector: Selector = self.made["selector"]
        inputs = self._inputs(selector.needs)
        return stages.select(inputs, selector, self.features, self.budget, self.made["seed"], self.runtime)

    @cached_property
    def assessed(self) -> dict[str, Stage]:
        """The figures of the coreset: where they are asked for, or their inputs are there anyway."""
        inputs = self._inputs(stages.JUDGED_BY)
        if not self.made["assess"] and set(inputs) - set(self.selected.inputs):
            return {}
        return {"assess": stages.assess(inputs, self.selected, self.features, self.task.lam)}

    @cached_property
    def tuned(self) -> Stage:
        """The adapter trained on the coreset."""
        return stages.finetune(self.llm, self.start, self.selected, self.made["finetune"], self.made["seed"])

    @cached_property
    def evaluations(self) -> dict[str, Source]:
        """The backbone untuned, with the initial adapter and tuned, and the rule of a task with labels."""
        if isinstance(self.made["dataset"], Prompts) and not isinstance(self.task, Ctr):
            raise InvalidInput(
                "ready prompts name no items to rank (dataset=prompts): stop at until=finetune, or take "
                "task=ctr for answers of Yes and No; next-item evaluation needs a data set of interactions."
            )
        # a fresh LoRA has B = 0 and answers as the backbone does
        start = None if isinstance(self.made["adapter"], InitAdapter) else self.start
        asked = {"untuned": None, "start": start, "tuned": self.tuned}
        settings = self.made["evaluate"]
        line: dict[str, Source] = {
            METRICS_OF[name]: stages.evaluate(self.llm, source, settings) for name, source in asked.items()
        }
        return line | ({"rule": stages.rule(self.prepared, settings)} if isinstance(self.task, Ctr) else {})


def run(job: Job, store: Store, folder: Path) -> str:
    """Bring the job's result and copy it to `folder`; "skipped" if it was there already, else "done".

    Raises:
        GoracsError: whatever a stage finds wrong; `folder` then holds nothing of it.
    """
    line = Line(job, store)
    last = _last_stage(job)
    if LINE.index(last) > LINE.index("embed"):
        log.info("%s", _speed(line.backbone))
    log.info("%s", job.made["dataset"].notice)
    result = _result_stage(line, last)
    finished = store.has(result)
    artifact = store.get(result)
    shutil.copytree(artifact.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    _tell_of_this_run(folder / "result.json", line, finished)
    return "skipped" if finished else "done"


def _last_stage(job: Job) -> str:
    last: str = job.made["until"] or LINE[-1]
    if last not in LINE:
        raise InvalidInput(f"until must be one of {', '.join(LINE)}, or null for all; got {last!r}.")
    if not _is_whole(job.made["seed"]):
        raise InvalidInput(f"seed must be a whole number >= 0, got {job.made['seed']!r}.")
    return last


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _result_stage(line: Line, last: str) -> Stage:
    """The last stage of every job: result.json, the coreset as prompts, its trace, the adapter."""
    inputs = line.upto(last)
    digests = {name: source.key for name, source in inputs.items()}
    if "finetune" in inputs:
        digests["weights"] = line.files.key

    def build(folder: Path, found: Mapping[str, Path]) -> None:
        _write_result(line, digests, found, folder)

    files = line.made["dataset"].files
    named = {name: value for name, value in line.config["dataset"].items() if name not in files}
    hashed = {"config": _without_paths({**line.config, "dataset": named})}
    return Stage("result", 2, hashed, inputs, build)


def _without_paths(value: Any) -> Any:
    """A configuration without where things lie: what lies there is in the inputs' keys."""
    if not isinstance(value, dict):
        return value
    return {name: _without_paths(inner) for name, inner in value.items() if name not in PLACES}


def _speed(backbone: Backbone) -> str:
    if backbone.precision == "bf16":
        return f"backbone {backbone.name} in bf16"
    return f"backbone {backbone.name} in {backbone.precision}: on a CPU up to 4 times slower than native bf16"


def _write_result(line: Line, digests: Mapping[str, str], found: Mapping[str, Path], folder: Path) -> None:
    metrics = {name: _json(found.get(stage), "metrics.json") for name, stage in METRICS_OF.items()}
    curve = _json(found.get("finetune"), "curve.json") or []
    result = {
        "schema": SCHEMA,
        "config": line.config,
        "command": line.job.command,
        "seed": line.made["seed"],
        "status": "done",
        "versions": installed_versions(),
        "digests": dict(digests),
        "coreset": _coreset(line, found, folder) if "select" in found else None,
        "metrics": metrics,
        "steps": len(curve) if curve else None,
        "tokens_trained": curve[-1]["tokens"] if curve else None,
        "prompts": {name: told for name, path in found.items() if (told := _json(path, stages.PROMPTS))},
        "stages": {name: _cost(path) for name, path in found.items()},
    }
    if "finetune" in found:
        shutil.copytree(found["finetune"] / "adapter", folder / "adapter")
        shutil.copy(found["finetune"] / "curve.json", folder)
    (folder / "result.json").write_text(json.dumps(result, indent=1, allow_nan=False))


def _coreset(line: Line, found: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Write the chosen rows, their prompts and the trace; what result.json says of them."""
    import numpy as np

    from goracs.data.prepare import read_examples

    rows = np.load(found["select"] / "indices.npy").tolist()
    pool = read_examples(found["prepare"], "train")
    prompts = [
        {name: getattr(pool[row], name) for name in ("instruction", "input", "output")} for row in rows
    ]
    _dump(folder / "coreset.json", prompts)
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    _dump(folder / "dataset_info.json", {"goracs_coreset": {"file_name": "coreset.json", "columns": columns}})
    _dump(folder / "indices.json", rows)
    shutil.copy(found["select"] / "trace.json", folder)
    return {
        "selector": line.job.selector_name,
        "budget_asked": line.made["budget"],
        "budget": line.budget,
        "indices_file": "indices.json",
        "report": _json(found["select"], "report.json"),
        "assessment": _json(found.get("assess"), "assessment.json"),
    }


def _tell_of_this_run(file: Path, line: Line, finished: bool) -> None:
    """Note what is this run's own: its words and places, and which stages it found in the store."""
    result = json.loads(file.read_text())
    built = {artifact.key for artifact in line.store.used.values() if not artifact.cached}
    for name, cost in result["stages"].items():
        cost["cached"] = finished or result["digests"][name] not in built
    result |= {"command": line.job.command, "config": line.config}
    if result["coreset"]:
        result["coreset"]["selector"] = line.job.selector_name
    _dump(file, result)


def _cost(path: Path) -> dict[str, Any]:
    manifest = _json(path, MANIFEST) or {}
    return {"seconds": manifest.get("seconds"), "peak_mb": manifest.get("peak_mb"), "cached": True}


def _json(folder: Path | None, name: str) -> Any:
    if folder is None or not (folder / name).exists():
        return None
    return json.loads((folder / name).read_text())


def _dump(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False))
