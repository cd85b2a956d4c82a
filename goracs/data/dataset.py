"""What a data set is: raw files and the rules that turn their events into samples.

Conventions   ids are strings; `rating` is in the data set's own scale; `time` is in seconds; an event is one
              rating of one item by one user. Rows of `events` keep the order of the raw file: it breaks ties.
Not here      raw formats (a file each, such as `goracs.data.readers.movielens`), the sample rule
              (`goracs.data.samples`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import polars as pl

from goracs.data.samples import Draw, Ties
from goracs.types import InvalidInput

Duplicates = Literal["keep", "drop", "refuse"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """The content of a data set's raw files.

    Args:
        events: user str, item str, rating f64, time i64 (seconds); no nulls, finite, in file order.
        items: item str (distinct), title str (null where the file has none), in file order.
        excluded: why -> how many raw lines were left out; each reason names the first of them.
        noted: why -> how many raw lines were read by a guess, or stand in for what is not there.
        timed: False where the files have no time: then `time` is 0 and file order is the order of events.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    excluded: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    timed: bool = True


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """A data set and how it is cut into samples; one class below this for each raw format.

    Args:
        name: what tables call it.
        history: h >= 1; the most items that a sample's history holds.
        min_history: samples with fewer history items are dropped; 0 keeps the empty ones; at most h.
        duplicates: what becomes of events that repeat another one exactly (user, item, rating, time): `keep`
            and `drop` are counted, `refuse` stops the run.
        ties: what `split.ties` follows: `file` where the order of the raw file is part of the data.
        core: k >= 2: events of users or items with fewer than k are dropped until none is left; None: no such
            filter.
        title_longer_than: items whose title has no more characters are dropped; blank titles always are.
        title_unescape: whether HTML entities in titles become the characters they stand for.
        title_unique: whether of several items with one title only that of the smallest id is kept.
        size: rows of the pool that are drawn from all of its rows, >= 1; None keeps all.
        sample: how they are drawn: uniform, newest, or users (whole ones).
        seed: of that draw, >= 0.
        expected: counts that must come out (`goracs.data.statistics.EXPECTED` names them); None: no check.
        notice: the terms of the data, shown where they are used.

    Raises:
        InvalidInput: a number outside these bounds.
    """

    files: ClassVar[tuple[str, ...]]  # the fields that name files or folders: they enter a run by content

    name: str
    history: int
    min_history: int
    duplicates: Duplicates
    ties: Ties
    core: int | None
    title_longer_than: int
    title_unescape: bool
    title_unique: bool
    size: int | None
    sample: Draw
    seed: int
    expected: Mapping[str, int] | None
    notice: str

    def __post_init__(self) -> None:
        if self.history < 1:
            raise InvalidInput(f"dataset.history must be at least 1, got {self.history}.")
        if not 0 <= self.min_history <= self.history:
            raise InvalidInput(
                f"dataset.min_history must lie in 0..dataset.history (here {self.history}), "
                f"got {self.min_history}."
            )
        for name, least in (("core", 2), ("title_longer_than", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidInput(f"dataset.{name} must be at least {least}, got {value}.")
        if self.size is not None and self.size < 1:
            raise InvalidInput(
                f"dataset.size must be at least 1, or null for the whole pool; got {self.size}."
            )
        if self.seed < 0:
            raise InvalidInput(f"dataset.seed must be at least 0, got {self.seed}.")

    @abstractmethod
    def digests(self) -> Mapping[str, str]:
        """What each raw file is -> sha256 (hex) of its bytes; no paths, no file names."""

    @abstractmethod
    def read(self) -> Interactions:
        """The events and the catalogue."""
