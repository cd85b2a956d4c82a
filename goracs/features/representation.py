"""What a representation is: numbers for each example, made of what earlier stages found, then shaped.

Shaping   first `scale`, then `dim`; both are fitted on the pool alone and applied to both sides.
Scale     none: as it is. unit: every row divided by its norm. standard: every column to mean 0 and deviation
          1 (a constant one to 0). whitened: times (F + k I mean(eigenvalue of F))^(-1/2), F the pool's second
          moment, k = 0.1: directions in which the pool varies much count less.
Reduce    pca: the coordinates on the pool's `dim` first principal axes. random: a Gaussian projection drawn
          with `seed`, which keeps squared distances on average. dim null: no reduction.
Not here  selection, which sees the two matrices only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from goracs.types import Example, FloatArray, IndexArray, InvalidInput

RIDGE = 0.1  # k of whitening: of the mean eigenvalue
CONSTANT = 1e-9  # of a column's size: a smaller deviation is rounding
Sides = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a representation may be made of.

    Args:
        arrays: name -> pool [N, ...] and target [m, ...]: `embedding`, and scores by name.
        labels: of pool [N] and target [m], or None for a task without.
        examples: gives those of pool and target; called by who needs them.
    """

    arrays: Mapping[str, Sides]
    labels: tuple[IndexArray, IndexArray] | None
    examples: Callable[[], tuple[Sequence[Example], Sequence[Example]]]


@dataclass(frozen=True, kw_only=True)
class Representation(ABC):
    """One way to represent examples.

    Args:
        scale: none, unit, standard or whitened.
        dim: how many numbers are left, >= 1; None: as many as there are.
        reduce: how: pca or random.
        seed: of a random projection, >= 0.

    Raises:
        InvalidInput: a dim or seed out of range.
    """

    scale: Literal["none", "unit", "standard", "whitened"]
    dim: int | None
    reduce: Literal["pca", "random"]
    seed: int

    def __post_init__(self) -> None:
        if self.dim is not None and self.dim < 1:
            raise InvalidInput(f"features.dim must be at least 1, or null for no reduction; got {self.dim}.")
        if self.seed < 0:
            raise InvalidInput(f"features.seed must be at least 0, got {self.seed}.")

    @property
    @abstractmethod
    def needs(self) -> frozenset[str]:
        """Names of the arrays it is made of."""

    @abstractmethod
    def raw(self, seen: Seen) -> Sides:
        """Pool [N, d] and target [m, d] before shaping."""

    def represent(self, seen: Seen) -> Sides:
        """Pool [N, d] and target [m, d], float32, shaped.

        Raises:
            InvalidInput: a `dim` above the width, or whatever `raw` refuses.
        """
        raw = self.raw(seen)
        if self.scale == "none" and self.dim is None:
            return raw[0].astype(np.float32, copy=False), raw[1].astype(np.float32, copy=False)
        pool, target = scaled(np.asarray(raw[0], np.float64), np.asarray(raw[1], np.float64), self.scale)
        if self.dim is not None:
            pool, target = reduced(pool, target, self.dim, self.reduce, self.seed)
        return pool.astype(np.float32), target.astype(np.float32)


def scaled(pool: FloatArray, target: FloatArray, scale: str) -> Sides:
    """Both sides [., d] float64, scaled by what the pool says."""
    if scale == "none":
        return pool, target
    if scale == "unit":
        return unit(pool), unit(target)
    if scale == "standard":
        mean, deviation = pool.mean(axis=0), pool.std(axis=0)
        varies = deviation > CONSTANT * np.abs(pool).max(axis=0)
        factor = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
        return (pool - mean) * factor, (target - mean) * factor
    values, axes = np.linalg.eigh(pool.T @ pool / len(pool))
    if not values[-1] > 0:
        return pool, target  # all zero: nothing to whiten
    weight = axes / np.sqrt(np.maximum(values, 0) + RIDGE * values.clip(0).mean())
    return pool @ weight @ axes.T, target @ weight @ axes.T


def reduced(pool: FloatArray, target: FloatArray, dim: int, reduce: str, seed: int) -> Sides:
    """Both sides [., dim] float64.

    Raises:
        InvalidInput: more numbers than there are, or principal axes than the pool has rows.
    """
    width = pool.shape[1]
    most = min(width, len(pool)) if reduce == "pca" else width
    if dim > most:
        raise InvalidInput(
            f"features.dim={dim} by {reduce} is more than the {most} that {len(pool)} pool rows of width "
            f"{width} give: lower it, or set features.dim=null."
        )
    if reduce == "random":
        projection = np.random.default_rng(seed).normal(size=(width, dim)) / np.sqrt(dim)
        return pool @ projection, target @ projection
    mean = pool.mean(axis=0)
    axes = principal_axes(pool - mean, dim)
    return (pool - mean) @ axes, (target - mean) @ axes


def principal_axes(centred: FloatArray, dim: int) -> FloatArray:
    """[d, dim] the first principal axes of centred rows [N, d], each with its largest entry positive."""
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dim]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(dim)]
    return np.asarray(axes * np.where(largest < 0, -1.0, 1.0))


def unit(rows: FloatArray) -> FloatArray:
    """Rows [., d] divided by their norms; a row of zeros stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))
