"""What a data set is: raw files and the rules that turn their events into samples.

Conventions   ids are strings; `rating` is in the data set's own scale; `time` is in seconds; an event is one
              rating of one item by one user. Rows of `events` keep the order of the raw file: it breaks ties.
Not here      raw formats (a file each, such as `goracs.data.readers.movielens`), the sample rule
              (`goracs.data.samples`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import polars as pl

from goracs.data.numbers import check_scale, check_whole
from goracs.data.samples import Draw
from goracs.data.ties import Ties
from goracs.types import InvalidInput

EXPECTED = ("events", "users", "items", "samples", "liked", "train", "valid", "test")
LEAST = {"history": 1, "min_history": 0, "title_longer_than": 0, "seed": 0}
LEAST_UNLESS_NULL = {"core": 2, "title_max": 1, "size": 1}
Markup = Literal["drop", "keep"]
Duplicates = Literal["keep", "drop", "refuse"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """The content of a data set's raw files.

    Args:
        events: user, item (texts or codes), rating f64, time i64 (seconds); no nulls, finite, in file order;
            and part i64 where parts of a second order events within it.
        items: item str (distinct), title str (null where the file has none), in file order.
        excluded: why -> how many raw lines were left out; each reason names the first of them.
        noted: why -> how many raw lines were read by a guess, or stand in for what is not there.
        timed: False where the files have no time: then `time` is 0 and file order is the order of events.
        rated: False where the files have no ratings: then `rating` is null.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    excluded: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    timed: bool = True
    rated: bool = True


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """A data set and how it is cut into samples; one class below this for each raw format.

    Args:
        name: what tables call it.
        scale: the least and the greatest rating, others are refused; None: any finite number.
        history: h >= 1; the most items that a sample's history holds.
        min_history: samples with fewer history items are dropped; 0 keeps the empty ones; at most h.
        duplicates: what becomes of events that repeat another one exactly (user, item, rating, time): `keep`
            and `drop` are counted, `refuse` stops the run.
        ties: what `split.ties` follows: `file` where the order of the raw file is part of the data.
        core: k >= 2: events of users or items with fewer than k are dropped until none is left; None: no such
            filter.
        title_longer_than: items whose title has no more characters are dropped; blank titles always are.
        title_max: items whose title has more characters are dropped, >= 1; None keeps them.
        title_markup: `drop` drops items whose title holds tags of a page or code (`goracs.data.filters`).
        title_unescape: whether HTML entities in titles become the characters they stand for.
        title_unique: whether of several items with one title only that of the smallest id is kept.
        size: rows of the pool that are drawn from all of its rows, >= 1; None keeps all.
        sample: how they are drawn: uniform, newest, users (whole ones) or half_oldest.
        seed: of that draw, >= 0.
        expected: counts that must come out (`EXPECTED` names them; of parts before `size` draws); None: any.
        notice: the terms of the data, shown where they are used.

    Raises:
        InvalidInput: a number outside these bounds.
    """

    files: ClassVar[tuple[str, ...]]  # the fields that name files or folders: they enter a run by content

    name: str
    scale: Sequence[float] | None
    history: int
    min_history: int
    duplicates: Duplicates
    ties: Ties
    core: int | None
    title_longer_than: int
    title_max: int | None
    title_markup: Markup
    title_unescape: bool
    title_unique: bool
    size: int | None
    sample: Draw
    seed: int
    expected: Mapping[str, int] | None
    notice: str

    def __post_init__(self) -> None:
        check_scale(self.scale)
        for name, least in LEAST.items():
            check_whole(f"dataset.{name}", getattr(self, name), least)
        for name, least in LEAST_UNLESS_NULL.items():
            if getattr(self, name) is not None:
                check_whole(f"dataset.{name} (or null)", getattr(self, name), least)
        if self.min_history > self.history:
            raise InvalidInput(
                f"dataset.min_history must lie in 0..dataset.history (here {self.history}), "
                f"got {self.min_history}."
            )
        _check_expected(self.expected)

    @abstractmethod
    def digests(self) -> Mapping[str, str]:
        """What each raw file is -> sha256 (hex) of its bytes; no paths, no file names."""

    @abstractmethod
    def read(self) -> Interactions:
        """The events and the catalogue."""


def _check_expected(expected: Any) -> None:
    if not isinstance(expected, Mapping | None):
        raise InvalidInput(f"dataset.expected must be counts by name, or null; got {expected!r}.")
    unknown = sorted(set(expected or {}) - set(EXPECTED))
    if unknown:
        raise InvalidInput(
            f"dataset.expected has no {', '.join(unknown)}; it may have {', '.join(EXPECTED)}."
        )
    for name, count in (expected or {}).items():
        check_whole(f"dataset.expected.{name}", count, 0)
