"""The figures every coreset is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from goracs.stages.common import write_json
from goracs.stages.select import selection_problem
from goracs.store import Stage

NEEDS = frozenset({"features", "gradient_norm"})


def stage(seen: Mapping[str, Stage], selected: Stage, features: str, lam: float) -> Stage:
    """assessment.json: the figures every coreset is judged by."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.selection.figures import assess

        problem = selection_problem(inputs, NEEDS, features)
        figures = assess(problem, np.load(inputs["select"] / "indices.npy"), lam)
        write_json(folder / "assessment.json", figures)

    params = {"features": features, "lam": lam}
    return Stage("assess", 1, params, {**seen, "select": selected}, build)
