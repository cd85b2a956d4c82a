"""Bags of items, no neural net: which items a prompt shows, and whether they were liked.

Columns   an item has one for being liked in a history, one for being disliked there, one for being asked for.
          Only columns that both the pool and the validation set could share are kept: those that occur twice.
Weight    1 / sqrt(number of the row's columns): the squared norm of every row is 1, so long histories do not
          lie farther from everything than short ones.
Memory    the columns are projected to `width` numbers while the rows are read (Gaussian, by `seed`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from goracs.features.representation import Representation, Seen, Sides
from goracs.types import Example, FloatArray, InvalidInput

Column = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Bag(Representation):
    """The items of an example.

    Args:
        width: numbers that the columns are projected to, >= 1; None keeps a number for every column.
    """

    width: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width is not None and self.width < 1:
            raise InvalidInput(f"features.width must be at least 1, or null; got {self.width}.")

    @property
    def needs(self) -> frozenset[str]:
        """Nothing but the examples."""
        return frozenset()

    def raw(self, seen: Seen) -> Sides:
        """Both sides.

        Raises:
            InvalidInput: examples that name no items.
        """
        pool, target = seen.examples()
        counts = Counter(column for example in (*pool, *target) for column in columns_of(example))
        known = {column: place for place, column in enumerate(sorted(c for c, n in counts.items() if n > 1))}
        if not known:
            raise InvalidInput("features=bag needs examples that name items: no item occurs in two of them.")
        basis = self._basis(len(known))
        return _bags(pool, known, basis), _bags(target, known, basis)

    def _basis(self, count: int) -> FloatArray:
        if self.width is None or self.width >= count:
            return np.eye(count)
        drawn = np.random.default_rng([self.seed, 1]).normal(size=(count, self.width))
        return np.asarray(drawn / np.sqrt(self.width))


def columns_of(example: Example) -> Iterator[Column]:
    """The columns that an example has."""
    for item, liked in zip(example.history, example.history_liked, strict=True):
        yield ("liked" if liked else "disliked", item)
    if example.item:
        yield ("asked", example.item)


def _bags(examples: Sequence[Example], known: dict[Column, int], basis: FloatArray) -> FloatArray:
    found = np.zeros((len(examples), basis.shape[1]))
    for row, example in enumerate(examples):
        places = [known[column] for column in columns_of(example) if column in known]
        if places:
            found[row] = basis[places].sum(axis=0) / np.sqrt(len(places))
    return found
