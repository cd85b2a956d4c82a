"""Last hidden states and margins, at the start, of the examples that judge: no selection reads them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from goracs.data.tasks import Ctr
from goracs.stages.common import PROMPTS, Llm, checkpoint, examples, spread, without, write_json
from goracs.store import Stage
from goracs.types import InvalidInput

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

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.gradient import score

        opened, kept = llm.open(inputs), checkpoint(folder)
        model = opened.adapted(inputs["adapter"] / "adapter")
        texts = opened.asked(examples(inputs, part))
        job = opened.job(f"states {part}", f"split.{part} or dataset.history")
        score(model, opened.pair, texts, None, NAMES, job, kept, part)
        for name in sorted(NAMES):
            shutil.copyfile(kept / f"{part}_{name}.npy", folder / f"{name}.npy")
        write_json(folder / PROMPTS, opened.prompts)

    params, inputs = {"part": part, **without(llm.params, "loss")}, {**llm.inputs, "adapter": start}
    return Stage("states", 1, params, inputs, spread(llm.runtime, build))
