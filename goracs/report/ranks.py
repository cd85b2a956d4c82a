"""How methods rank over several data sets or budgets: mean ranks, Friedman's test, the critical difference.

Rank      1 = best, ties share the mean of their places; the mean over blocks (a data set at a budget).
Friedman  whether any method ranks otherwise than by chance (Friedman 1937): p of scipy.
Nemenyi   two methods differ surely where their mean ranks are further apart than q sqrt(k (k + 1) / 6 N)
          (Nemenyi 1963, as in Demsar 2006, section 3.2.2): q of the studentised range, of infinitely many
          degrees, over sqrt 2.
Symbols   N = blocks, k = methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.report.statistics import LEVEL
from goracs.types import FloatArray, InvalidInput


@dataclass(frozen=True)
class Ranking:
    """What N blocks say of k methods.

    Args:
        ranks: [k] the mean ranks.
        critical: the least difference of mean ranks that is sure.
        p: of Friedman's test; None for two methods, for which there is none.
        blocks: N.
    """

    ranks: FloatArray
    critical: float
    p: float | None
    blocks: int


def ranking(figures: FloatArray, *, more_is_better: bool) -> Ranking:
    """The mean ranks of k methods over N blocks.

    Args:
        figures: [N, k] float, finite: one figure of each method in each block.
        more_is_better: whether rank 1 is the largest.

    Raises:
        InvalidInput: fewer than two blocks or methods, or a figure that is not finite.
    """
    if figures.ndim != 2 or min(figures.shape) < 2 or not np.isfinite(figures).all():
        raise InvalidInput(
            f"mean ranks take finite figures [N, k] of two or more blocks and methods, got {figures.shape}."
        )
    from scipy.stats import rankdata

    ranks = rankdata(-figures if more_is_better else figures, axis=1)
    return Ranking(
        ranks=ranks.mean(axis=0),
        critical=critical_difference(figures.shape[1], len(figures)),
        p=_friedman(ranks) if figures.shape[1] > 2 else None,
        blocks=len(figures),
    )


def critical_difference(methods: int, blocks: int) -> float:
    """Nemenyi's, at the 5% level."""
    from scipy.stats import studentized_range

    q = studentized_range.ppf(LEVEL, methods, np.inf) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def _friedman(ranks: FloatArray) -> float:
    from scipy.stats import friedmanchisquare

    if np.ptp(ranks) == 0:
        return 1.0  # all tied everywhere: scipy divides by 0
    return float(friedmanchisquare(*ranks.T).pvalue)
