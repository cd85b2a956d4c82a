"""Every method on planted problems, by GORACS' own objective.

Problems   `experiments.planted`: N = 2,000, m = 500, n = 100, lam .1 and .5, seeds that nothing was tried on.
           The one score there is, the gradient norm, stands for every score of one number a row, and training
           dynamics are made of it: losses that fall from it, margins that change sign about its mean;
           sketches of gradients are the features themselves; a row's label says on which side of the pool's
           mean its first number lies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import goracs
from experiments.planted import planted
from goracs import api
from goracs.features.representation import unit
from goracs.selection.figures import assess
from goracs.types import FloatArray, GoracsError, SelectionProblem

POOL, TARGET, BUDGET = 2000, 500, 100
LAMS = (0.1, 0.5)
SEEDS = (101, 102, 103)
FIXED_LAM = ("goracs_gradient", "goracs_transport")  # the gradient alone, and no gradient
MATRICES = frozenset({"sketch", "unit_sketch", "hidden"})  # scores of several numbers a row
FALL, TURNS = (1.0, 0.8, 0.6, 0.4), (1.0, -1.0, 0.5, 2.0)  # at four checkpoints


def rows(method: str, seed: int) -> Iterator[dict[str, Any]]:
    """A method's figures on the problem of a seed, a row for each lam.

    `transport` and `gradient` are divided as in POO; `lower_bound` and `lowest_cost` are None where the
    method has none; a method that refuses has a row of `refused` alone.
    """
    given = planted(POOL, TARGET, seed)
    posed = completed(given, api.build(method, {}).needs)
    if not has_lam(method):
        chosen = _chosen(method, posed, {})
    for lam in LAMS:
        if has_lam(method):
            chosen = _chosen(method, posed, {"lam": lam})
        yield {"selector": method, "seed": seed, "lam": lam, **chosen, **_figures(given, chosen, lam)}


def has_lam(method: str) -> bool:
    """Whether a method weighs gradients as GORACS does, by a weight that it is given."""
    return method.startswith("goracs") and method not in FIXED_LAM


def completed(given: SelectionProblem, needs: frozenset[str]) -> SelectionProblem:
    """A planted problem with whatever a method reads."""
    norms, centre = given.scores["gradient_norm"], given.features[:, 0].mean()
    target = given.target_features
    return replace(
        given,
        scores={name: _score(name, given.features, norms) for name in needs - {"features"}},
        target_scores={name: _score(name, target, None) for name in needs & MATRICES},
        labels=(given.features[:, 0] > centre).astype(np.int64),
        target_labels=(target[:, 0] > centre).astype(np.int64),
        target_users=np.arange(len(target)),
    )


def _score(name: str, features: FloatArray, norms: FloatArray | None) -> FloatArray:
    if name in MATRICES or norms is None:
        return unit(features.astype(np.float64)) if name == "unit_sketch" else features
    match name:
        case "answer_losses":
            return np.outer(norms, FALL)
        case "right_margins":
            return np.outer(norms.mean() - norms, TURNS)
    return norms


def _chosen(method: str, posed: SelectionProblem, overrides: dict[str, Any]) -> dict[str, Any]:
    began = time.process_time()
    try:
        coreset = goracs.select(posed, BUDGET, method, **overrides)
    except GoracsError as error:
        return {"refused": str(error)}
    bounds = {name: coreset.report.get(name) for name in ("lower_bound", "lowest_cost")}
    return {"seconds": time.process_time() - began, "rows": coreset.indices.tolist(), **bounds}


def _figures(given: SelectionProblem, chosen: dict[str, Any], lam: float) -> dict[str, float]:
    if "refused" in chosen:
        return {}
    told = assess(given, chosen["rows"], lam)
    return {
        "transport": told["transport"] / told["max_distance"],
        "gradient": told["mean_gradient"] / told["max_gradient"],
        "poo": told["poo"],
    }
