"""Which samples are the pool (train), which the validation set, which the test set.

Conventions   samples come in time order and every part keeps it. A share f of N means floor(f N + .5).
Source        `Paper` is the chronological split of GORACS (docs/method.md section 6); `Users` spreads both
              evaluation sets over users, since a few heavy users fill the end of the time line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from goracs.types import InvalidInput


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts of one table of samples, each in its order; every part has at least one row."""

    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame


class Splitter(Protocol):
    """A rule that assigns samples to parts; its fields are its parameters."""

    def assign(self, samples: pl.DataFrame) -> Split:
        """The parts of `samples` (in time order); InvalidInput if one would be empty."""


@dataclass(frozen=True)
class Paper:
    """The last block of samples is the test set, the one before it the validation set, the rest the pool.

    Args:
        valid: a count >= 1, or a share of all samples in (0, 1).
        test: likewise.
    """

    valid: float
    test: float

    def assign(self, samples: pl.DataFrame) -> Split:
        """The three blocks.

        Raises:
            InvalidInput: neither a count nor a share, an empty block, or no sample left for the pool.
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


@dataclass(frozen=True)
class Users:
    """The first samples are the pool; validation and test are drawn over disjoint users from the rest.

    Of the rest at most `per_user` samples of each user are drawn uniformly. The users, in random order, are
    dealt to validation or test with odds valid : test until a side has its count (its last user is cut to
    hit it, at random too); from there on they go to the other side.

    Args:
        valid: samples of the validation set, >= 1.
        test: samples of the test set, >= 1.
        per_user: the most samples of one user in either, >= 1.
        pool_share: the share of all samples that is the pool, in (0, 1).
        seed: of all these draws, >= 0.

    Raises:
        InvalidInput: a number outside these bounds.
    """

    valid: int
    test: int
    per_user: int
    pool_share: float
    seed: int

    def __post_init__(self) -> None:
        for name, least in (("valid", 1), ("test", 1), ("per_user", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InvalidInput(f"split.{name} must be a whole number >= {least} here, got {value!r}.")
        if not 0 < self.pool_share < 1:
            raise InvalidInput(f"split.pool_share must lie between 0 and 1, got {self.pool_share}.")

    def assign(self, samples: pl.DataFrame) -> Split:
        """The pool and the two evaluation sets.

        Raises:
            InvalidInput: an empty pool, or too few samples behind it for the counts that were asked for.
        """
        pool = _resolved("split.pool_share", self.pool_share, len(samples))
        rest = samples[pool:]
        rng = np.random.default_rng(self.seed)
        drawn = _drawn(rest, self.per_user, rng)
        valid, test = self._dealt(drawn, rng)
        if (len(valid), len(test)) != (self.valid, self.test):
            raise InvalidInput(
                f"split.valid={self.valid} and split.test={self.test} cannot be reached: the {len(rest)} "
                f"samples behind the pool hold {len(drawn)} with at most {self.per_user} of each of "
                f"{rest['user'].n_unique()} users, dealt {len(valid)} to validation and {len(test)} to test; "
                "ask for fewer, raise split.per_user or lower split.pool_share."
            )
        return Split(samples[:pool], rest[valid], rest[test])

    def _dealt(
        self, drawn: pl.DataFrame, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of validation and of test, each sorted and at most as many as asked."""
        users = drawn.group_by("user", maintain_order=True).agg("row")["row"]
        order = rng.permutation(len(users))
        first = rng.random(len(users)) < self.valid / (self.valid + self.test)
        asked, sides = (self.valid, self.test), ([], [])  # type: tuple[int, int], tuple[list[int], list[int]]
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


def _resolved(name: str, asked: float, total: int) -> int:
    number = isinstance(asked, (int, float)) and not isinstance(asked, bool)
    if not number or not asked > 0 or (asked >= 1 and not float(asked).is_integer()):
        raise InvalidInput(f"{name} must be a whole number >= 1 or a share in (0, 1), got {asked!r}.")
    count = int(asked) if asked >= 1 else int(np.floor(asked * total + 0.5))
    if count < 1:
        raise InvalidInput(f"{name}={asked} of {total} samples is no sample at all: ask for more.")
    return count
