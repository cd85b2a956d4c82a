"""Figures of the chances of all tokens [K, V] and the token that was right [K]: pure functions to [K].

el2n        norm of (chance - one-hot of the token); Paul et al. 2021.
entropy     nats; how undecided the model is, whatever was right.
confidence  the largest chance; least confidence takes the smallest of these.
lead        the largest chance less the second largest; margin sampling takes the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Figure = Callable[[Tensor, Tensor], Tensor]


def el2n(chance: Tensor, token: Tensor) -> Tensor:
    """||p - e||, of the difference itself: from the squares it would be lost to rounding near 0."""
    mine = token.unsqueeze(1)
    return chance.scatter_add(1, mine, -torch.ones_like(mine, dtype=chance.dtype)).norm(dim=1)


def entropy(chance: Tensor, _token: Tensor) -> Tensor:
    """- sum p log p."""
    return torch.special.entr(chance).sum(1)


def confidence(chance: Tensor, _token: Tensor) -> Tensor:
    """max p."""
    return chance.amax(1)


def lead(chance: Tensor, _token: Tensor) -> Tensor:
    """max p less the second largest."""
    first, second = chance.topk(2, dim=1).values.unbind(1)
    return first - second


FIGURES: Mapping[str, Figure] = {"el2n": el2n, "entropy": entropy, "confidence": confidence, "lead": lead}
