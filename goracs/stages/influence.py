"""The influence of each row of the pool, by a surrogate that is trained on the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from goracs.llm.settings import Runtime
from goracs.stages.common import examples, spec, without
from goracs.store import Stage
from goracs.surrogate.settings import Surrogate
from goracs.types import Example, InvalidInput

INFLUENCE = "influence"  # the score


def stage(prepared: Stage, settings: Surrogate, runtime: Runtime) -> Stage:
    """pool_influence.npy [N] float32."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.jobs import Job
        from goracs.surrogate.influence import influences
        from goracs.surrogate.sasrec import rows_of, trained

        sequences, items = _numbered(examples(inputs, "train"))
        rows = rows_of(sequences, items, np.random.default_rng([settings.seed, 0]))
        job = Job("surrogate", "float32", 0, runtime, "surrogate.epochs")
        model = trained(rows, items, settings, job)
        order = np.random.default_rng([settings.seed, 2]).integers(len(rows), size=settings.depth)
        found = influences(model, rows, order.tolist(), settings.damp, settings.scale)
        np.save(folder / f"pool_{INFLUENCE}.npy", found)

    params = {"surrogate": without(spec(settings), "name")}
    return Stage("influence", 1, params, {"prepare": prepared}, build)


def _numbered(pool: Sequence[Example]) -> tuple[list[list[int]], int]:
    """The items of each row, its target last, as numbers from 1; and how many there are.

    Raises:
        InvalidInput: rows without a history or an item, as ready prompts are.
    """
    bare = sum(not example.history or not example.item for example in pool)
    if bare:
        raise InvalidInput(
            f"the influence of a row is that on a model of the next item, and {bare} of the pool's "
            f"{len(pool)} rows have no item or no history: ask for dataset.min_history=1, or take another "
            "selector."
        )
    items = sorted({item for example in pool for item in (*example.history, example.item)})
    number = {item: place for place, item in enumerate(items, 1)}
    return [[number[item] for item in (*one.history, one.item)] for one in pool], len(items)
