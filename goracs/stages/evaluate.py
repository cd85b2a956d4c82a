"""Figures of an adapter, or of the untuned backbone, on the test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from goracs.data.tasks import Ctr
from goracs.evaluation.ranking import CUTOFFS
from goracs.llm.settings import Evaluate
from goracs.stages.common import PROMPTS, Llm, spread, without, write_json
from goracs.store import Stage
from goracs.types import InvalidInput

OF_TITLES = ("method", "likelihood")  # settings that a task of answers does not have


def stage(llm: Llm, tuned: Stage | None, settings: Evaluate) -> Stage:
    """metrics.json and predictions.parquet on the test set, decoding.json where titles are written.

    `tuned` None asks the untuned backbone.

    Raises:
        InvalidInput: beams that cannot fill the places which the figures look at.
    """
    answers = isinstance(llm.task, Ctr)
    if not answers:
        _refuse_few_beams(settings)

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.evaluation import evaluate_ctr, evaluate_seqrec

        opened = llm.open(inputs)
        model = opened.adapted(inputs["tuned"] / "adapter") if "tuned" in inputs else opened.bare()
        run = evaluate_ctr if answers else evaluate_seqrec
        run(opened, model, inputs["prepare"], settings, folder)
        write_json(folder / PROMPTS, opened.prompts)

    inputs = llm.inputs if tuned is None else {**llm.inputs, "tuned": tuned}
    asked = without(asdict(settings), *OF_TITLES) if answers else asdict(settings)
    params = {"evaluate": asked, **without(llm.params, "loss")}
    return Stage("evaluate", 4, params, inputs, spread(llm.runtime, build))


def _refuse_few_beams(settings: Evaluate) -> None:
    if settings.method == "constrained" and settings.beams < max(CUTOFFS):
        raise InvalidInput(
            "evaluate.method=constrained ranks no more titles than it has beams, and the figures look at the "
            f"first {max(CUTOFFS)}: take evaluate.beams={max(CUTOFFS)} or more, got {settings.beams}."
        )
