"""The stages: what each is called, what it is hashed by, what it reads, and the files it writes.

Every function here describes one stage and runs nothing; the store runs it when its artifact is wanted.
A changed result means a bumped version. What needs a framework is imported inside `build`, so that
describing a stage costs nothing.

    prepare ──▶ embed ─────────┐
       │                       ├──▶ select ──▶ finetune ──▶ evaluate
       └──▶ adapter ──▶ score ─┘                  ▲
                └────────────────────────────────┘
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goracs.data.alpaca import Prompts
from goracs.data.dataset import Dataset
from goracs.data.splits import Splitter
from goracs.data.tasks import Ctr, Task
from goracs.llm.settings import (
    AdapterSettings,
    Backbone,
    Encoder,
    Evaluate,
    Finetune,
    InitAdapter,
    PathAdapter,
    Runtime,
    Score,
)
from goracs.store import External, Stage, file_digest, folder_digest
from goracs.types import Coreset, FloatArray, GoracsError, SelectionProblem, Selector

if TYPE_CHECKING:
    from goracs.llm.recommender import Recommender

Source = Stage | External
SIDES = {"pool": "train", "target": "valid"}
PROMPTS = "prompts.json"  # how many prompts a stage of the LLM read, and how many of them it shortened
JUDGED_BY = frozenset({"features", "gradient_norm"})  # what the figures of any coreset need
FOR_SELECTORS = (
    "lam",
    "max_exchanges",
    "candidates",
    "by_class",
    "embed_output",
)  # not the examples' business


def spec(settings: Any) -> dict[str, Any]:
    """The hashed form of a settings object: its class and its fields."""
    return {"kind": type(settings).__name__, **asdict(settings)}


def weights(model: str) -> Source:
    """A model's files: made in the store, or a folder outside it known by its commit or content."""
    from goracs.llm import weights

    if model == "tiny":
        return Stage("weights", 1, {"made": "tiny"}, {}, lambda folder, _: _make_tiny(folder))
    source = weights.locate(model)
    if source.path.suffix == ".gguf":
        return Stage(
            "weights",
            1,
            {"gguf": file_digest(source.path)},
            {},
            lambda folder, _: _convert(source.path, folder),
        )
    return External("weights", source.commit or folder_digest(source.path), source.path)


def prepare(dataset: Dataset | Prompts, split: Splitter, task: Task) -> Stage:
    """Examples of pool, validation and test set, the catalogue, each user's items, statistics.

    Ready prompts come in three files: no split has a part in them.
    """

    def build(folder: Path, _: Mapping[str, Path]) -> None:
        from goracs.data import alpaca, prepare

        if isinstance(dataset, Prompts):
            prepare.write(alpaca.prepare(dataset, task), folder)
        else:
            prepare.write(prepare.prepare(dataset, split, task), folder)

    rules = _but(spec(dataset), "name", "notice", "ties", *dataset.files)  # ties: as the split has them
    words = _but(spec(task), *FOR_SELECTORS)
    params = {"raw": dict(dataset.digests()), "rules": rules, "task": words}
    if not isinstance(dataset, Prompts):
        params["split"] = spec(split)
    return Stage("prepare", 2, params, {}, build)


