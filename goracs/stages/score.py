"""Numbers of each example from one pass of the LLM at the initial adapter.

Names   gradient_norm, loss and el2n come together, with a sketch too (a gradient makes the others free);
        hidden, margin and sketch where somebody asks for them, or `score.together` does, so that jobs which
        want different ones of them share one pass. Of the validation set only these three are computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from goracs.data.tasks import Ctr
from goracs.llm.settings import Score
from goracs.stages.common import PROMPTS, SIDES, Llm, checkpoint, examples, take_arrays, write_json
from goracs.store import Stage
from goracs.types import InvalidInput

TOGETHER = frozenset({"gradient_norm", "loss", "el2n"})
OF_BOTH_SIDES = frozenset({"hidden", "margin", "sketch"})


def stage(
    llm: Llm, start: Stage, adapted: Collection[str] | None, settings: Score, wanted: frozenset[str]
) -> Stage:
    """pool_<name>.npy and, for hidden, margin and sketch, target_<name>.npy; float32 [N] or [N, d].

    An interrupted run leaves finished batches in a checkpoint; the next one goes on from there.

    Args:
        llm: what scores.
        start: the initial adapter.
        adapted: the linears that it is known to be for, None where only the backbone can tell.
        settings: where gradients are taken, how they are sketched.
        wanted: names of numbers.

    Raises:
        InvalidInput: gradients at a layer that the start does not adapt, margins of a task without answers,
            a name that is none.
    """
    names = named(wanted, settings)
    if adapted is not None and names & TOGETHER:
        settings.refuse_absent_layer(adapted)
    if "margin" in names and not isinstance(llm.task, Ctr):
        raise InvalidInput(
            "margins are of tasks with two answers (task=ctr), and this task's answers are texts: what asks "
            "for them (lam=auto, features=output_gradient, score.together) does not go with it."
        )

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.forecast import SHORTER
        from goracs.llm.gradient import score

        opened, kept = llm.open(inputs), checkpoint(folder)
        model = opened.adapted(inputs["adapter"] / "adapter")
        for side, asked in (("pool", names), ("target", names & OF_BOTH_SIDES)):
            if asked:
                texts = opened.read(examples(inputs, SIDES[side]))
                job = opened.job(f"score {side}", SHORTER[side])
                score(model, opened.loss, texts, settings, asked, job, kept, side)
        take_arrays(kept, folder)
        write_json(folder / PROMPTS, opened.prompts)

    params: dict[str, Any] = {"numbers": sorted(names), **llm.params}
    if names & TOGETHER:
        params["layer"] = settings.layer
    if "sketch" in names:
        params["sketch"] = {"dim": settings.sketch_dim, "seed": settings.sketch_seed}
    return Stage("score", 5, params, {**llm.inputs, "adapter": start}, build)


def named(wanted: frozenset[str], settings: Score) -> frozenset[str]:
    """What is computed where these numbers are wanted; nothing where none is.

    Raises:
        InvalidInput: a name that is none.
    """
    if not wanted:
        return frozenset()
    names = wanted | frozenset(settings.together)
    unknown = sorted(names - TOGETHER - OF_BOTH_SIDES)
    if unknown:
        known = ", ".join(sorted(TOGETHER | OF_BOTH_SIDES))
        raise InvalidInput(f"no score is called {', '.join(unknown)}; there are {known}.")
    return names | TOGETHER if names & (TOGETHER | {"sketch"}) else names
