"""The figures of a coreset worked out anew: from arrays and rows, with nothing that a search has told.

Transport  solved again and proven optimal by `goracs.ot.proof`, which shares nothing with the solver.
Scale      plain maxima over every pair of rows, in float64.
Bound      that of `goracs.selection.certificate`, at prices of its own: a bound that a run states is proven
           anew as far as it is not above that.
Cost       O(N m d): one pass over all distances, one more for the bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from goracs.ot import distance, exact, proof
from goracs.selection.certificate import certify
from goracs.types import FloatArray, GoracsError, IndexArray, Scale, SelectionProblem

CELLS = 1 << 22  # distances at a time: 32 MiB
PROVEN = "proven"  # the bound that is proven here; no figure of a report


def measured(problem: SelectionProblem) -> SelectionProblem:
    """The problem with its units, as the largest distance and gradient norm of all rows give them."""
    largest = max(float(block.max()) for block in _blocks(problem))
    norms = problem.scores.get("gradient_norm")
    peak = 0.0 if norms is None else float(np.max(norms))
    return replace(problem, scale=Scale(largest or 1.0, peak or 1.0))


def part(problem: SelectionProblem, label: int) -> tuple[SelectionProblem, IndexArray]:
    """One class of a measured problem, against all of validation where that lacks it, and its pool rows."""
    assert problem.labels is not None
    assert problem.target_labels is not None
    rows, targets = (np.flatnonzero(side == label) for side in (problem.labels, problem.target_labels))
    one = problem.among(rows)
    return (one.against(targets) if len(targets) else one), rows


def figures(problem: SelectionProblem, rows: IndexArray, lam: float) -> dict[str, Any]:
    """transport, mean_gradient, poo, max_distance, max_gradient and lam of pool rows, by their definition.

    Raises:
        GoracsError: a transport that is not proven optimal.
    """
    assert problem.scale is not None
    transport = transported(problem, rows)
    norms = problem.scores.get("gradient_norm")
    mean = None if norms is None else float(np.mean(norms[rows], dtype=np.float64))
    return {
        "transport": transport,
        "mean_gradient": mean,
        "poo": transport / problem.scale.distance - lam * (mean or 0.0) / problem.scale.gradient,
        "max_distance": problem.scale.distance,
        "max_gradient": None if norms is None else problem.scale.gradient,
        "lam": lam,
    }


def transported(problem: SelectionProblem, rows: IndexArray) -> float:
    """OT_d of some pool rows to validation, feature units.

    Raises:
        GoracsError: it is not proven optimal.
    """
    costs = distance.distances(problem.features[rows], problem.target_features)
    found = exact.solve(costs)
    if wrong := proof.faults(costs, found):
        raise GoracsError(f"the exact transport worked out anew has {', '.join(wrong)}: a defect of goracs.")
    return found.value


def bounds(problem: SelectionProblem, rows: IndexArray, lam: float) -> dict[str, float]:
    """`lowest_cost` of the problem, and the bound on POO that is proven anew, as `PROVEN`."""
    assert problem.scale is not None
    norms = problem.scores.get("gradient_norm")
    nearest = np.concatenate([block.min(axis=1) for block in _blocks(problem)]) / problem.scale.distance
    pulls = 0.0 if norms is None else lam / problem.scale.gradient * norms.astype(np.float64)
    return {
        "lowest_cost": float((nearest - pulls).min()),
        PROVEN: certify(problem, rows, lam)["lower_bound"],
    }


def _blocks(problem: SelectionProblem) -> Iterator[FloatArray]:
    size = max(1, CELLS // problem.target_size)
    for start in range(0, problem.pool_size, size):
        yield distance.distances(problem.features[start : start + size], problem.target_features)
