"""Methods compared in pairs, on the seeds and test users that they share; which is surely the best.

Test     each pair by its paired differences: for other users and seeds where the answers are there, else for
         other seeds (`goracs.report.statistics`); Holm's correction over the comparisons with one method.
Best     the method of the best mean, if it is better than every other one at a corrected p of at most 5%.
         Second: if there is a best one, the next in mean, if the same holds against all that come after.
         Else nobody: of methods that are alike, one is called the best in at most 5% of all comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from goracs.report.statistics import LEVEL, Difference, difference, holm
from goracs.types import FloatArray


@dataclass(frozen=True)
class Measured:
    """One figure of one method.

    Args:
        values: seed -> the figure on the test rows as they are; at least one.
        resampled: seed -> [B] under resampled users, column b the same users everywhere; empty where nobody
            kept the answers.
    """

    values: Mapping[int, float]
    resampled: Mapping[int, FloatArray]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.values.values())))


@dataclass(frozen=True)
class Comparison:
    """All pairs of some methods: (one, other) -> one less the other, both ways.

    Pairs without a shared seed are absent, those of one seed have no p. `best` and `second` are names.
    """

    pairs: Mapping[tuple[str, str], Difference]
    best: str | None
    second: str | None


def compare(methods: Mapping[str, Measured], *, more_is_better: bool) -> Comparison:
    """Every pair of methods, by name; at least one method."""
    pairs: dict[tuple[str, str], Difference] = {}
    for one, other in combinations(methods, 2):
        found = _paired(methods[one], methods[other])
        if found is not None:
            pairs |= {(one, other): found, (other, one): _turned(found)}
    order = sorted(methods, key=lambda name: methods[name].mean, reverse=more_is_better)
    best = order[0] if _leads(order, pairs, more_is_better) else None
    second = order[1] if best is not None and _leads(order[1:], pairs, more_is_better) else None
    return Comparison(pairs, best, second)


def against(
    base: str, others: Iterable[str], pairs: Mapping[tuple[str, str], Difference]
) -> dict[str, tuple[Difference, float | None]]:
    """Each other method less the base, and its p by Holm's correction over these comparisons.

    Methods that share no seed with the base are absent; the p is None where there is one seed.
    """
    found = {other: pairs[other, base] for other in others if (other, base) in pairs}
    tested = {other: p for other, one in found.items() if (p := chance(one)) is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {other: (one, corrected.get(other)) for other, one in found.items()}


def chance(one: Difference) -> float | None:
    """The p that a comparison goes by: for other users too, where it is known."""
    return one.p if one.p_both is None else one.p_both


def _paired(one: Measured, other: Measured) -> Difference | None:
    seeds = [seed for seed in one.values if seed in other.values]
    if not seeds:
        return None
    values = np.array([one.values[seed] - other.values[seed] for seed in seeds])
    if all(seed in side.resampled for seed in seeds for side in (one, other)):
        resampled = np.stack([one.resampled[seed] - other.resampled[seed] for seed in seeds])
    else:
        resampled = np.full((len(seeds), 2), np.nan)
    return difference(values, resampled)


def _leads(order: list[str], pairs: Mapping[tuple[str, str], Difference], more_is_better: bool) -> bool:
    """Whether the first is surely better than each that comes after, of which there are some."""
    worse = order[1:]
    told = against(order[0], worse, pairs)
    sign = -1 if more_is_better else 1
    return bool(worse) and all(
        other in told and sign * told[other][0].mean > 0 and _sure(told[other][1]) for other in worse
    )


def _sure(p: float | None) -> bool:
    return p is not None and p <= 1 - LEVEL


def _turned(one: Difference) -> Difference:
    seeds, both = (None if ends is None else (-ends[1], -ends[0]) for ends in (one.seeds, one.both))
    effect = None if one.effect is None else -one.effect
    return Difference(-one.mean, seeds, both, one.p, one.p_both, effect)
