"""A result told to Weights & Biases, once: the artifact notes which run has it.

The run's own files lie where the tracker keeps them. What names it there tells where the job stood and is no
part of the key: the same result from another sweep is not told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goracs.stages.common import without, write_json
from goracs.store import Stage


def stage(result: Stage, settings: Mapping[str, Any], run: Mapping[str, str | None]) -> Stage:
    """run.json, which names the run that has the result.

    Args:
        result: the stage of that name.
        settings: those of conf/logger/wandb.yaml.
        run: name, group and job_type, as the tracker shows them.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.loggers import tell_wandb

        write_json(folder / "run.json", tell_wandb(inputs["result"], settings, run))

    return Stage("track", 1, without(settings, "folder"), {"result": result}, build)
