"""The tiny pipeline: the words that make a run small, and what a run of it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from goracs.jobs.job_folder import OUTCOME, RESULT
from goracs.store import MANIFEST

WORDS = (
    "backbone=tiny",
    "encoder=tiny",
    "dataset.size=60",
    "dataset.history=3",
    "split.valid=24",
    "split.test=24",
    "split.per_user=4",
    "adapter.rows=8",
    "adapter.training.batch_size=2",
    "backbone.batch_tokens=1024",
    "encoder.batch_tokens=1024",
    "finetune.epochs=1",
    "finetune.batch_size=2",
    "evaluate.draws=50",
    "budget=8",
    "task.lam=0.5",
    "runtime.progress=false",
    "runtime.threads=1",
    "runtime.accelerator=cpu",
    "runtime.keep_every=0",
)
OWN = (OUTCOME, "goracs.log", ".hydra")  # of a folder, and told in no result


def leavings(folder: Path) -> dict[str, Any]:
    """What a run left that another of the same words leaves alike: nothing where there is no result.

    result.json but for its times and its words, every other file of the job folder byte by byte.
    """
    if not (folder / RESULT).exists():
        return {}
    result = json.loads((folder / RESULT).read_text())
    found: dict[str, Any] = {RESULT: {k: v for k, v in result.items() if k not in ("stages", "command")}}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if name not in (RESULT, "trace.json") and name.partition("/")[0] not in OWN and name[0] != ".":
            found[name] = file.read_bytes()
    return found


def artifacts(store: Path) -> list[Path]:
    """The folders that look finished."""
    return sorted(file.parent for file in store.glob(f"*/*/{MANIFEST}") if not file.parent.suffix)
