"""Which samples are the pool (train), which the validation set, which the test set.

Conventions   samples come in time order and every part keeps it. A share f of N means floor(f N + .5).
In common     `ties` and `ties_seed` order the events (`goracs.data.ties`), `every_event` says which of these
              are targets (`goracs.data.samples`); `seed` is of what a split draws: `Paper` and `Dates` draw
              nothing.
Source        `Paper` is the chronological split of GORACS (docs/data.md); `Users` spreads both
              evaluation sets over users, since a few heavy users fill the end of the time line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from goracs.data.numbers import check_amount, check_whole, is_number
from goracs.data.ties import Ties
from goracs.types import InvalidInput


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint parts of one table of samples, each in its order; every part has at least one row."""

    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame


class Splitter(Protocol):
    """A rule that assigns samples to parts; its fields are its parameters."""

    @property
    def ties(self) -> Ties: ...  # noqa: D102

    @property
    def ties_seed(self) -> int: ...  # noqa: D102

    @property
    def every_event(self) -> bool: ...  # noqa: D102

    def assign(self, samples: pl.DataFrame) -> Split:
        """The parts of `samples` (in time order); InvalidInput if one would be empty."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What every split has.

    Args:
        seed: of all its draws, >= 0.
        ties: `hash` or `file`: which of two events at one time comes first.
        ties_seed: of that hash, >= 0.
        every_event: whether every event but a user's first is a target.

    Raises:
        InvalidInput: a seed that is no whole number >= 0.
    """

    seed: int
    ties: Ties
    ties_seed: int
    every_event: bool

    def __post_init__(self) -> None:
        check_whole("split.seed", self.seed, 0)
        check_whole("split.ties_seed", self.ties_seed, 0)


@dataclass(frozen=True, kw_only=True)
class Paper(Rules):
    """The last block of samples is the test set, the one before it the validation set, the rest the pool.

    Args:
        valid: a count >= 1, or a share of all samples in (0, 1).
        test: likewise.

    Raises:
        InvalidInput: neither a count nor a share.
    """

    valid: float
    test: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_amounts(self.valid, self.test)

    def assign(self, samples: pl.DataFrame) -> Split:
        """The three blocks.

        Raises:
            InvalidInput: an empty block, or no sample left for the pool.
        """
        valid = _resolved("split.valid", self.valid, len(samples))
        test = _resolved("split.test", self.test, len(samples))
        train = len(samples) - valid - test
        if train < 1:
            raise InvalidInput(
                f"split.valid ({valid} samples) and split.test ({test}) leave nothing for the pool: "
                f"the data set has {len(samples)} samples."
            )
        return Split(samples[:train], samples[train : train + valid], samples[train + valid :])


@dataclass(frozen=True, kw_only=True)
class Users(Rules):
    """The first samples are the pool; validation and test are drawn over disjoint users from the rest.

    Of the rest at most `per_user` samples of each user are drawn uniformly. The users, in random order, are
    dealt to validation or test with odds valid : test until a side has its count (its last user is cut to
    hit it, at random too); from there on they go to the other side.

    Args:
        valid: samples of the validation set: a count >= 1, or a share of all samples in (0, 1).
        test: likewise.
        per_user: the most samples of one user in either, >= 1.
        pool_share: the share of all samples that is the pool, in (0, 1).

    Raises:
        InvalidInput: a number outside these bounds.
    """

    valid: float
    test: float
    per_user: int
    pool_share: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("split.per_user", self.per_user, 1)
        _check_amounts(self.valid, self.test)
        if not is_number(self.pool_share) or not 0 < self.pool_share < 1:
            raise InvalidInput(f"split.pool_share must lie between 0 and 1, got {self.pool_share!r}.")

    def assign(self, samples: pl.DataFrame) -> Split:
        """The pool and the two evaluation sets.

        Raises:
            InvalidInput: an empty pool, or too few samples behind it for the counts that were asked for.
        """
        pool, *asked = (
            _resolved(f"split.{name}", getattr(self, name), len(samples))
            for name in ("pool_share", "valid", "test")
        )
        rest = samples[pool:]
        rng = np.random.default_rng(self.seed)
        drawn = _drawn(rest, self.per_user, rng)
        valid, test = _dealt(drawn, asked, rng)
        if [len(valid), len(test)] != asked:
            raise InvalidInput(
                f"split.valid={self.valid} and split.test={self.test} cannot be reached: the {len(rest)} "
                f"samples behind the pool hold {len(drawn)} with at most {self.per_user} of each of "
                f"{rest['user'].n_unique()} users, dealt {len(valid)} to validation and {len(test)} to test; "
                "ask for fewer, raise split.per_user or lower split.pool_share."
            )
        return Split(samples[:pool], rest[valid], rest[test])


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Rules):
    """A user's last sample is for the test set, the one before it for the validation set, the rest the pool.

    A user with a single sample gives it to the pool.

    Args:
        valid: how many of the samples for validation are drawn: a count, a share of all samples, or None
            for every user's; the others are left out.
        test: likewise.

    Raises:
        InvalidInput: neither a count, a share nor None.
    """

    valid: float | None
    test: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_amounts(self.valid, self.test)

    def assign(self, samples: pl.DataFrame) -> Split:
        """The pool and the two evaluation sets.

        Raises:
            InvalidInput: no user with three samples, or fewer users with two than were asked for.
        """
        place = pl.int_range(pl.len(), dtype=pl.Int64).over("user")
        left = samples.select(left=pl.len().over("user") - 1 - place, alone=pl.len().over("user") == 1)
        last, before = ((left["left"] == k) & ~left["alone"] for k in (0, 1))
        train = samples.filter(~(last | before))
        if train.is_empty() or not before.any():
            raise InvalidInput(
                f"split=leave_one_out needs users with at least 3 samples: of {samples['user'].n_unique()} "
                "there is none. Lower dataset.min_history, or set split.every_event=true."
            )
        rng = np.random.default_rng(self.seed)
        valid, test = (
            _picked(samples.filter(mask), f"split.{name}", getattr(self, name), len(samples), rng)
            for name, mask in (("valid", before), ("test", last))
        )
        return Split(train, valid, test)


