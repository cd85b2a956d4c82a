"""Last hidden states of the LLM at the start: at the answer, or the mean over the tokens of a text answer."""

from __future__ import annotations

from dataclasses import dataclass

from goracs.features.representation import Representation, Seen, Sides


@dataclass(frozen=True, kw_only=True)
class Hidden(Representation):
    """What the output layer saw."""

    @property
    def needs(self) -> frozenset[str]:
        """The hidden states."""
        return frozenset({"hidden"})

    def raw(self, seen: Seen) -> Sides:
        """As they are."""
        return seen.arrays["hidden"]
