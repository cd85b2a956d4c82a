"""Sentence embeddings of the prompts, by the encoder."""

from __future__ import annotations

from dataclasses import dataclass

from goracs.features.representation import Representation, Seen, Sides


@dataclass(frozen=True, kw_only=True)
class Embedding(Representation):
    """What the embed stage made."""

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings."""
        return frozenset({"embedding"})

    def raw(self, seen: Seen) -> Sides:
        """As they are."""
        return seen.arrays["embedding"]
