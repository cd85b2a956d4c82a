"""The settings of a job's LLM with every `auto` as this machine and this backbone have it.

Settled before anything is hashed: a job that says auto has the keys of one that names what auto comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from goracs.llm.settings import AUTO, AdapterSettings, Backbone, PathAdapter, Score
from goracs.stages import adapter


@dataclass(frozen=True)
class Settled:
    """What is asked for is settled then, and not before: where a backbone has to say, its files are needed.

    Args:
        made: the settings objects by their configured name.
        weights: brings the folder of the backbone.
    """

    made: Mapping[str, Any]
    weights: Callable[[], Path]

    @cached_property
    def backbone(self) -> Backbone:
        """With the precision of this machine.

        Raises:
            InvalidInput: something that this machine cannot serve.
        """
        from goracs.llm.available import refuse_no_gpu, refuse_unavailable
        from goracs.llm.precision import resolved_precision

        asked: Backbone = self.made["backbone"]
        accelerator = self.made["runtime"].accelerator
        refuse_no_gpu(accelerator)
        settled = replace(asked, precision=resolved_precision(asked.precision, accelerator))
        refuse_unavailable(settled, accelerator)
        return settled

    @cached_property
    def adapter(self) -> AdapterSettings:
        """With the linears of this backbone."""
        asked: AdapterSettings = self.made["adapter"]
        if isinstance(asked, PathAdapter) or asked.lora.targets != AUTO:
            return asked
        from goracs.llm.targets import chosen_targets

        return replace(asked, lora=replace(asked.lora, targets=chosen_targets(self._outline)))

    @cached_property
    def score(self) -> Score:
        """With a linear that the adapter adapts.

        Raises:
            InvalidInput: none of them is known to hold the values.
        """
        asked: Score = self.made["score"]
        if asked.layer != AUTO:
            return asked
        from goracs.llm.targets import chosen_layer

        return replace(asked, layer=chosen_layer(self._adapted()))

    def _adapted(self) -> frozenset[str]:
        """The names of the linears that the adapter adapts."""
        known = adapter.linears(self.adapter)
        if known is not None:
            return known
        from goracs.llm import targets

        assert not isinstance(self.adapter, PathAdapter)
        return targets.adapted(self._outline, str(self.adapter.lora.targets))

    @cached_property
    def _outline(self) -> Any:
        from goracs.llm.backbone import outline

        return outline(self.weights(), self.backbone)

    @property
    def chosen(self) -> dict[str, str | tuple[str, ...]]:
        """What auto came to on this backbone, by the names of the settings that some stage asked for."""
        chosen: dict[str, str | tuple[str, ...]] = {}
        found, layer = self.__dict__.get("adapter"), self.__dict__.get("score")
        if found is not None and found != self.made["adapter"]:
            chosen["adapter.lora.targets"] = found.lora.targets
        if layer is not None and layer != self.made["score"]:
            chosen["score.layer"] = layer.layer
        return chosen


def sentences(chosen: Mapping[str, str | tuple[str, ...]]) -> tuple[str, ...]:
    """What auto came to, by the names of the settings, in words."""
    named = {name: [value] if isinstance(value, str) else value for name, value in chosen.items()}
    return tuple(f"{name}=auto: {', '.join(values)}" for name, values in named.items())