@dataclass(frozen=True, kw_only=True)
class Dates(Rules):
    """Samples from the day `test` on are the test set, earlier ones from `valid` on the validation set.

    Args:
        valid: a day or a moment, ISO 8601, UTC unless it says otherwise, such as 2017-01-01.
        test: a later one.

    Raises:
        InvalidInput: no such day, or `test` not after `valid`.
    """

    valid: str
    test: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if _moment("split.valid", self.valid) >= _moment("split.test", self.test):
            raise InvalidInput(f"split.test ({self.test}) must lie after split.valid ({self.valid}).")

    def assign(self, samples: pl.DataFrame) -> Split:
        """The three spans of time.

        Raises:
            InvalidInput: a span without samples.
        """
        start, end = _moment("split.valid", self.valid), _moment("split.test", self.test)
        time = samples["time"]
        parts = {
            "before split.valid": samples.filter(time < start),
            "from split.valid to split.test": samples.filter((time >= start) & (time < end)),
            "from split.test on": samples.filter(time >= end),
        }
        for span, part in parts.items():
            if part.is_empty():
                raise InvalidInput(
                    f"no sample lies {span} (split.valid={self.valid}, split.test={self.test}): the samples "
                    f"run from {_day(time[0])} to {_day(time[-1])}."
                )
        return Split(*parts.values())


def _dealt(
    drawn: pl.DataFrame, asked: list[int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of validation and of test, each sorted and at most as many as asked."""
    users = drawn.group_by("user", maintain_order=True).agg("row")["row"]
    order = rng.permutation(len(users))
    first = rng.random(len(users)) < asked[0] / sum(asked)
    sides: tuple[list[int], list[int]] = ([], [])
    for user, to_valid in zip(order, first, strict=True):
        wanted = 0 if to_valid else 1
        side = wanted if len(sides[wanted]) < asked[wanted] else 1 - wanted
        sides[side].extend(users[int(user)][: asked[side] - len(sides[side])])
    valid, test = (np.sort(np.asarray(side, dtype=np.int64)) for side in sides)
    return valid, test


def _drawn(rest: pl.DataFrame, per_user: int, rng: np.random.Generator) -> pl.DataFrame:
    """user, row of at most `per_user` random rows of each user, in random order within the user."""
    return (
        rest.select(
            "user", row=pl.int_range(pl.len(), dtype=pl.Int64), key=pl.Series(rng.permutation(len(rest)))
        )
        .sort(pl.col("row").min().over("user"), "key")
        .filter(pl.int_range(pl.len()).over("user") < per_user)
    )


def _picked(
    held_out: pl.DataFrame, name: str, asked: float | None, total: int, rng: np.random.Generator
) -> pl.DataFrame:
    if asked is None:
        return held_out
    count = _resolved(name, asked, total)
    if count > len(held_out):
        raise InvalidInput(
            f"{name}={asked} asks for {count} samples, but one for each user makes {len(held_out)}: "
            "ask for fewer, or null for all."
        )
    return held_out[np.sort(rng.choice(len(held_out), count, replace=False))]


def _moment(name: str, text: object) -> int:
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be a day such as 2017-01-01, got {text!r}.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _check_amounts(valid: float | None, test: float | None) -> None:
    for name, asked in (("split.valid", valid), ("split.test", test)):
        if asked is not None:
            check_amount(name, asked)


def _resolved(name: str, asked: float, total: int) -> int:
    count = int(asked) if asked >= 1 else int(np.floor(asked * total + 0.5))
    if count < 1:
        raise InvalidInput(f"{name}={asked} of {total} samples is no sample at all: ask for more.")
    return count
