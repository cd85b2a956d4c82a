"""Figures of the history-share rule, which looks at no text at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from goracs.llm.settings import Evaluate
from goracs.stages.common import examples, write_json
from goracs.store import Stage


def stage(prepared: Stage, settings: Evaluate) -> Stage:
    """metrics.json of the history-share rule, which looks at no text at all."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data.rule import history_share
        from goracs.evaluation.ctr import ctr_metrics

        test = examples(inputs, settings.part)
        labels = np.array([example.label for example in test], dtype=np.int64)
        users = [example.user for example in test]
        metrics = ctr_metrics(
            history_share(test), labels, users, scores_are="share", draws=settings.draws, seed=settings.seed
        )
        write_json(folder / "metrics.json", metrics)

    params = {"part": settings.part, "draws": settings.draws, "seed": settings.seed}
    return Stage("rule", 3, params, {"prepare": prepared}, build)
