"""Gradients at the start, projected (`goracs.llm.gradient`)."""

from __future__ import annotations

from dataclasses import dataclass

from goracs.features.representation import Representation, Seen, Sides


@dataclass(frozen=True, kw_only=True)
class Sketch(Representation):
    """What the score stage sketched."""

    @property
    def needs(self) -> frozenset[str]:
        """The sketches."""
        return frozenset({"sketch"})

    def raw(self, seen: Seen) -> Sides:
        """As they are."""
        return seen.arrays["sketch"]
