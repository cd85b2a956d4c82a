"""What the configuration says about the surrogate: plain values, no framework imported."""

from __future__ import annotations

from dataclasses import dataclass

from goracs.data.numbers import check_whole, is_number
from goracs.types import InvalidInput


@dataclass(frozen=True)
class Surrogate:
    """A SASRec and how the influence of a row is estimated with it.

    Args:
        name: what messages call it.
        width: of its states, a multiple of `heads`.
        blocks, heads: of its encoder.
        dropout: in training, [0, 1).
        epochs, lr, batch_size: of its training, by Adam.
        seed: of its weights, its training, and the items beside a target.
        depth: steps of the estimate of H^-1 v.
        damp, scale: of those steps (`goracs.surrogate.influence`).
    """

    name: str
    width: int
    blocks: int
    heads: int
    dropout: float
    epochs: int
    lr: float
    batch_size: int
    seed: int
    depth: int
    damp: float
    scale: float

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "heads", "epochs", "batch_size", "depth"):
            check_whole(f"surrogate.{name}", getattr(self, name), 1)
        check_whole("surrogate.seed", self.seed, 0)
        if self.width % self.heads:
            raise InvalidInput(
                f"surrogate.width={self.width} must be a multiple of surrogate.heads={self.heads}."
            )
        for name, value in {"lr": self.lr, "scale": self.scale}.items():
            if not (is_number(value) and value > 0):
                raise InvalidInput(f"surrogate.{name} must be a number > 0, got {value!r}.")
        if not (is_number(self.damp) and self.damp >= 0):
            raise InvalidInput(f"surrogate.damp must be a number >= 0, got {self.damp!r}.")
        if not 0 <= self.dropout < 1:
            raise InvalidInput(f"surrogate.dropout must lie in [0, 1), got {self.dropout!r}.")
