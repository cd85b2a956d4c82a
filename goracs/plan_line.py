"""What the stages of some jobs will cost, told before minutes are spent: tokens, seconds, memory.

The data are prepared, seen to fit the backbone and tokenised for it, and a few batches of each kind of work
are run (`goracs.llm.preflight`). Stages that are in the store cost nothing, those that two jobs share are
counted once. The seconds of selection are not foretold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goracs.data.tasks import Ctr
from goracs.llm.settings import InitAdapter, PathAdapter, WarmupAdapter, refuse_more_rows
from goracs.pipeline import Line
from goracs.stages import score
from goracs.stages.common import SIDES, Source
from goracs.store import External, Stage, Store

if TYPE_CHECKING:
    from goracs.llm.batch import Texts
    from goracs.llm.preflight import Cost
    from goracs.llm.recommender import Recommender


@dataclass(frozen=True)
class Planned:
    """One stage of a job.

    `name` is its role in the line, `there` whether the store has it, `costs` what it will cost: one entry for
    each part of it that reads texts; none where nothing is foretold.
    """

    name: str
    key: str
    there: bool
    costs: tuple[Cost, ...]


class Preflight:
    """Foretells the stages of jobs; what has been timed for one job is known for the next.

    Raises:
        GoracsError: as the stages that are run for it: data, models' files, prompts that do not fit.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read: dict[tuple[str, str, str], Texts] = {}
        self._costs: dict[tuple[Any, ...], tuple[Cost, ...]] = {}

    def planned(self, line: Line) -> list[Planned]:
        """The stages of a job, in the order in which they run."""
        stages = {name: made for name, made in line.upto(line.last).items() if isinstance(made, Stage)}
        if "fits" in stages:
            self.store.get(stages["fits"])
        if "proxy_fits" in stages:
            self.store.get(stages["proxy_fits"])
        own = _Foretold(self, line)
        foretold = dict.fromkeys(stages, own)
        if line.proxy:
            foretold |= dict.fromkeys(("proxy_adapter", "score"), _Foretold(self, line.proxy))
        return [
            Planned(
                name, stage.key, there, () if there else foretold[name].costs(name.removeprefix("proxy_"))
            )
            for name, stage in stages.items()
            for there in [self.store.has(stage)]
        ]

    @property
    def shortened(self) -> dict[str, tuple[int, int]]:
        """Part -> how many of its prompts will be shortened, of how many."""
        found: dict[str, tuple[int, int]] = {}
        for (*_, part), texts in self.read.items():
            count, of = found.get(part, (0, 0))
            found[part] = (count + texts.shortened, of + len(texts))
        return found

    def once(self, key: tuple[Any, ...], cost: Callable[[], tuple[Cost, ...]]) -> tuple[Cost, ...]:
        """What has been timed under a key, else timed now."""
        if key not in self._costs:
            self._costs[key] = cost()
        return self._costs[key]


