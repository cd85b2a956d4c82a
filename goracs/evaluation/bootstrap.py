"""How sure a metric is: 95% intervals by resampling users with replacement.

Problem      samples of one user resemble each other, so users are the unit that is drawn, not samples.
Symbols      t = samples, u = users, b = resamples held at once.
Conventions  a resample is a weight per sample, the number of times its user was drawn. Users are taken in the
             order of their names, so the order of the samples does not matter, and one seed with one set of
             users gives the same resamples to every metric and every model: differences may be paired.
             The interval runs from the 2.5th to the 97.5th percentile, both rounded outwards to a resample.
Not here     the metrics themselves (`goracs.evaluation.ctr`, `goracs.evaluation.ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from goracs.types import FloatArray, IndexArray, InvalidInput

Users = npt.NDArray[np.str_] | list[str]
Statistic = Callable[[FloatArray], FloatArray]

MOST = 1_000_000  # draws
CELLS = 1 << 20  # weights held at once: 8 MiB of float64


@dataclass(frozen=True)
class Estimate:
    """One number with its 95% interval.

    `value` is None where the data do not define it (an AUC of one class); `low` and `high` are None where
    they do not define an interval (fewer than two users, or too many resamples without a value). `n` counts
    what was averaged: samples, or users for a figure per user. `users` counts those that were resampled: an
    interval over few of them is rough.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    users: int

    def to_dict(self) -> dict[str, float | int | None]:
        """The five fields, as result.json holds them."""
        return asdict(self)


def estimate(
    value: float | None, statistic: Statistic, users: Users, *, n: int, draws: int, seed: int
) -> Estimate:
    """`value` with the interval of `statistic` over resampled users.

    A resample on which the statistic is not defined counts as below `low` and above `high`, so the interval
    holds whatever it would have been; if that leaves a bound open, both are None.

    Args:
        value: the figure on the samples as they are, or None.
        statistic: weights [b, t] float64 -> [b] float64, NaN where it is not defined.
        users: [t] the user of each sample.
        n: what the estimate counts.
        draws: resamples, >= 1.
        seed: of the generator, which is local.

    Raises:
        InvalidInput: no samples, or fewer than one draw.
    """
    checked_draws(users, draws, seed)
    count = len(set(users))
    if value is None or count < 2:
        return Estimate(value, None, None, n, count)
    drawn = np.concatenate([statistic(weights) for weights in user_weights(users, draws, seed)])
    low = np.percentile(np.where(np.isnan(drawn), -np.inf, drawn), 2.5, method="lower")
    high = np.percentile(np.where(np.isnan(drawn), np.inf, drawn), 97.5, method="higher")
    if not (np.isfinite(low) and np.isfinite(high)):
        return Estimate(value, None, None, n, count)
    return Estimate(value, float(low), float(high), n, count)


def mean_estimate(values: FloatArray, users: Users, *, draws: int, seed: int) -> Estimate:
    """The mean of one value per sample, with its interval over users.

    Args:
        values: [t] float64.
        users: [t] the user of each sample.
        draws: resamples, >= 1.
        seed: of the generator.

    Raises:
        InvalidInput: no samples, lengths that differ, or fewer than one draw.
    """
    checked_draws(users, draws, seed)
    if len(values) != len(users):
        raise InvalidInput(f"a mean over users needs one user per value, got {len(users)} for {len(values)}.")

    def mean(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ values) / weights.sum(axis=1))

    return estimate(float(values.mean()), mean, users, n=len(values), draws=draws, seed=seed)


def user_weights(users: Users, draws: int, seed: int) -> Iterator[FloatArray]:
    """Resamples in blocks: [b, t] float64, how often each sample's user was drawn.

    Law: a resample draws as many users as there are; the size of the blocks does not change the resamples.
    Cost: max(CELLS, t) weights at once.
    """
    owner = owners(users)
    count = int(owner.max()) + 1
    rng = np.random.default_rng(seed)
    rows = max(1, CELLS // len(owner))
    for first in range(0, draws, rows):
        block = min(rows, draws - first)
        picked = rng.integers(count, size=(block, count)) + count * np.arange(block)[:, None]
        times = np.bincount(picked.ravel(), minlength=block * count).reshape(block, count)
        yield times[:, owner].astype(np.float64)


def owners(users: Users) -> IndexArray:
    """[t] int64: each sample's user as a number, 0..u-1 in the order of the users' names."""
    return np.unique(np.asarray(users), return_inverse=True)[1].astype(np.int64)


def are_names(users: Users) -> bool:
    """Whether these are all texts or all whole numbers, in a list or an array of whatever library."""
    if isinstance(users, str | bytes | Mapping | np.ma.MaskedArray):
        return False
    try:
        array = np.asarray(users)
    except ValueError:
        return False
    if array.ndim != 1:
        return False
    given = isinstance(users, list | tuple)
    if array.dtype.kind in "Uiu" and not given:
        return True
    each = users if given else array.tolist()
    return any(all(isinstance(one, kind) for one in each) for kind in (str, int | np.integer))


def checked_draws(users: Users, draws: int, seed: int) -> None:
    """Raises InvalidInput where there is nothing to resample, no draw is asked for, or there is no seed."""
    if not are_names(users):
        raise InvalidInput("users must be a list of names, one for each sample.")
    if len(users) == 0:
        raise InvalidInput("metrics need at least one test sample, got none.")
    for name, value in (("draws", draws), ("seed", seed)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
            raise InvalidInput(f"the bootstrap's {name} must be a whole number >= 0, got {value!r}.")
    if draws < 1:
        raise InvalidInput(f"the bootstrap needs at least 1 draw, got {draws}.")
    if draws > MOST:
        raise InvalidInput(f"the bootstrap makes at most {MOST:,} draws, got {draws}.")
