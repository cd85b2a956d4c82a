"""What a lab's settings choose from one drawn pool: no test row is among its inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from goracs.lab.trials import Trial, Tried, selector_of
from goracs.stages.common import spec, write_json
from goracs.store import Artifact, Stage

FILE = "tried.json"
Work = Callable[[Sequence[Trial]], Iterator[Tried]]


def stage(inputs: Mapping[str, Stage], todo: Sequence[Trial], work: Work) -> Stage:
    """tried.json: for each trial the chosen rows of the whole pool, the lam of auto, the figures.

    Args:
        inputs: what the selections see: prepare, score and every representation.
        todo: the trials of one drawn pool, at least one.
        work: selects, on the arrays of these inputs.
    """

    def build(folder: Path, _: Mapping[str, Path]) -> None:
        plain = [{**found._asdict(), "rows": found.rows.tolist()} for found in work(todo)]
        write_json(folder / FILE, plain)

    settings = [[*trial.setting, spec(selector_of(trial.setting))] for trial in todo]
    params = {"settings": settings, "draw": todo[0].draw, "pool": len(todo[0].rows)}
    return Stage("tried", 1, params, dict(inputs), build)


def read(artifact: Artifact) -> list[Tried]:
    """What `stage` wrote, trial by trial."""
    found = json.loads((artifact.path / FILE).read_text())
    return [Tried(np.array(one["rows"], np.int64), one["auto"], one["figures"]) for one in found]