def embed(prepared: Stage, files: Source, encoder: Encoder, task: Task, runtime: Runtime) -> Stage:
    """pool_embedding.npy [N, d] and target_embedding.npy [m, d], float32."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data.prompts import embedding_text
        from goracs.llm.embedding import embed

        for side, part in SIDES.items():
            texts = [embedding_text(example, task.embed_output) for example in _examples(inputs, part)]
            embed(texts, inputs["weights"], encoder, runtime, folder, side)

    params = {
        "max_length": encoder.max_length,
        "batch_tokens": encoder.batch_tokens,
        "embed_output": task.embed_output,
    }
    return Stage("embed", 1, params, {"prepare": prepared, "weights": files}, build)


@dataclass(frozen=True)
class Llm:
    """What every LLM stage starts from: examples, the backbone with its files, the task, the machine."""

    prepared: Stage
    files: Source
    backbone: Backbone
    task: Task
    runtime: Runtime

    @property
    def inputs(self) -> dict[str, Source]:
        """The artifacts that every LLM stage reads."""
        return {"prepare": self.prepared, "weights": self.files}

    @property
    def params(self) -> dict[str, Any]:
        """How the backbone reads: hashed with every LLM stage."""
        return {name: getattr(self.backbone, name) for name in ("precision", "max_length", "batch_tokens")}

    def open(self, inputs: Mapping[str, Path]) -> Recommender:
        """The backbone, ready to load."""
        from goracs.llm.recommender import Recommender

        return Recommender(inputs["weights"], self.backbone, self.task, self.runtime, inputs.get("prepare"))


def adapter(llm: Llm, settings: AdapterSettings) -> Source:
    """The initial adapter in peft format: where gradients are taken and every fine-tune starts."""
    if isinstance(settings, PathAdapter):
        return External("adapter", folder_digest(_adapter_folder(settings.path)), Path(settings.path))

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import adapter
        from goracs.llm.finetune import warm_up

        opened = llm.open(inputs)
        if isinstance(settings, InitAdapter):
            adapter.save(opened.fresh(settings.lora, settings.seed), folder / "adapter")
        else:
            warm_up(opened, _examples(inputs, "train"), settings, folder)
            _write_json(folder / PROMPTS, opened.prompts)

    inputs = _but(llm.inputs, "prepare") if isinstance(settings, InitAdapter) else llm.inputs
    return Stage("adapter", 2, {"adapter": spec(settings), **llm.params}, inputs, build)


def score(llm: Llm, start: Source, settings: Score, sketched: bool) -> Stage:
    """pool_{gradient_norm,loss,el2n}.npy [N] float32; sketched: also {pool,target}_sketch.npy [N], [m, k]."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.gradient import score

        opened = llm.open(inputs)
        model = opened.adapted(_adapter_in(inputs["adapter"]))
        for side in ("pool", "target") if sketched else ("pool",):
            texts = opened.read(_examples(inputs, SIDES[side]))
            score(model, opened.loss, texts, settings, sketched, opened.job(f"score {side}"), folder, side)
        _write_json(folder / PROMPTS, opened.prompts)

    params: dict[str, Any] = {"layer": settings.layer, "sketch": None, **llm.params}
    if sketched:
        params["sketch"] = {"dim": settings.sketch_dim, "seed": settings.sketch_seed}
    return Stage("score", 2, params, {**llm.inputs, "adapter": start}, build)


def select(
    seen: Mapping[str, Stage],
    selector: Selector,
    features: str,
    budget: int,
    seed: int,
    runtime: Runtime,
) -> Stage:
    """indices.npy [n] int64, report.json and trace.json of the coreset.

    An interrupted search leaves a checkpoint beside the artifact's place; the next one goes on from there.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.jobs import Job
        from goracs.llm.selection import select

        job = Job("select", "float32", 0, runtime)
        problem = selection_problem(inputs, selector.needs, features)
        checkpoints = folder.with_suffix(".checkpoint")
        _write_coreset(select(selector, problem, budget, seed, job, checkpoints), folder)
        shutil.rmtree(checkpoints, ignore_errors=True)

    params = {"selector": spec(selector), "budget": budget}
    if "features" in selector.needs:
        params["features"] = features
    if selector.seeded:
        params["seed"] = seed
    return Stage("select", 2, params, dict(seen), build)


def assess(seen: Mapping[str, Stage], selected: Stage, features: str, lam: float) -> Stage:
    """assessment.json: the figures every coreset is judged by."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.selection.report import assess

        problem = selection_problem(inputs, JUDGED_BY, features)
        figures = assess(problem, np.load(inputs["select"] / "indices.npy"), lam)
        _write_json(folder / "assessment.json", figures)

    params = {"features": features, "lam": lam}
    return Stage("assess", 1, params, {**seen, "select": selected}, build)


