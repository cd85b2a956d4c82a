"""Last hidden states and margins, at the start, of the examples that judge: no selection reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from goracs.data.tasks import Ctr
from goracs.stages.common import PROMPTS, Llm, checkpoint, passed, without, write_json
from goracs.store import Stage
from goracs.types import InvalidInput

if TYPE_CHECKING:
    from goracs.llm.rows import Pass

NAMES = frozenset({"hidden", "margin"})


def stage(llm: Llm, start: Stage, part: str) -> Stage:
    """hidden.npy [t, d] and margin.npy [t], float32, of the examples of a part.

    An interrupted run leaves finished batches in a checkpoint; the next one goes on from there.

    Args:
        llm: what reads them.
        start: the initial adapter.
        part: test or valid, as in evaluate.part.

    Raises:
        InvalidInput: a task without two answers.
    """
    if not isinstance(llm.task, Ctr):
        raise InvalidInput(
            "a head is fitted over two answers (task=ctr), and this task's answers are texts: what fits "
            "heads (goracs lab, finetune=head) does not go with it."
        )

    def passes(folder: Path, inputs: Mapping[str, Path]) -> Iterator[Pass]:
        from goracs.llm.gradient import scoring

        opened, kept = llm.open(inputs), checkpoint(folder)
        model = opened.adapted(inputs["adapter"] / "adapter")
        texts = opened.read_part(part, kept).without_answers()
        job = opened.job(f"states {part}", f"split.{part} or dataset.history")
        yield scoring(model, opened.pair, texts, None, NAMES, job, kept, part)
        for name in sorted(NAMES):
            shutil.copyfile(kept / f"{part}_{name}.npy", folder / f"{name}.npy")
        write_json(folder / PROMPTS, opened.prompts)

    params, inputs = {"part": part, **without(llm.params, "loss")}, {**llm.inputs, "adapter": start}
    return Stage("states", 1, params, inputs, passed(llm.runtime, llm.cluster, passes))
