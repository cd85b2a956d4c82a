"""Figures on the test set from hidden states and margins that are there: no LLM is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from goracs.llm.settings import Evaluate
from goracs.stages.common import examples
from goracs.store import Stage


def stage(prepared: Stage, states: Stage, fitted: Stage | None, settings: Evaluate) -> Stage:
    """metrics.json and predictions.parquet, as of a fine-tuned adapter.

    Args:
        prepared: the examples.
        states: those of `settings.part` (`goracs.stages.states`).
        fitted: the head; None for the start adapter itself.
        settings: how answers become figures.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.evaluation import head
        from goracs.llm.evaluation import write_ctr

        margins = np.load(inputs["states"] / "margin.npy")
        if "tuned" in inputs:
            weights, hidden = np.load(inputs["tuned"] / "head.npy"), np.load(inputs["states"] / "hidden.npy")
            margins = head.margins(weights, hidden, margins)
        write_ctr(examples(inputs, settings.part), margins, settings, folder)

    params = {"part": settings.part, "draws": settings.draws, "seed": settings.seed}
    inputs = {"prepare": prepared, "states": states, **({"tuned": fitted} if fitted else {})}
    return Stage("evaluate_states", 2, params, inputs, build)
