"""Examples of pool, validation and test set, the catalogue, each user's items, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goracs.data import prepare
from goracs.data.dataset import Dataset
from goracs.data.prepare import Prepared
from goracs.data.readers import alpaca, sequences
from goracs.data.readers.alpaca import Prompts
from goracs.data.readers.sequences import Sequences
from goracs.data.splits import Splitter
from goracs.data.tasks import Task
from goracs.stages.common import spec, without
from goracs.store import Stage

Ready = Prompts | Sequences
# of a task
NOT_WORDS = ("lam", "published_lam", "max_exchanges", "candidates", "by_class", "embed_output", "loss")


def stage(dataset: Dataset | Ready, split: Splitter, task: Task) -> Stage:
    """Examples of pool, validation and test set, the catalogue, each user's items, statistics.

    Ready sets come in three files: no split has a part in them.
    """

    def build(folder: Path, _: Mapping[str, Path]) -> None:
        prepare.write(_prepared(dataset, split, task), folder)

    rules = without(spec(dataset), "name", "notice", "ties", *dataset.files)  # ties: as the split has them
    words = without(spec(task), *NOT_WORDS)
    params = {"raw": dict(dataset.digests()), "rules": rules, "task": words}
    if isinstance(dataset, Dataset):
        params["split"] = spec(split)
    return Stage("prepare", 4, params, {}, build)


def _prepared(dataset: Dataset | Ready, split: Splitter, task: Task) -> Prepared:
    if isinstance(dataset, Prompts):
        return alpaca.prepare(dataset, task)
    if isinstance(dataset, Sequences):
        return sequences.prepare(dataset, task)
    return prepare.prepare(dataset, split, task)
