"""Numbers of each example from one pass of the LLM at the initial adapter.

Names   gradient_norm, loss and el2n come together, with a sketch too (a gradient makes the others free); the
        rest where somebody asks for them, or `score.together` does, so that jobs which want different ones of
        them share one pass. Of the validation set only hidden, margin and sketches are computed.
unit_sketch   the sketch of each checkpoint divided by its norm (`goracs.llm.course`), made of the sketches.
dynamics      right_margins and answer_losses [N, c]: the number of that name in the singular, at each of the
        c checkpoints of a warm-up, the earliest first. A forward pass of the pool each.
ifd     loss of the answer after its prompt / that of the answer alone, of texts: how little the prompt helps
        (Li et al. 2024). The answers alone are read in a second pass; they are short.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goracs.data.tasks import Ctr, Task
from goracs.llm.settings import Score
from goracs.stages.common import PROMPTS, SIDES, Llm, checkpoint, passed, take_arrays, write_json
from goracs.store import Stage
from goracs.types import FloatArray, InvalidInput

if TYPE_CHECKING:
    from goracs.llm.batch import Texts
    from goracs.llm.recommender import Recommender
    from goracs.llm.rows import Pass

TOGETHER = frozenset({"gradient_norm", "loss", "el2n"})
OF_BOTH_SIDES = frozenset({"hidden", "margin", "sketch", "unit_sketch"})
DYNAMICS = {"right_margins": "right_margin", "answer_losses": "answer_loss"}  # -> what a checkpoint gives
OF_THE_POOL = frozenset({"answer_loss", "right_margin", "entropy", "confidence", "lead", "ifd", *DYNAMICS})
OF_ANSWERS = frozenset({"margin", "right_margin", "right_margins"})  # Yes or No
ALONE = frozenset({"answer_loss"})
OF_GRADIENTS = frozenset({"gradient_norm", "sketch"})
DERIVED = frozenset({"ifd", "unit_sketch", *DYNAMICS})  # of other numbers, after the pass
KNOWN = TOGETHER | OF_BOTH_SIDES | OF_THE_POOL
Asked = Mapping[str, frozenset[str]]  # side -> names


def stage(
    llm: Llm, start: Stage, adapted: Collection[str] | None, settings: Score, wanted: frozenset[str]
) -> Stage:
    """pool_<name>.npy and, for hidden, margin and sketches, target_<name>.npy; float32 [N] or [N, d].

    An interrupted run leaves finished batches in a checkpoint; the next one goes on from there.

    Args:
        llm: what scores.
        start: the initial adapter.
        adapted: the linears that it is known to be for, None where only the backbone can tell.
        settings: where gradients are taken, how they are sketched.
        wanted: names of numbers.

    Raises:
        InvalidInput: gradients at a layer that the start does not adapt, a number that this kind of task
            does not have, a name that is none.
    """
    names = named(wanted, settings)
    _refuse_untold(names, llm.task)
    _refuse_two_units(wanted, settings)
    if adapted is not None and takes_gradients(wanted, settings):
        settings.among(adapted)

    def passes(folder: Path, inputs: Mapping[str, Path]) -> Iterator[Pass]:
        opened, kept = llm.open(inputs), checkpoint(folder)
        asked = _by_side(names - DERIVED, "ifd" in names)
        scored = _Scored(opened, settings, _read(opened, asked, kept))
        warmed = inputs["adapter"]
        yield from scored.by(warmed / "adapter", kept, asked, _moments(warmed, settings))
        places, weights = yield from _follow(warmed, kept, scored, followed(names, settings))
        take_arrays(kept, folder)
        if "ifd" in names:
            (folder / "alone_answer_loss.npy").unlink()
            np.save(folder / "pool_ifd.npy", _ifd(kept))
        _write_combinations(names, settings, places, weights, folder)
        write_json(folder / PROMPTS, opened.prompts)

    params: dict[str, Any] = {"numbers": sorted(names), **llm.params}
    if names & TOGETHER:
        params["at"] = [settings.names, settings.depth, settings.matrices, settings.course]
    if "sketch" in names:
        params["sketch"] = {"dim": settings.sketch_dim, "seed": settings.sketch_seed}
        params["sketch"] |= {"adam": True} if settings.adam else {}
    sources = {**llm.inputs, "adapter": start}
    return Stage("score", 6, params, sources, passed(llm.runtime, llm.cluster, passes))


@dataclass(frozen=True)
class _Scored:
    """What the stage reads, by side, and how it is scored."""

    opened: Recommender
    settings: Score
    sides: Mapping[str, Texts]

    def by(self, adapter: Path, place: Path, asked: Asked, moments: Path | None) -> Iterator[Pass]:
        """The passes that write what is asked of every side, as an adapter has it, to a folder.

        `moments` is the checkpoint by which the pool's sketches are of Adam's steps.
        """
        from goracs.llm.forecast import SHORTER
        from goracs.llm.gradient import scoring

        model = self.opened.adapted(adapter)
        for side, names in asked.items():
            job = self.opened.job(f"score {side}", SHORTER.get(side, SHORTER["pool"]))
            known, read = moments if side == "pool" else None, self.sides[side]
            yield scoring(model, self.opened.loss, read, self.settings, names, job, place, side, known)


def _by_side(names: frozenset[str], alone: bool) -> Asked:
    """What a pass for these names computes of each side; `alone` are the pool's answers without prompts."""
    sides = {"pool": names, "target": names & OF_BOTH_SIDES, "alone": ALONE if alone else frozenset()}
    return {side: wanted for side, wanted in sides.items() if wanted}