class _Foretold:
    """The costs of one job's stages."""

    def __init__(self, known: Preflight, line: Line) -> None:
        self.known, self.line, self.made = known, line, line.made
        self.ways: Mapping[str, Callable[[], tuple[Cost, ...]]] = {
            "embed": self._embed,
            "adapter": self._adapter,
            "score": self._score,
            "states": self._states,
            "finetune": self._finetune,
            "evaluate_untuned": self._evaluate,
            "evaluate_start": self._evaluate,
            "evaluate": self._evaluate,
        }

    def costs(self, name: str) -> tuple[Cost, ...]:
        """Of the stage that plays a role in the line."""
        seen = isinstance(self.line.task, Ctr) and (
            name == "evaluate_start" or (self.line.headed and name == "evaluate")
        )
        fitted = self.line.headed and name == "finetune"
        return () if seen or fitted or name not in self.ways else self.ways[name]()  # made of what is there

    def _once(self, kind: str, *settings: object, cost: Callable[[], tuple[Cost, ...]]) -> tuple[Cost, ...]:
        job = (self.line.prepared.key, self.line.made["backbone"], repr(settings))
        return self.known.once((kind, *job), cost)

    def _embed(self) -> tuple[Cost, ...]:
        encoder, runtime, task = self.made["encoder"], self.line.runtime, self.line.task

        def cost() -> tuple[Cost, ...]:
            from goracs.data.prepare import read_blocks
            from goracs.data.prompts import embedding_texts
            from goracs.llm import embedding, preflight

            files = self._path(self.line.embedded.inputs["weights"])
            module, found = embedding.EmbeddingModule(embedding.load(files)), []
            for side, part in SIDES.items():
                blocks = embedding_texts(read_blocks(self._prepared, part), task.embed_output)
                texts = embedding.read(blocks, files, encoder, side, None)
                found.append(preflight.of_prediction(module, texts, embedding.job(encoder, runtime, side)))
            return tuple(found)

        return self._once("embed", encoder, cost=cost)

    def _adapter(self) -> tuple[Cost, ...]:
        settings = self.line.settled.adapter
        if not isinstance(settings, WarmupAdapter):
            return ()
        refuse_more_rows(settings, len(self._read("train")))
        return self._trained(settings.rows, settings.training)

    def _finetune(self) -> tuple[Cost, ...]:
        settings = self.made["finetune"]
        trained = self._trained(self.line.budget, settings)
        if settings.patience is None:
            return trained
        (look,) = self._predicted("valid", frozenset({"loss"}))
        steps = ceil(trained[0].examples / min(settings.batch_size, self.line.budget))
        return (*trained, replace(look, seconds=look.seconds * min(settings.looks, steps)))

    def _trained(self, count: int, settings: Any) -> tuple[Cost, ...]:
        def cost() -> tuple[Cost, ...]:
            from goracs.llm import preflight

            texts = preflight.typical(self._read("train"), count)
            return (preflight.of_training(self._model(True), self._llm.loss, texts, settings, self._job),)

        return self._once("train", count, settings, self.made["adapter"], cost=cost)

    def _score(self) -> tuple[Cost, ...]:
        names, settings = self.line.scores, self.made["score"]
        passed = names - score.DERIVED
        sides = {"train": passed, "valid": passed & score.OF_BOTH_SIDES}
        found = [cost for part, asked in sides.items() if asked for cost in self._predicted(part, asked)]
        if again := score.followed(names, settings):  # what earlier checkpoints give
            asked_again = {part: asked & again for part, asked in sides.items()}
            once = [
                cost for part, asked in asked_again.items() if asked for cost in self._predicted(part, asked)
            ]
            found += once * (self.made["adapter"].checkpoints - 1)
        return (*found, *(self._alone() if "ifd" in names else ()))

    def _alone(self) -> tuple[Cost, ...]:
        """Of the pass over the answers without their prompts."""

        def cost() -> tuple[Cost, ...]:
            from goracs.llm import gradient, preflight

            module = gradient.module(self._model(), self._llm.loss, None, score.ALONE, self._job.precision)
            alone = self._llm.alone(self._read("train"))
            return (preflight.of_prediction(module, alone, self._job),)

        return self._once("alone", self.made["adapter"], cost=cost)

    def _states(self) -> tuple[Cost, ...]:
        return self._asked(self.made["evaluate"].part, frozenset({"hidden", "margin"}))

    def _asked(self, part: str, names: frozenset[str]) -> tuple[Cost, ...]:
        """Of the pass that asks Yes or No of a part."""

        def cost() -> tuple[Cost, ...]:
            from goracs.llm import gradient, preflight

            module = gradient.module(self._model(), self._llm.pair, None, names, self._job.precision)
            texts = self._read(part).without_answers()
            return (preflight.of_prediction(module, texts, self._job),)

        return self._once("ask", part, sorted(names), self.made["adapter"], cost=cost)

    def _predicted(self, part: str, names: frozenset[str]) -> tuple[Cost, ...]:
        """Of the pass that gives numbers of a part."""
        settings = self.line.settled.score if names & (score.TOGETHER | score.OF_GRADIENTS) else None

        def cost() -> tuple[Cost, ...]:
            from goracs.llm import gradient, preflight

            precision = self._job.precision
            module = gradient.module(self._model(), self._llm.loss, settings, names, precision)
            return (preflight.of_prediction(module, self._read(part), self._job),)

        return self._once("score", part, sorted(names), settings, self.made["adapter"], cost=cost)

    def _evaluate(self) -> tuple[Cost, ...]:
        settings = self.made["evaluate"]
        if isinstance(self.line.task, Ctr):
            return self._asked(settings.part, frozenset({"margin"}))

        def cost() -> tuple[Cost, ...]:
            from goracs.data.prepare import read_catalogue
            from goracs.llm import preflight

            titles = sorted(set(read_catalogue(self._prepared).values()))
            texts = self._read(settings.part)
            return preflight.of_ranking(self._llm, self._model(), texts, titles, settings, self._job)

        return self._once("rank", settings, self.made["adapter"], cost=cost)

    @cached_property
    def _llm(self) -> Recommender:
        inputs = {role: self._path(source) for role, source in self.line.llm.inputs.items()}
        return self.line.llm.open(inputs)

    @property
    def _job(self) -> Any:
        return self._llm.job("preflight", "")

    @property
    def _prepared(self) -> Path:
        return self._path(self.line.prepared)

    def _read(self, part: str) -> Texts:
        """A part as the LLM reads it."""
        key = (self.line.prepared.key, repr(self.made["backbone"]), part)
        if key not in self.known.read:
            self.known.read[key] = self._llm.read_part(part, None)
        return self.known.read[key]

    def _model(self, trainable: bool = False) -> Any:
        """The backbone with the start, where it costs nothing to have, else with a LoRA of its shape."""
        settings = self.line.settled.adapter
        if isinstance(settings, (InitAdapter, PathAdapter)) or self.known.store.has(self.line.start):
            return self._llm.adapted(self._path(self.line.start) / "adapter", trainable)
        model = self._llm.fresh(settings.lora, settings.seed)
        return model if trainable else model.requires_grad_(False).eval()

    def _path(self, source: Source) -> Path:
        return source.path if isinstance(source, External) else self.known.store.get(source).path


def totals(plans: Sequence[Sequence[Planned]]) -> dict[str, list[Planned]]:
    """Role -> the stages of some jobs that play it, each once, in the order of the line."""
    found: dict[str, dict[str, Planned]] = {}
    role: dict[str, str] = {}  # of a stage that plays two, the first has its costs
    for plan in plans:
        for planned in plan:
            first = role.setdefault(planned.key, planned.name)
            once = planned if first == planned.name else replace(planned, costs=())
            found.setdefault(planned.name, {}).setdefault(planned.key, once)
    return {name: list(stages.values()) for name, stages in found.items()}
