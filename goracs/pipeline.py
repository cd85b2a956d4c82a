"""The line: from a configuration to its result, one stage after the other.

It describes the stages of a job and computes nothing; the store brings them (`goracs.commands.run` asks it).
A job is finished when the store holds its `result`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from goracs.data.prepare import PARTS
from goracs.data.readers.alpaca import Prompts
from goracs.data.tasks import Ctr
from goracs.features.representation import Representation
from goracs.llm.settings import Evaluate, Head, InitAdapter, PathAdapter, WarmupAdapter
from goracs.selection.full import Full
from goracs.stages import (
    adapter,
    assess,
    embed,
    evaluate,
    evaluate_states,
    features,
    finetune,
    fits,
    head,
    influence,
    item_rule,
    prepare,
    result,
    rule,
    score,
    select,
    states,
    weights,
)
from goracs.stages.common import Llm, Source
from goracs.stages.influence import INFLUENCE
from goracs.stages.result import METRICS_OF, RULES_OF_ITEMS, Told
from goracs.stages.settled import Settled
from goracs.store import Stage, Store
from goracs.types import InvalidInput, Selector, refuse_budget, resolve_budget

LINE = ("prepare", "embed", "adapter", "score", "select", "finetune", "evaluate")
SEEN = {
    "embed": "embedded",
    "score": "scored",
    INFLUENCE: "influenced",
    "features": "represented",
}  # by a selector


@dataclass(frozen=True)
class Job:
    """One configured run.

    `made` holds the settings objects and scalars by their configured name, `config` as plain values all that
    may change the result, `selector_name` the file chosen from conf/selector, `command` what a user would
    type for this job alone.
    """

    made: Mapping[str, Any]
    config: Mapping[str, Any]
    selector_name: str
    command: str


class Line:
    """The stages of a job, described when they are first asked for: no model is looked for in vain."""

    def __init__(self, job: Job, store: Store) -> None:
        self.job, self.store, self.made = job, store, job.made
        self.task, self.runtime = self.made["task"], self.made["runtime"]
        self.settled = Settled(self.made, lambda: store.folder(self.files))
        self.unranked: tuple[str, ...] = ()
        if not _is_whole(self.made["seed"]):
            raise InvalidInput(f"seed must be a whole number >= 0, got {self.made['seed']!r}.")
        refuse_budget(self.made["budget"])
        if not isinstance(self.made["assess"], bool):
            raise InvalidInput(f"assess must be true or false, got {self.made['assess']!r}.")
        if self.headed and not isinstance(self.task, Ctr):
            raise InvalidInput(
                "finetune=head fits the output over the answers Yes and No, and this task's answers are "
                "texts: take finetune=default, or task=ctr."
            )
        if not isinstance(self.task, Ctr) and not isinstance(self.made["dataset"], Prompts):
            self._refuse_classes()
        if self.proxy:
            self._refuse_proxy()

    def upto(self, last: str) -> dict[str, Source]:
        """The stages up to `last` that somebody needs, in the order in which they run."""
        wanted = LINE[: LINE.index(last) + 1]
        used = {last}
        if "select" in wanted:
            used = self._roles(self.asked)
        line: dict[str, Source] = {"prepare": self.prepared}
        if "finetune" in wanted or used & self._read_by_llm:
            line["fits"] = self._fits(self._reads_validation("finetune" in wanted), "evaluate" in wanted)
            line["adapter"] = self.start
        if self.proxy and "score" in used:
            line["proxy_fits"] = self.proxy._fits(self.proxy._reads_validation(False), False)
            line["proxy_adapter"] = self.proxy.start
        line |= {name: getattr(self, described) for name, described in SEEN.items() if name in used}
        if "select" in wanted:
            line |= {"select": self.selected, **self.assessed}
        if "finetune" in wanted:
            line["finetune"] = self.tuned
        return line | (self.evaluations if "evaluate" in wanted else {})

    @cached_property
    def proxy(self) -> Line | None:
        """The same line of the LLM that is asked in the backbone's place before the selection, if any."""
        if "proxy" not in self.made:
            return None
        made = {name: value for name, value in self.made.items() if name != "proxy"}
        return Line(replace(self.job, made={**made, "backbone": self.made["proxy"]}), self.store)

    def _refuse_classes(self) -> None:
        if asked := self.made["selector"].by_class:
            raise InvalidInput(
                f"selector.by_class={str(asked).lower()} splits the problem by label, and next items have "
                "none: take selector.by_class=false, or task=ctr."
            )

    def _refuse_proxy(self) -> None:
        if self.headed:
            raise InvalidInput(
                "finetune=head is fitted on the hidden states that the selection's pass leaves, and with "
                "backbone@proxy these are the proxy's: take finetune=default."
            )
        if isinstance(self.made["adapter"], PathAdapter):
            raise InvalidInput(
                "adapter=path is trained for one backbone, and backbone@proxy asks another as well: take "
                "adapter=warmup or init, which make one for each."
            )

    @property
    def _read_by_llm(self) -> set[str]:
        """The stages before the selection that ask this LLM, not its proxy."""
        return {"adapter"} if self.proxy else {"adapter", "score"}

    @property
    def headed(self) -> bool:
        """Whether a head takes the place of the fine-tune."""
        return isinstance(self.made["finetune"], Head)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The job's configuration with what depends on the machine or the method resolved."""
        config = dict(self.job.config)
        if "llm" in self.__dict__:  # asked for by some stage
            config["backbone"] = {**config["backbone"], "precision": self.llm.backbone.precision}
        if self.proxy and "llm" in self.proxy.__dict__:
            config["proxy"] = {**config["proxy"], "precision": self.proxy.llm.backbone.precision}
        if isinstance(self.made["selector"], Full):
            config["budget"] = "all"
        return config

    @cached_property
    def prepared(self) -> Stage:
        """Examples."""
        return prepare.stage(self.made["dataset"], self.made["split"], self.task)

    def _reads_validation(self, tuned: bool) -> bool:
        """Whether the LLM reads the validation set: for its scores, or to end a fine-tune early."""
        stops = tuned and not self.headed and self.made["finetune"].patience is not None
        return stops or bool(not self.proxy and self.scores & score.OF_BOTH_SIDES)

    def _fits(self, validated: bool, evaluated: bool) -> Stage:
        """That every prompt the LLM will read fits, and that targets can be ranked, where they are."""
        settings: Evaluate = self.made["evaluate"]
        read = {"train", *(["valid"] if validated else []), *([settings.part] if evaluated else [])}
        ranking = settings if evaluated and not isinstance(self.task, Ctr) else None
        return fits.stage(self.llm, [part for part in PARTS if part in read], ranking)

    @cached_property
    def models(self) -> dict[str, Source]:
        """The files of every model the line needs: looked for, and missed, all at once before any stage.

        Raises:
            GoracsError: models are missing, or a given adapter.
        """
        used = {self.last}
        if LINE.index(self.last) >= LINE.index("select"):
            used |= self._roles(self.asked)
        asked = {self.made["encoder"].model} if "embed" in used else set()
        if used & {*self._read_by_llm, "finetune", "evaluate"}:
            adapter.look(self.made["adapter"])
            asked.add(self.made["backbone"].model)
        if self.proxy and "score" in used:
            asked.add(self.made["proxy"].model)
        return weights.stages(asked)

    @cached_property
    def files(self) -> Source:
        """The backbone's weights and tokenizer."""
        return self._files(self.made["backbone"].model)

    def _files(self, model: str) -> Source:
        return self.models.get(model) or weights.stage(model)

    @cached_property
    def llm(self) -> Llm:
        """What every LLM stage starts from."""
        backbone = self.settled.backbone
        return Llm(self.prepared, self.files, backbone, self.task, self.runtime, self.made["cluster"])

    @cached_property
    def embedded(self) -> Stage:
        """Features from the sentence encoder."""
        encoder = self.made["encoder"]
        files, cluster = self._files(encoder.model), self.made["cluster"]
        return embed.stage(self.prepared, files, encoder, self.task, self.runtime, cluster)

    @cached_property
    def start(self) -> Stage:
        """The initial adapter."""
        return adapter.stage(self.llm, self.settled.adapter)

    @cached_property
    def scored(self) -> Stage:
        """Numbers from one pass of the LLM, or of its proxy."""
        return (self.proxy or self).scoring(self._scores(self.asked))

    def scoring(self, wanted: frozenset[str]) -> Stage:
        """The pass that computes these numbers."""
        asked = self.made["score"]
        settings = self.settled.score if score.takes_gradients(wanted, asked) else asked
        start = self.settled.adapter
        if not (isinstance(start, WarmupAdapter) and start.checkpoints > 1):
            _refuse_course(asked.course, score.named(wanted, asked) & score.DYNAMICS.keys())
        return score.stage(self.llm, self.start, adapter.linears(start), settings, wanted)

    @property
    def scores(self) -> frozenset[str]:
        """The names of all numbers that are computed."""
        return score.named(self._scores(self.asked), self.made["score"])

    @cached_property
    def influenced(self) -> Stage:
        """The influence of each row, by a surrogate."""
        return influence.stage(self.prepared, self.made["surrogate"], self.runtime)

    @cached_property
    def represented(self) -> Stage:
        """What distances are taken on."""
        representation: Representation = self.made["features"]
        inputs: dict[str, Stage] = {"prepare": self.prepared}
        if features.EMBEDDING in representation.needs:
            inputs["embed"] = self.embedded
        if features.scores_of(representation):
            inputs["score"] = self.scored
        return features.stage(inputs, representation)

    @cached_property
    def asked(self) -> Set[str]:
        """What the selector reads, what the figures of its coreset take where they are wanted, and a head.

        A run that ends with its coreset asks for a head's part only where it scores anyway: its coreset then
        has the key under which a run that goes on looks for it.
        """
        selector: Selector = self.made["selector"]
        needs = selector.needs | assess.NEEDS if self.made["assess"] else selector.needs
        headed = self.headed and (self.last != "select" or self._scores(needs))
        return needs | head.NEEDS if headed else needs

    def _scores(self, needs: Set[str]) -> frozenset[str]:
        """The names of scores among needs, those of which the features are made too."""
        own = features.scores_of(self.made["features"]) if "features" in needs else frozenset()
        return frozenset(needs - {"features", INFLUENCE}) | own

    def _roles(self, needs: Set[str]) -> set[str]:
        """The names of the stages that give features or the named scores, and no others."""
        roles = {"prepare"} | ({"score"} if self._scores(needs) else set()) | (needs & {INFLUENCE})
        if "features" in needs:
            roles |= {"features"}
            roles |= {"embed"} if features.EMBEDDING in self.made["features"].needs else set()
        return roles

    def _inputs(self, needs: Set[str]) -> dict[str, Stage]:
        """Those stages, described."""
        roles = self._roles(needs)
        inputs = {"prepare": self.prepared}
        if "features" in roles:
            inputs["features"] = self.represented
        if needs - {"features", INFLUENCE}:
            inputs["score"] = self.scored
        if INFLUENCE in roles:
            inputs[INFLUENCE] = self.influenced
        return inputs

    @cached_property
    def budget(self) -> int:
        """Rows of the coreset; the data are prepared for it, since a share needs the pool's size."""
        folder = self.store.get(self.prepared).path
        pool = json.loads((folder / "statistics.json").read_text())["splits"]["train"]["samples"]
        return resolve_budget("all" if isinstance(self.made["selector"], Full) else self.made["budget"], pool)

    @cached_property
    def selected(self) -> Stage:
        """The coreset."""
        selector: Selector = self.made["selector"]
        inputs = self._inputs(selector.needs)
        made = self.made
        return select.stage(inputs, selector, self.budget, made["seed"], self.runtime, made["cluster"])

    @cached_property
    def assessed(self) -> dict[str, Stage]:
        """The figures of the coreset: where they are asked for, or their inputs are there anyway."""
        there = self.scores | (self.asked & {"features"})
        if not there >= assess.NEEDS:
            return {}
        inputs = self._inputs(assess.NEEDS)
        weight = assess.lam(self.task.lam)
        return {"assess": assess.stage(inputs["features"], inputs["score"], self.selected, weight)}

    @cached_property
    def tuned(self) -> Stage:
        """The adapter trained on the coreset, or the head fitted on it."""
        if self.headed:
            return head.stage(self.prepared, self.scored, self.selected, self.made["finetune"])
        return finetune.stage(self.llm, self.start, self.selected, self.made["finetune"], self.made["seed"])

    @cached_property
    def evaluations(self) -> dict[str, Source]:
        """The backbone untuned, with the initial adapter and tuned, and the rules of the task."""
        if isinstance(self.made["dataset"], Prompts) and not isinstance(self.task, Ctr):
            raise InvalidInput(
                "ready prompts name no items to rank (dataset=prompts): stop at until=finetune, or take "
                "task=ctr for answers of Yes and No; next-item evaluation needs a data set of interactions."
            )
        # a fresh LoRA has B = 0 and answers as the backbone does
        start = None if isinstance(self.made["adapter"], InitAdapter) else self.start
        seen = isinstance(self.task, Ctr) and (self.headed or start)
        line: dict[str, Source] = {"states": self.states} if seen else {}
        for part, source in {"untuned": None, "start": start, "tuned": self.tuned}.items():
            line[METRICS_OF[part]] = self._evaluated(source)
        return line | self._ruled

    @property
    def _ruled(self) -> dict[str, Source]:
        """The rules that need no LLM; ready prompts show no history whose likes could be counted."""
        settings: Evaluate = self.made["evaluate"]
        if not isinstance(self.task, Ctr):
            return {name: item_rule.stage(self.prepared, settings, name) for name in RULES_OF_ITEMS}
        ready = isinstance(self.made["dataset"], Prompts)
        return {} if ready else {"rule": rule.stage(self.prepared, settings)}

    @cached_property
    def states(self) -> Stage:
        """What the start makes of the rows that judge: a head reads it, and the start's own figures."""
        return states.stage(self.llm, self.start, self.made["evaluate"].part)

    def _evaluated(self, source: Stage | None) -> Stage:
        """The figures of the backbone untuned (None), the initial adapter, or what was tuned."""
        settings: Evaluate = self.made["evaluate"]
        if source is self.start and isinstance(self.task, Ctr):
            return evaluate_states.stage(self.prepared, self.states, None, settings)
        if source is self.tuned and self.headed:
            return evaluate_states.stage(self.prepared, self.states, self.tuned, settings)
        return evaluate.stage(self.llm, source, settings)

    @cached_property
    def last(self) -> str:
        """The stage to stop after.

        Raises:
            InvalidInput: an `until` that is no stage.
        """
        last: str = LINE[-1] if self.made["until"] is None else self.made["until"]
        if last not in LINE:
            raise InvalidInput(f"until must be one of {', '.join(LINE)}, or null for all; got {last!r}.")
        return last

    @cached_property
    def result(self) -> Stage:
        """What the job leaves."""
        _ = self.models
        inputs = self.upto(self.last)
        digests = {name: source.key for name, source in inputs.items()}
        if "finetune" in inputs:
            digests["weights"] = self.files.key
        if self.proxy and "score" in inputs:
            digests["proxy_weights"] = self.proxy.files.key
        return result.stage(self.told, inputs, digests, self.made["dataset"].files)

    def look(self) -> None:
        """See what of the examples is left out of ranking, before anything long begins; cached or not."""
        line = self.upto(self.last)
        if "evaluate" in line and not isinstance(self.task, Ctr):
            self.unranked = fits.doubts(self.store.folder(line["fits"]), self.made["evaluate"])

    @property
    def chosen(self) -> dict[str, str | tuple[str, ...]]:
        """What `auto` came to on the backbone, and on its proxy, by the name of the setting."""
        of_proxy = self.proxy.settled.chosen if self.proxy else {}
        return {**self.settled.chosen, **{f"proxy {name}": value for name, value in of_proxy.items()}}

    @property
    def told(self) -> Told:
        """What result.json says of the job; complete once its stages are described and `look` has looked."""
        made, asked = self.made, self.__dict__
        doubts = adapter.doubts(made["adapter"], made["backbone"].model) if "start" in asked else ()
        return Told(
            config=self.config,
            command=self.job.command,
            seed=made["seed"],
            selector=self.job.selector_name,
            budget_asked=made["budget"],
            budget=self.budget if "selected" in asked else None,
            precision=self.llm.backbone.exactness if "llm" in asked else None,
            warnings=(*doubts, *self.unranked),
            chosen=self.chosen,
        )


def _refuse_course(gradients: bool, dynamics: Set[str]) -> None:
    """Raise InvalidInput where something is to be taken at the checkpoints of a start that has none."""
    told = [", ".join(sorted(dynamics)) + " are taken"] if dynamics else []
    told += ["score.course=true takes gradients"] if gradients else []
    if told:
        raise InvalidInput(
            f"{told[0]} along a warm-up: take adapter=warmup, and adapter.checkpoints of at least 2."
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
