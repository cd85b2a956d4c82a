"""Examples of pool, validation and test set, the catalogue, each user's items, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goracs.data.dataset import Dataset
from goracs.data.readers.alpaca import Prompts
from goracs.data.splits import Splitter
from goracs.data.tasks import Task
from goracs.stages.common import spec, without
from goracs.store import Stage

# of a task
NOT_WORDS = ("lam", "published_lam", "max_exchanges", "candidates", "by_class", "embed_output", "loss")


def stage(dataset: Dataset | Prompts, split: Splitter, task: Task) -> Stage:
    """Examples of pool, validation and test set, the catalogue, each user's items, statistics.

    Ready prompts come in three files: no split has a part in them.
    """

    def build(folder: Path, _: Mapping[str, Path]) -> None:
        from goracs.data import prepare
        from goracs.data.readers import alpaca

        if isinstance(dataset, Prompts):
            prepare.write(alpaca.prepare(dataset, task), folder)
        else:
            prepare.write(prepare.prepare(dataset, split, task), folder)

    rules = without(spec(dataset), "name", "notice", "ties", *dataset.files)  # ties: as the split has them
    words = without(spec(task), *NOT_WORDS)
    params = {"raw": dict(dataset.digests()), "rules": rules, "task": words}
    if not isinstance(dataset, Prompts):
        params["split"] = spec(split)
    return Stage("prepare", 4, params, {}, build)
