"""The coreset."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np

from goracs.llm.settings import Runtime
from goracs.stages.common import checkpoint, examples, spec, write_json
from goracs.store import Stage
from goracs.types import Coreset, FloatArray, SelectionProblem, Selector


def stage(
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
        _write_coreset(select(selector, problem, budget, seed, job, checkpoint(folder)), folder)

    params = {"selector": spec(selector), "budget": budget}
    if "features" in selector.needs:
        params["features"] = features
    if selector.seeded:
        params["seed"] = seed
    return Stage("select", 3, params, dict(seen), build)


def selection_problem(inputs: Mapping[str, Path], needs: Set[str], features: str) -> SelectionProblem:
    """What a selector sees: the features and scores it needs, and the labels; else features of width 0."""
    pool, target = examples(inputs, "train"), examples(inputs, "valid")
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


def _write_coreset(coreset: Coreset, folder: Path) -> None:
    np.save(folder / "indices.npy", coreset.indices)
    write_json(folder / "report.json", dict(coreset.report))
    write_json(folder / "trace.json", [dict(step) for step in coreset.trace])
