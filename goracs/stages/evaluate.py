"""Figures of an adapter, or of the untuned backbone, on the test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from goracs.data.tasks import Ctr
from goracs.llm.settings import Evaluate
from goracs.stages.common import PROMPTS, Llm, write_json
from goracs.store import Stage


def stage(llm: Llm, tuned: Stage | None, settings: Evaluate) -> Stage:
    """metrics.json and predictions.parquet on the test set, decoding.json where titles are written.

    `tuned` None asks the untuned backbone.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.evaluation import evaluate_ctr, evaluate_seqrec

        opened = llm.open(inputs)
        model = opened.adapted(inputs["tuned"] / "adapter") if "tuned" in inputs else opened.bare()
        run = evaluate_ctr if isinstance(llm.task, Ctr) else evaluate_seqrec
        run(opened, model, inputs["prepare"], settings, folder)
        write_json(folder / PROMPTS, opened.prompts)

    inputs = llm.inputs if tuned is None else {**llm.inputs, "tuned": tuned}
    return Stage("evaluate", 3, {"evaluate": asdict(settings), **llm.params}, inputs, build)