def finetune(llm: Llm, start: Source, selected: Stage, settings: Finetune, seed: int) -> Stage:
    """adapter/ in peft format and curve.json: the start trained on the coreset."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.finetune import finetune

        opened, pool = llm.open(inputs), _examples(inputs, "train")
        texts = opened.read([pool[row] for row in np.load(inputs["select"] / "indices.npy")])
        model = opened.adapted(_adapter_in(inputs["adapter"]), trainable=True)
        finetune(model, opened.loss, texts, settings, seed, opened.job("finetune"), folder)
        _write_json(folder / PROMPTS, opened.prompts)

    params = {"finetune": asdict(settings), "seed": seed, **llm.params}
    return Stage("finetune", 2, params, {**llm.inputs, "adapter": start, "select": selected}, build)


def evaluate(llm: Llm, tuned: Source | None, settings: Evaluate) -> Stage:
    """metrics.json and predictions.parquet on the test set; `tuned` None asks the untuned backbone."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.evaluation import evaluate_ctr, evaluate_seqrec

        opened = llm.open(inputs)
        model = opened.adapted(_adapter_in(inputs["tuned"])) if "tuned" in inputs else opened.bare()
        run = evaluate_ctr if isinstance(llm.task, Ctr) else evaluate_seqrec
        run(opened, model, inputs["prepare"], settings, folder)
        _write_json(folder / PROMPTS, opened.prompts)

    inputs = llm.inputs if tuned is None else {**llm.inputs, "tuned": tuned}
    return Stage("evaluate", 2, {"evaluate": asdict(settings), **llm.params}, inputs, build)


def rule(prepared: Stage, settings: Evaluate) -> Stage:
    """metrics.json of the history-share rule, which looks at no text at all."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data.rule import history_share
        from goracs.evaluation.ctr import ctr_metrics

        test = _examples(inputs, settings.part)
        labels = np.array([example.label for example in test], dtype=np.int64)
        users = [example.user for example in test]
        metrics = ctr_metrics(
            history_share(test), labels, users, scores_are="share", draws=settings.draws, seed=settings.seed
        )
        _write_json(folder / "metrics.json", metrics)

    params = {"part": settings.part, "draws": settings.draws, "seed": settings.seed}
    return Stage("rule", 1, params, {"prepare": prepared}, build)


def selection_problem(inputs: Mapping[str, Path], needs: Set[str], features: str) -> SelectionProblem:
    """What a selector sees: the features and scores it needs, and the labels; else features of width 0."""
    pool, target = _examples(inputs, "train"), _examples(inputs, "valid")
    place = inputs["score" if features == "sketch" else "embed"] if "features" in needs else None
    labelled = pool[0].label is not None
    return SelectionProblem(
        features=_features(place, "pool", features, len(pool)),
        target_features=_features(place, "target", features, len(target)),
        scores={name: np.load(inputs["score"] / f"pool_{name}.npy") for name in needs - {"features"}},
        labels=np.array([example.label for example in pool], dtype=np.int64) if labelled else None,
        target_labels=np.array([example.label for example in target], dtype=np.int64) if labelled else None,
    )


def _features(place: Path | None, side: str, features: str, count: int) -> FloatArray:
    if place is None:
        return np.empty((count, 0), dtype=np.float32)
    matrix: FloatArray = np.load(place / f"{side}_{features}.npy", mmap_mode="r")
    return matrix


def _but(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _examples(inputs: Mapping[str, Path], part: Any) -> Any:
    from goracs.data.prepare import read_examples

    return read_examples(inputs["prepare"], part)


def _write_coreset(coreset: Coreset, folder: Path) -> None:
    np.save(folder / "indices.npy", coreset.indices)
    _write_json(folder / "report.json", dict(coreset.report))
    _write_json(folder / "trace.json", [dict(step) for step in coreset.trace])


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, allow_nan=False))


def _adapter_folder(path: str) -> Path:
    folder = Path(path)
    if not (folder / "adapter_config.json").is_file():
        raise GoracsError(
            f"adapter.path={path} is no peft adapter: {folder / 'adapter_config.json'} is missing."
        )
    return folder


def _adapter_in(folder: Path) -> Path:
    return folder if (folder / "adapter_config.json").is_file() else folder / "adapter"


def _make_tiny(folder: Path) -> None:
    from goracs.data import movielens
    from goracs.llm import tiny

    tiny.write(folder, movielens.read("bundled", None).items["title"].to_list())


def _convert(file: Path, folder: Path) -> None:
    from goracs.llm.backbone import convert_gguf

    convert_gguf(file, folder)
