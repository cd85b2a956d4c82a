"""The start adapter trained on the coreset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from goracs.llm.settings import Finetune
from goracs.stages.common import PROMPTS, Llm, checkpoint, examples, spread, trained_by, write_json
from goracs.store import Stage


def stage(llm: Llm, start: Stage, selected: Stage, settings: Finetune, seed: int) -> Stage:
    """adapter/ in peft format and curve.json: the start trained on the coreset.

    The validation examples are read where it may end early. An interrupted run leaves its state in a
    checkpoint; the next one goes on from there.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.finetune import finetune

        opened, pool = llm.open(inputs), examples(inputs, "train")
        texts = opened.read([pool[row] for row in np.load(inputs["select"] / "indices.npy")])
        model = opened.adapted(inputs["adapter"] / "adapter", trainable=True)
        job = opened.job("finetune", "budget, finetune.epochs or dataset.history")
        judging = None if settings.patience is None else opened.read(examples(inputs, "valid"))
        finetune(model, opened.loss, texts, settings, seed, job, folder, checkpoint(folder), judging=judging)
        write_json(folder / PROMPTS, opened.prompts)

    params = {"finetune": asdict(settings), "seed": seed, **llm.params, **trained_by(llm.runtime)}
    inputs = {**llm.inputs, "adapter": start, "select": selected}
    return Stage("finetune", 4, params, inputs, spread(llm.runtime, build))
