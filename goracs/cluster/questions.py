"""What workers are asked of a shard: figures that are exact there, so that those of all shards merge exactly.

Rows       are told as rows of the pool; ties go to the smaller one.
Limit      what is known to be no better than that need not be told: it saves work and words, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from goracs.cluster.shards import Held, open_shard
from goracs.ot.cheapest import Shape
from goracs.ot.distance import largest_distance
from goracs.search.lazily import Keys, Lazy
from goracs.types import FloatArray, IndexArray


class Question(Protocol):
    """One that is answered shard by shard."""

    def of(self, held: Held) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Largest:
    """The largest distance to the target."""

    def of(self, held: Held) -> float:  # noqa: D102
        return largest_distance(held.pool.features, held.pool.target)


@dataclass(frozen=True)
class Low:
    """The smallest cost."""

    def of(self, held: Held) -> float:  # noqa: D102
        return held.pool.low


@dataclass(frozen=True, eq=False)
class Cheapest:
    """The `count` rows of smallest rho at prices [m] as far as it is not above `limit`, and their rho."""

    prices: FloatArray
    spread: Shape
    count: int
    limit: float

    def of(self, held: Held) -> tuple[IndexArray, FloatArray]:  # noqa: D102
        prices = self.prices.copy()  # Ray's are read-only, which is another type to a kernel
        rows, found = held.pool.cheapest(prices, self.spread, self.count, self.limit)
        return held.rows[rows], found


@dataclass(frozen=True, eq=False)
class Likely:
    """The rows whose rho at prices [m] could be no more than `most`."""

    prices: FloatArray
    spread: Shape
    most: float

    def of(self, held: Held) -> IndexArray:  # noqa: D102
        return held.rows[held.pool.likely(self.prices.copy(), self.spread, self.most)]


@dataclass(frozen=True, eq=False)
class Next:
    """The row of smallest key and its key, where it is not above `limit`; else -1 and a bound of the key.

    And what no key of the shard will be below: an exact key may lie above later ones, by rounding.
    `start` names the start that asks; `picked` [k] int64 are its picks so far, which are left out.
    """

    start: str
    keys: Keys
    picked: IndexArray
    limit: float

    def of(self, held: Held) -> tuple[int, float, float]:  # noqa: D102
        if self.start not in held.lazy:
            held.lazy = {self.start: Lazy(held.pool)}
        lazy = held.lazy[self.start]
        lazy.grown()
        places = np.minimum(np.searchsorted(held.rows, self.picked), len(held.rows) - 1)
        lazy.below[places[held.rows[places] == self.picked]] = np.inf
        row, key = lazy.smallest(self.keys, self.limit)
        lazy.grown()
        return (row if row < 0 else int(held.rows[row])), key, float(lazy.below.min())


@dataclass(frozen=True, eq=False)
class OfPart:
    """What a method of `goracs.ot.part.Part` finds of the shard."""

    figure: Callable[..., Any]
    args: tuple[Any, ...]

    def of(self, held: Held) -> Any:  # noqa: D102
        args = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in self.args]  # as in Cheapest
        return self.figure(held.part, *args)


class Worker:
    """One of the workers: it keeps the shards open that it was asked about, of one pool."""

    def __init__(self) -> None:
        self.folder, self.held = "", dict[int, Held]()

    def answers(self, folder: str, numbers: Sequence[int], question: Question) -> list[Any]:
        """What it finds in each of these shards of the pool that is laid out in a folder."""
        if folder != self.folder:
            self.folder, self.held = folder, {}
        for number in numbers:
            if number not in self.held:
                self.held[number] = open_shard(Path(folder), number)
        return [question.of(self.held[number]) for number in numbers]
