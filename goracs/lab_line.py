"""The stages that a lab reads, and the arrays that it makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from goracs.features.representation import Representation, Sides
from goracs.lab.judge import Judge
from goracs.lab.trials import Bench, Trial, Tried
from goracs.pipeline import Job, Line
from goracs.stages import features, fits, select, tried, weights
from goracs.stages.common import Source, examples, labels
from goracs.stages.influence import INFLUENCE
from goracs.stages.settled import sentences
from goracs.store import Stage, Store
from goracs.types import InvalidInput


class Described:
    """The stages, described; the store runs them when their arrays are wanted.

    Args:
        made: the settings objects of a configuration, by name.
        representations: name -> how to represent.
        needs: the names of the scores that are read.
        store: of the artifacts.

    Raises:
        InvalidInput: an evaluate.part other than test; what a stage refuses.
        GoracsError: a model that is nowhere to be had.
    """

    def __init__(
        self,
        made: Mapping[str, Any],
        representations: Mapping[str, Representation],
        needs: frozenset[str],
        store: Store,
    ) -> None:
        self.store, self.needs, self.part = store, needs, made["evaluate"].part
        if self.part != "test":
            raise InvalidInput(
                f"evaluate.part={self.part}: the lab would judge coresets by the rows they were chosen "
                "against, which says nothing of others; only evaluate.part=test will do."
            )
        line = Line(Job(made, {}, "", ""), store)
        if line.proxy:
            raise InvalidInput("a lab tries and judges coresets by one LLM: leave out backbone@proxy.")
        embeds = any(features.EMBEDDING in found.needs for found in representations.values())
        models = {made["backbone"].model, *([made["encoder"].model] if embeds else [])}
        line.models = weights.stages(models)
        self.prepared = line.prepared
        self.judged = line.states
        wanted = needs.union(*map(features.scores_of, representations.values()))
        scored = line.scoring(wanted - {INFLUENCE})
        self.chosen = sentences(line.chosen)
        self.inputs = {"prepare": line.prepared, "score": scored}
        self.inputs |= {INFLUENCE: line.influenced} if INFLUENCE in needs else {}
        sources = {**self.inputs, **({"embed": line.embedded} if embeds else {})}
        self.representations = {
            name: features.stage({role: sources[role] for role in _roles(found)}, found)
            for name, found in representations.items()
        }
        self.fits = fits.stage(line.llm, ["train", "valid", self.part], None)
        self.weights: Source = line.files

    @cached_property
    def pool_size(self) -> int:
        """Rows of the whole pool; the data are prepared for it."""
        counts = json.loads((self._path(self.prepared) / "statistics.json").read_text())
        return int(counts["splits"]["train"]["samples"])

    def bench(self) -> Bench:
        """What selections see."""
        self._path(self.fits)
        inputs = {role: self._path(stage) for role, stage in self.inputs.items()}
        problem = select.selection_problem(inputs, self.needs)
        return Bench(problem, {name: self._sides(stage) for name, stage in self.representations.items()})

    def tried(self, todo: Sequence[Trial], work: tried.Work) -> list[Tried]:
        """What the trials of one drawn pool come to: found in the store, or worked out and kept there."""
        seen = {f"features {name}": stage for name, stage in self.representations.items()}
        return tried.read(self.store.get(tried.stage({**self.inputs, **seen}, todo, work)))

    def judge(self) -> Judge:
        """What judges: nothing of it is in `bench`."""
        place = self._path(self.judged)
        read = examples({"prepare": self._path(self.prepared)}, self.part)
        marked = labels(read)
        assert marked is not None
        users = np.unique([example.user for example in read], return_inverse=True)[1]
        return Judge(np.load(place / "hidden.npy"), np.load(place / "margin.npy"), marked, users)

    def digests(self) -> dict[str, Any]:
        """The key of every stage that is read."""
        named = {**self.inputs, "states": self.judged, "weights": self.weights}
        keys = {name: source.key for name, source in named.items()}
        return {**keys, "features": {name: stage.key for name, stage in self.representations.items()}}

    def _sides(self, stage: Stage) -> Sides:
        place = self._path(stage)
        return np.load(place / "pool.npy"), np.load(place / "target.npy")

    def _path(self, stage: Stage) -> Path:
        return self.store.get(stage).path


def _roles(found: Representation) -> list[str]:
    """The stages that a representation is made of."""
    scored, embedded = features.scores_of(found), features.EMBEDDING in found.needs
    return ["prepare", *(["score"] if scored else []), *(["embed"] if embedded else [])]
