"""The figures every coreset is judged by.

A job has them in its result where it was asked for them (`assess`) or its selector reads what they take. Of
another job they can be had afterwards, where jobs of the same settings left their inputs in the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from goracs.report.results import UNASKED
from goracs.stages.common import Source, without, write_json
from goracs.store import Stage, Store
from goracs.types import SelectionProblem

NEEDS = frozenset({"features", "gradient_norm"})
AFTER = ("budget", "seed", "until", "assess", "selector", "finetune", "evaluate")  # no part in what is needed
PASS = ("numbers", "at", "sketch")  # which numbers a pass of the LLM took: the others are the same bits
BEFORE = ("prepare", "weights", "adapter", "embed", "score", "features")  # stages up to what is needed


def stage(features: Source, scored: Source, selected: Source, weight: float) -> Stage:
    """assessment.json: the figures every coreset is judged by."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.selection.figures import assess

        pool, target = (
            np.load(inputs["features"] / f"{side}.npy", mmap_mode="r") for side in ("pool", "target")
        )
        norms = {"gradient_norm": np.load(inputs["score"] / "pool_gradient_norm.npy")}
        problem = SelectionProblem(features=pool, target_features=target, scores=norms)
        rows = np.load(inputs["select"] / "indices.npy")
        write_json(folder / "assessment.json", assess(problem, rows, weight))

    inputs = {"features": features, "score": scored, "select": selected}
    return Stage("assess", 3, {"lam": weight}, inputs, build)


def lam(asked: float | str) -> float:
    """The weight of the gradients in POO: the task's; 0 where each selection chooses its own (auto)."""
    return 0.0 if isinstance(asked, str) else asked


def completed(results: Sequence[dict[str, Any]], store: Store) -> list[dict[str, Any]]:
    """The results with `coreset.assessment` wherever the store holds what it takes; the rest as they are.

    Law: the figures are those of a run with assess=true. The whole pool (budget "all") is left out: its
    transport takes the longest by far, and it is no choice.

    Args:
        results: as `goracs.report.results.read_results` gives them; those of the same settings up to the
            scores lend each other the keys of their stages.
        store: where their stages lie.

    Raises:
        GoracsError: a damaged artifact.
    """
    return [_judged(result, results, store) if _unjudged(result) else result for result in results]


def _unjudged(result: Mapping[str, Any]) -> bool:
    coreset = result["coreset"]
    return coreset is not None and coreset.get("assessment") is None and result["config"]["budget"] != "all"


def _judged(result: dict[str, Any], results: Sequence[dict[str, Any]], store: Store) -> dict[str, Any]:
    config, keys = result["config"], _keys(result, results, store)
    names = ("features", "score", "select")
    features, scored, selected = (store.kept(name, keys[name]) if name in keys else None for name in names)
    if features is None or scored is None or selected is None:
        return result
    artifact = store.get(stage(features, scored, selected, lam(config["task"]["lam"])))
    figures = json.loads((artifact.path / "assessment.json").read_text())
    return {**result, "coreset": {**result["coreset"], "assessment": figures}}


def _keys(result: dict[str, Any], results: Sequence[dict[str, Any]], store: Store) -> dict[str, str]:
    """The keys of a job's stages: its own, and those that jobs of the same settings and sources have."""
    keys, sources = _serving(result["digests"], store), _sources(result["digests"], store)
    for other in (one for one in results if _alike(result, one)):
        theirs = _sources(other["digests"], store)
        if all(sources.get(name, made) == made for name, made in theirs.items()):
            sources = theirs | sources
            lent = {name: key for name, key in other["digests"].items() if name in BEFORE}
            keys = _serving(lent, store) | keys
    return keys


def _serving(digests: Mapping[str, str], store: Store) -> dict[str, str]:
    """The keys without that of a pass which took no gradient norms."""
    scored = store.kept("score", digests["score"]) if "score" in digests else None
    short = scored is not None and not (scored.path / "pool_gradient_norm.npy").exists()
    return {name: key for name, key in digests.items() if name != "score" or not short}


def _sources(digests: Mapping[str, str], store: Store) -> dict[str, Any]:
    """What the stages up to what is needed were made from, by name."""
    return {name: _source(name, key, store) for name, key in digests.items() if name in BEFORE}


def _source(name: str, key: str, store: Store) -> Any:
    """An artifact's key; of the numbers of a pass and of features, from what they were made, and how."""
    kept = store.kept(name, key) if name in ("score", "features") else None
    if kept is None:
        return key
    manifest = store.used[key].manifest
    inputs = {role: _source(role, theirs, store) for role, theirs in manifest["inputs"].items()}
    return manifest["stage"], manifest["version"], without(manifest["params"], *PASS), inputs


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the settings before the selection agree; a precision counts where both asked the backbone."""
    ours, theirs = (
        {name: value for name, value in result["config"].items() if name not in AFTER}
        for result in (one, other)
    )
    precision = ours["backbone"]["precision"]
    if UNASKED in (precision, theirs["backbone"]["precision"]):
        theirs["backbone"] = {**theirs["backbone"], "precision": precision}
    return bool(ours == theirs)