def _read(opened: Recommender, asked: Asked, kept: Path) -> dict[str, Texts]:
    """The texts of every side that somebody asks for."""
    sides = {side: opened.read_part(part, kept) for side, part in SIDES.items() if side in asked}
    if "alone" in asked:
        sides["alone"] = opened.alone(sides["pool"])
    return sides


def followed(names: frozenset[str], settings: Score) -> frozenset[str]:
    """What is computed at the earlier checkpoints of a warm-up too; nothing where nobody follows it."""
    gradients = names & OF_GRADIENTS if settings.course else frozenset()
    return gradients | {DYNAMICS[name] for name in names & DYNAMICS.keys()}


def _follow(
    warmed: Path, kept: Path, scored: _Scored, names: frozenset[str]
) -> Generator[Pass, None, tuple[list[Path], list[float]]]:
    """The passes at a warm-up's checkpoints; where the numbers of each are, and its weight, its end last."""
    from goracs.llm.course import weighted_checkpoints

    if not names:
        return [kept], [1.0]
    *earlier, (_, last) = weighted_checkpoints(warmed)
    for adapter, _ in earlier:
        moments = adapter if scored.settings.adam else None
        yield from scored.by(adapter, kept / adapter.name, _by_side(names, alone=False), moments)
    return [*(kept / adapter.name for adapter, _ in earlier), kept], [*(w for _, w in earlier), last]


def _write_combinations(
    names: frozenset[str], settings: Score, places: Sequence[Path], weights: Sequence[float], folder: Path
) -> None:
    """Write what the numbers at each checkpoint come to; where none is followed, at the end alone."""
    from goracs.llm.course import joined_sketch, joined_unit_sketch, mean_norm, side_by_side

    for name in sorted(names & DYNAMICS.keys()):
        _write_combined(DYNAMICS[name], side_by_side, places, weights, folder, name)
    if not settings.course:
        places, weights = places[-1:], [1.0]
    if len(places) > 1:
        _write_combined("gradient_norm", mean_norm, places, weights, folder)
        _write_combined("sketch", joined_sketch, places, weights, folder)
    if "unit_sketch" in names:
        _write_combined("sketch", joined_unit_sketch, places, weights, folder, "unit_sketch")


def _write_combined(
    name: str,
    combined: Callable[[Sequence[FloatArray], Sequence[float]], FloatArray],
    places: Sequence[Path],
    weights: Sequence[float],
    folder: Path,
    called: str | None = None,
) -> None:
    """Write of every side what a number at all checkpoints comes to, under its own name or another."""
    for file in sorted(places[0].glob(f"*_{name}.npy")):
        side = file.name.removesuffix(f"_{name}.npy")
        parts = [np.load(place / file.name) for place in places]
        np.save(folder / f"{side}_{called or name}.npy", combined(parts, weights))


def _moments(warmed: Path, settings: Score) -> Path | None:
    """The end of a warm-up among its checkpoints, where Adam's moments are asked for."""
    from goracs.llm.course import weighted_checkpoints

    return weighted_checkpoints(warmed)[-1][0] if settings.adam else None


def _ifd(kept: Path) -> FloatArray:
    """[N]; the answer's loss after its prompt over that of the answer alone."""
    after, alone = (np.load(kept / f"{side}_answer_loss.npy") for side in ("pool", "alone"))
    ratio: FloatArray = after / alone
    return ratio


def _refuse_untold(names: frozenset[str], task: Task) -> None:
    """Raise InvalidInput where a number is not of this kind of task."""
    if names & OF_ANSWERS and not isinstance(task, Ctr):
        raise InvalidInput(
            "margins are of tasks with two answers (task=ctr), and this task's answers are texts: what asks "
            "for them (lam=auto, features=output_gradient, selector=forgetting or aum, score.together) does "
            "not go with it."
        )
    if "ifd" in names and isinstance(task, Ctr):
        raise InvalidInput(
            "ifd compares an answer with and without its prompt, and of Yes and No there is nothing to say "
            "without one: what asks for it (score.together) goes with tasks of texts (task=seqrec)."
        )


def _refuse_two_units(wanted: frozenset[str], settings: Score) -> None:
    """Raise InvalidInput where sketches of Adam's steps would be compared with sketches of gradients."""
    if settings.adam and "sketch" in wanted | set(settings.together):
        raise InvalidInput(
            "score.adam=true makes the pool's sketches of Adam's steps and leaves validation's of gradients: "
            "what compares the two as they are (features=sketch, most selectors that read sketches) cannot "
            "have them. It goes with selector=less, which reads their directions."
        )


def takes_gradients(wanted: frozenset[str], settings: Score) -> bool:
    """Whether a gradient is among what is computed where these numbers are wanted."""
    return bool(named(wanted, settings) & TOGETHER)


def named(wanted: frozenset[str], settings: Score) -> frozenset[str]:
    """What is computed where these numbers are wanted; nothing where none is.

    Raises:
        InvalidInput: a name that is none.
    """
    if not wanted:
        return frozenset()
    names = wanted | frozenset(settings.together)
    unknown = sorted(names - KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise InvalidInput(f"no score is called {', '.join(unknown)}; there are {known}.")
    names |= {"answer_loss"} if "ifd" in names else set()
    names |= {DYNAMICS[name] for name in names & DYNAMICS.keys()}
    names |= {"sketch"} if "unit_sketch" in names else set()
    return names | TOGETHER if names & (TOGETHER | {"sketch"}) else names
