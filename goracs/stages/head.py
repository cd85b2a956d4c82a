"""A head in place of a fine-tune: fitted on the coreset's hidden states, beginning at the start's margins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from goracs.llm.settings import Head
from goracs.stages.common import examples, labels, write_json
from goracs.store import Stage
from goracs.types import IndexArray

NEEDS = frozenset({"hidden", "margin"})  # of the pool


def stage(prepared: Stage, scored: Stage, selected: Stage, settings: Head) -> Stage:
    """head.npy [d + 1] float64, for hidden states as they are, and head.json: on how many rows, warnings.

    The margin of a hidden state h is the start's + h . head[:-1] + head[-1]. The fit is in the units of the
    whole pool's hidden states, so that the penalty means the same for every coreset.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.evaluation import head

        pool, margins = (np.load(inputs["score"] / f"pool_{name}.npy") for name in ("hidden", "margin"))
        rows = np.load(inputs["select"] / "indices.npy")
        answers, units = labels(examples(inputs, "train")), head.units(pool)
        assert answers is not None  # the line refuses tasks without
        weights = head.fit(units.of(pool[rows]), answers[rows], margins[rows], settings.penalty)
        np.save(folder / "head.npy", units.folded(weights))
        write_json(folder / "head.json", {"rows": len(rows), "warnings": _doubts(answers[rows], units.vary)})

    inputs = {"prepare": prepared, "score": scored, "select": selected}
    return Stage("head", 1, {"penalty": settings.penalty}, inputs, build)


def _doubts(answers: IndexArray, vary: bool) -> list[str]:
    said = []
    if answers.min() == answers.max():
        said.append(
            "finetune=head: all rows of a coreset have one answer; only the penalty keeps its head from "
            "giving that answer always."
        )
    if not vary:
        said.append(
            "finetune=head: the hidden states of the pool are all equal, so a head moves every margin alike."
        )
    return said
