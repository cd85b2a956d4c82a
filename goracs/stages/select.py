"""The coreset."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from goracs.cluster.joined import joined
from goracs.cluster.settings import Cluster
from goracs.llm.settings import Runtime
from goracs.stages.common import checkpoint, examples, labels, spec, write_json
from goracs.stages.influence import INFLUENCE
from goracs.stages.score import OF_BOTH_SIDES
from goracs.store import Stage
from goracs.types import Coreset, FloatArray, SelectionProblem, Selector


def stage(
    seen: Mapping[str, Stage],
    selector: Selector,
    budget: int,
    seed: int,
    runtime: Runtime,
    cluster: Cluster,
) -> Stage:
    """indices.npy [n] int64, report.json and trace.json of the coreset.

    An interrupted search leaves a checkpoint beside the artifact's place; the next one goes on from there,
    here or on a cluster.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.jobs import Job
        from goracs.llm.selection import select

        job = Job("select", "float32", 0, runtime)
        problem, kept = selection_problem(inputs, selector.needs), checkpoint(folder)
        with joined(cluster, kept) as spread:
            given = problem if spread is None else replace(problem, spread=spread)
            _write_coreset(select(selector, given, budget, seed, job, kept), folder)

    params = {"selector": spec(selector), "budget": budget}
    if selector.seeded:
        params["seed"] = seed
    return Stage("select", 5, params, dict(seen), build)


def selection_problem(inputs: Mapping[str, Path], needs: Set[str]) -> SelectionProblem:
    """What a selector sees: features (else of width 0) and scores as it needs them, labels, users."""
    pool, target = examples(inputs, "train"), examples(inputs, "valid")
    place, scores = inputs.get("features") if "features" in needs else None, needs - {"features"}
    users = np.unique([example.user for example in target], return_inverse=True)[1]
    return SelectionProblem(
        features=_features(place, "pool", len(pool)),
        target_features=_features(place, "target", len(target)),
        scores={name: np.load(_place(inputs, name) / f"pool_{name}.npy") for name in scores},
        target_scores={
            name: np.load(inputs["score"] / f"target_{name}.npy") for name in scores & OF_BOTH_SIDES
        },
        labels=labels(pool),
        target_labels=labels(target),
        target_users=users,
    )


def _place(inputs: Mapping[str, Path], score: str) -> Path:
    """The artifact that has a score: most come from the one pass of the LLM."""
    return inputs[INFLUENCE if score == INFLUENCE else "score"]


def _features(place: Path | None, side: str, count: int) -> FloatArray:
    if place is None:
        return np.empty((count, 0), dtype=np.float32)
    matrix: FloatArray = np.load(place / f"{side}.npy", mmap_mode="r")
    return matrix


def _write_coreset(coreset: Coreset, folder: Path) -> None:
    np.save(folder / "indices.npy", coreset.indices)
    write_json(folder / "report.json", dict(coreset.report))
    write_json(folder / "trace.json", [dict(step) for step in coreset.trace])
