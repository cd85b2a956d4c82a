"""Numbers of each example from one pass of the LLM at the initial adapter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from goracs.llm.settings import Score
from goracs.stages.common import PROMPTS, SIDES, Llm, checkpoint, examples, take_arrays, write_json
from goracs.store import Stage


def stage(llm: Llm, start: Stage, adapted: Collection[str] | None, settings: Score, sketched: bool) -> Stage:
    """pool_{gradient_norm,loss,el2n}.npy [N] float32; sketched: also {pool,target}_sketch.npy [N], [m, k].

    An interrupted run leaves finished batches in a checkpoint; the next one goes on from there.

    Raises:
        InvalidInput: the linears that the start is known to be for (`adapted`) are without score.layer.
    """
    if adapted is not None:
        settings.refuse_absent_layer(adapted)

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.forecast import SHORTER
        from goracs.llm.gradient import score

        opened, kept = llm.open(inputs), checkpoint(folder)
        model = opened.adapted(inputs["adapter"] / "adapter")
        for side in ("pool", "target") if sketched else ("pool",):
            texts = opened.read(examples(inputs, SIDES[side]))
            job = opened.job(f"score {side}", SHORTER[side])
            score(model, opened.loss, texts, settings, sketched, job, kept, side)
        take_arrays(kept, folder)
        write_json(folder / PROMPTS, opened.prompts)

    params: dict[str, Any] = {"layer": settings.layer, "sketch": None, **llm.params}
    if sketched:
        params["sketch"] = {"dim": settings.sketch_dim, "seed": settings.sketch_seed}
    return Stage("score", 3, params, {**llm.inputs, "adapter": start}, build)
