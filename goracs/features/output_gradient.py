"""Gradients of the loss with respect to the output over {No, Yes}: forward passes alone give them.

Made of   (p - y) (h, 1) for the chance p of Yes at the start, the label y, the last hidden state h.
Gives     the direction in which an example would move the output layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.features.representation import Representation, Seen, Sides
from goracs.types import FloatArray, IndexArray, InvalidInput


@dataclass(frozen=True, kw_only=True)
class OutputGradient(Representation):
    """The gradient at the answer."""

    @property
    def needs(self) -> frozenset[str]:
        """Hidden states and margins."""
        return frozenset({"hidden", "margin"})

    def raw(self, seen: Seen) -> Sides:
        """Of both sides.

        Raises:
            InvalidInput: a task without labels, or with others than 0 and 1.
        """
        if seen.labels is None:
            raise InvalidInput(
                "features=output_gradient needs a task of two answers: these examples have no labels."
            )
        states, margins = seen.arrays["hidden"], seen.arrays["margin"]
        pool, target = (gradients(*side) for side in zip(states, margins, seen.labels, strict=True))
        return pool, target


def gradients(hidden: FloatArray, margins: FloatArray, labels: IndexArray) -> FloatArray:
    """[N, d + 1] float64 of hidden states [N, d], margins [N] and labels [N] of 0 and 1."""
    if not np.isin(labels, (0, 1)).all():
        raise InvalidInput(
            f"output gradients need the labels 0 and 1, got {np.unique(labels)[:10].tolist()}."
        )
    chance: FloatArray = np.exp(-np.logaddexp(0.0, -np.asarray(margins, np.float64)))
    states: FloatArray = np.column_stack([np.asarray(hidden, np.float64), np.ones(len(hidden))])
    return np.asarray((chance - labels)[:, None] * states, np.float64)
