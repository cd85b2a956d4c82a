"""How sure a difference between methods is: over seeds, and over users and seeds together.

Seeds     S paired differences, one a seed; the t interval of their mean, and the p of the paired t test. It
          holds for other seeds (other pools, other orders of training) and the same test users.
Both      mean +- t sqrt(s^2 / S + w^2): s^2 the variance over seeds, w^2 that of the mean under resampled
          users (the same ones for every method and seed), t by Welch and Satterthwaite: S - 1 degrees where
          the seeds decide, more where the users do. It holds for other seeds and other users. (A bootstrap
          of a few seeds is too narrow: of five, 95% intervals cover 85%.) Where chance of user and seed
          together is all there is, it is counted twice, and the interval covers up to 99%.
Effect    Hedges's g of paired differences: mean over deviation over seeds, times 1 - 3 / (4 S - 5), which
          takes away the bias of few seeds (Hedges 1981).
Holm      p of several comparisons, so that the chance of one false claim among all stays below the level.
Ranks     Spearman's correlation: whether two figures put things in one order.
Symbols   S = seeds, B = resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goracs.types import FloatArray, InvalidInput, numbers

LEVEL = 0.95
LARGEST = 1e150  # of a difference
ROUNDING = 1e-12  # of the largest difference: what is less apart is equal


@dataclass(frozen=True)
class Difference:
    """A mean difference, its 95% intervals, the p of two tests that it is 0, two-sided, and its size.

    Args:
        mean: over seeds.
        seeds: its t interval over seeds; None for one seed.
        both: its interval over users and seeds; None for one seed, or where a resample has no value.
        p: of the paired t test over seeds; None for one seed.
        p_both: of the test for other users too; None as `both`.
        effect: Hedges's g; None for one seed, or where all differences are equal.
    """

    mean: float
    seeds: tuple[float, float] | None
    both: tuple[float, float] | None
    p: float | None
    p_both: float | None
    effect: float | None


def difference(values: FloatArray, resampled: FloatArray) -> Difference:
    """What S paired differences say.

    Args:
        values: [S] one a seed, on the test rows as they are.
        resampled: [S, B] the same under resampled users, column b the same users in every row.

    Raises:
        InvalidInput: no seeds, shapes that do not go together, or differences that are no numbers, or whose
            squares overflow.
    """
    values = numbers("differences", values).astype(np.float64)
    resampled = numbers("resampled differences", resampled).astype(np.float64)
    if values.ndim != 1 or not len(values) or resampled.shape[:1] != values.shape or resampled.ndim != 2:
        raise InvalidInput(
            f"a difference takes values [S] and resampled values [S, B], got {values.shape} and "
            f"{resampled.shape}."
        )
    if resampled.shape[1] < 2:
        raise InvalidInput(f"a difference takes at least two resamples, got {resampled.shape[1]}.")
    known = resampled[~np.isnan(resampled)]
    if not (np.abs(values) < LARGEST).all() or not (np.abs(known) < LARGEST).all():
        raise InvalidInput(f"differences must be numbers below {LARGEST:g}: their squares are added.")
    several = len(values) > 1
    return Difference(
        mean=float(values.mean()),
        seeds=t_interval(values) if several else None,
        both=interval_of_both(values, resampled) if several else None,
        p=paired_p(values) if several else None,
        p_both=p_of_both(values, resampled) if several else None,
        effect=effect_size(values) if several else None,
    )


def t_interval(values: FloatArray) -> tuple[float, float]:
    """The 95% interval of the mean of values [S], S >= 2, by Student's t."""
    return _around(values, values.std(ddof=1) / len(values) ** 0.5, len(values) - 1)


def interval_of_both(values: FloatArray, resampled: FloatArray) -> tuple[float, float] | None:
    """The 95% interval of the mean of values [S], S >= 2, for other users too: [S, B] under resampled ones.

    None where a resample has no value (NaN).
    """
    found = _error_of_both(values, resampled)
    return None if found is None else _around(values, *found)


def p_of_both(values: FloatArray, resampled: FloatArray) -> float | None:
    """Two-sided p that the mean of differences is 0 for other users too; see `interval_of_both`."""
    found = _error_of_both(values, resampled)
    return None if found is None else _p(values, *found)


def _error_of_both(values: FloatArray, resampled: FloatArray) -> tuple[float, float] | None:
    of_seeds, of_users = values.var(ddof=1) / len(values), resampled.mean(axis=0).var(ddof=1)
    if not np.isfinite(of_users):
        return None
    share = of_seeds / (of_seeds + of_users or 1.0)
    degrees = (len(values) - 1) / share**2 if share**2 else np.inf  # a small share has no square
    return float(np.hypot(of_seeds**0.5, of_users**0.5)), float(degrees)


def _around(values: FloatArray, error: float, degrees: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    reach = stdtrit(degrees, (1 + LEVEL) / 2) * error
    return float(values.mean() - reach), float(values.mean() + reach)


def _p(values: FloatArray, error: float, degrees: float) -> float:
    from scipy.special import stdtr

    mean = float(values.mean())
    # figures in steps may differ alike by chance, of which t knows nothing: then the sign test
    if error <= ROUNDING * np.abs(values).max():
        return 1.0 if mean == 0 else 2.0 ** (1 - len(values))
    return float(2 * stdtr(degrees, -abs(mean) / error))


def paired_p(values: FloatArray) -> float:
    """Two-sided p of the t test that differences [S], S >= 2, have mean 0.

    Where all are equal it is the sign test's: 1 where they are 0, else 2^(1 - S).
    """
    error = values.std(ddof=1) / len(values) ** 0.5
    return _p(values, float(error), len(values) - 1)


def effect_size(values: FloatArray) -> float | None:
    """Hedges's g of paired differences [S], S >= 2; None where all are equal."""
    spread = values.std(ddof=1)
    if spread <= ROUNDING * np.abs(values).max():
        return None
    return float(values.mean() / spread * (1 - 3 / (4 * len(values) - 5)))


def holm(chances: Sequence[float]) -> list[float]:
    """Each p, corrected for their number (Holm 1979).

    Raises:
        InvalidInput: what is no list of chances in [0, 1].
    """
    given = numbers("chances", chances).astype(np.float64)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise InvalidInput(f"chances must be a list of numbers in [0, 1], got {chances!r}.")
    order, corrected, largest = np.argsort(given, kind="stable"), [0.0] * len(given), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, float((len(given) - rank) * given[place])))
        corrected[place] = largest
    return corrected


def rank_correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's, None where one side is constant.

    Raises:
        InvalidInput: what are no two lists of as many finite numbers.
    """
    from scipy.stats import spearmanr

    first, second = (numbers("figures", side).astype(np.float64) for side in (first, second))
    finite = np.isfinite(first).all() and np.isfinite(second).all()
    if first.ndim != 1 or not len(first) or first.shape != second.shape or not finite:
        raise InvalidInput(
            f"a rank correlation takes two lists of as many finite numbers, got {first} and {second}."
        )
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)
