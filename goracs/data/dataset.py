"""What a data set is: a reader of raw files and the rules that turn its events into samples.

Conventions   ids are strings; `rating` is in the data set's own scale; `time` is in seconds; an event is one
              rating of one item by one user. Rows of `events` keep the order of the raw file: it breaks ties.
Not here      raw formats (`goracs.data.movielens`), the sample rule (`goracs.data.samples`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from goracs.types import InvalidInput


@dataclass(frozen=True, eq=False)
class Interactions:
    """The content of a data set's raw files.

    Args:
        events: user str, item str, rating f64, time i64 (seconds); no nulls, finite, in file order.
        items: item str (distinct), title str (null where the file has none), in file order.
    """

    events: pl.DataFrame
    items: pl.DataFrame


class Reader(Protocol):
    """One raw format. Its fields are its parameters; raw files enter a run by digest, not path."""

    def digests(self) -> Mapping[str, str]:
        """File name -> sha256 (hex) of every raw file that `read` looks at."""

    def read(self) -> Interactions:
        """The events and the catalogue."""


@dataclass(frozen=True)
class Dataset:
    """A data set and how it is cut into samples.

    Args:
        name: what tables call it.
        reader: of the raw files.
        history: h >= 1; the most items that a sample's history holds.
        min_history: samples with fewer history items are dropped; 0 keeps the empty ones; at most h.
        size: rows of the pool that are drawn from all of its rows, >= 1; None keeps all.
        seed: of that draw, >= 0.
        notice: the terms of the data, shown where they are used.

    Raises:
        InvalidInput: a number outside these bounds.
    """

    name: str
    reader: Reader
    history: int
    min_history: int
    size: int | None
    seed: int
    notice: str

    def __post_init__(self) -> None:
        if self.history < 1:
            raise InvalidInput(f"dataset.history must be at least 1, got {self.history}.")
        if not 0 <= self.min_history <= self.history:
            raise InvalidInput(
                f"dataset.min_history must lie in 0..dataset.history (here {self.history}), "
                f"got {self.min_history}."
            )
        if self.size is not None and self.size < 1:
            raise InvalidInput(
                f"dataset.size must be at least 1, or null for the whole pool; got {self.size}."
            )
        if self.seed < 0:
            raise InvalidInput(f"dataset.seed must be at least 0, got {self.seed}.")
