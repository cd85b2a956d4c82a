"""How high the right item stands among its candidates: NDCG and hit rate at 5 and 10; what stands before it.

Symbols      t = samples, c = candidates (columns), k = cut-off.
Rank         1 = nearest. One item is relevant, so NDCG@k = 1 / log2(1 + rank) if rank <= k, else 0 (a perfect
             ranking has 1), HR@k = 1 if rank <= k, else 0, and MRR@k = 1 / rank if rank <= k, else 0. All are
             means over samples.
Coverage     coverage@k: the share of the catalogue that stands among the first k of some sample. It has no
             interval: fewer users cover less, so a resample says nothing of it.
Popular      popular@k: the share of the first k places that the most popular fifth of the catalogue fills,
             the mean over samples. Of equal items the first by name are the more popular.
Ties         count against the target: a model that says the same for every item stands last, not first.
Candidates   a column that is no candidate of a row holds +inf there, so rows may differ in their number. A
             title that stands for several catalogue items is a candidate with each of its columns, and the
             target stands where its nearest column does (its other columns: +inf).
Not here     drawing the candidates (`goracs.data`), the distances (`goracs.evaluation.grounding`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goracs.evaluation.bootstrap import Estimate, Users, mean_estimate
from goracs.types import FloatArray, IndexArray, InvalidInput, numbers, whole_numbers

CUTOFFS = (5, 10)
PLACES = max(CUTOFFS)  # those of MRR, coverage and popularity
HEAD = 0.2  # of the catalogue
UNRANKED = float(
    np.finfo(np.float64).max
)  # the distance of a candidate of which nothing is known: the last tie


def ranks(distances: FloatArray, target: IndexArray) -> IndexArray:
    """The rank of each row's target among the row's candidates.

    Law: the number of candidates at most as far as the target, itself included.

    Args:
        distances: [t, c] float; smaller = better; +inf = not a candidate; no NaN.
        target: [t] int; the target's column, in 0..c-1; its distance is finite.

    Returns:
        [t] int64, 1..c.

    Raises:
        InvalidInput: shapes that do not fit, a column out of range, NaN, a target without a finite distance.
    """
    distances, target = numbers("distances", distances), whole_numbers("targets", target)
    if distances.ndim != 2 or target.shape != (len(distances),):
        raise InvalidInput(
            f"ranks need one target per row of distances, got {target.shape}, {distances.shape}."
        )
    if len(target) and (target.min() < 0 or target.max() >= distances.shape[1]):
        raise InvalidInput(f"a target must be a column in 0..{distances.shape[1] - 1}, got {_span(target)}.")
    own = np.take_along_axis(distances, target[:, None], axis=1)
    bad = np.flatnonzero(np.isnan(distances).any(axis=1) | ~np.isfinite(own[:, 0]))
    if len(bad):
        raise InvalidInput(
            f"distances hold NaN, or the target's is not finite, in {len(bad)} rows: {bad[:10]}."
        )
    return np.asarray((distances <= own).sum(axis=1), dtype=np.int64)


def foremost(distances: FloatArray, names: Sequence[str], k: int) -> list[int]:
    """The columns of the first k candidates, the nearest first; those that are UNRANKED are none of them.

    Ties go by name: the order of the columns has no part in it.

    Args:
        distances: [c] float64; smaller = better; c >= 1.
        names: [c], one each.
        k: >= 1.

    Cost: O(c) time, but for ties with the k-th.
    """
    kth = np.partition(distances, min(k, len(distances)) - 1)[min(k, len(distances)) - 1]
    near = np.flatnonzero((distances <= kth) & (distances < UNRANKED)).tolist()
    return sorted(near, key=lambda column: (distances[column], names[column]))[:k]


@dataclass(frozen=True)
class Figures:
    """Of some samples: the targets' `ranks` [t], the names of the first PLACES candidates, all metrics."""

    ranks: IndexArray
    first: list[list[str]]
    metrics: dict[str, dict[str, float | int | None]]


def ranked_figures(
    distances: Sequence[FloatArray],
    candidates: Sequence[Sequence[str]],
    users: Users,
    popularity: Mapping[str, int],
    catalogue: Collection[str],
    *,
    draws: int,
    seed: int,
) -> Figures:
    """All metrics of ranked candidates.

    Args:
        distances: for each sample [c] float64 of its candidates, the target's first; see `ranks`.
        candidates: their names, items of the catalogue.
        users: [t] the user of each sample.
        popularity: item -> any number, more is more popular; absent: 0.
        catalogue: all items.
        draws: resamples of users, >= 1.
        seed: of the resamples.

    Raises:
        InvalidInput: as `ranks` and `ranking_metrics`.
    """
    target = np.zeros(1, dtype=np.int64)
    positions = np.concatenate([ranks(row[None], target) for row in distances])
    first = [
        [names[column] for column in foremost(row, names, PLACES)]
        for row, names in zip(distances, candidates, strict=True)
    ]
    metrics = figures_of(positions, first, users, popularity, catalogue, draws=draws, seed=seed)
    return Figures(positions, first, metrics)


def figures_of(
    positions: IndexArray,
    first: Sequence[Sequence[str]],
    users: Users,
    popularity: Mapping[str, int],
    catalogue: Collection[str],
    *,
    draws: int,
    seed: int,
) -> dict[str, dict[str, float | int | None]]:
    """All metrics of targets' ranks [t] and of the first PLACES candidates; see `ranked_figures`."""
    head = most_popular(popularity, catalogue)
    shares = np.array([sum(item in head for item in row) / len(row) for row in first], dtype=np.float64)
    covered = len(set().union(*first)) / len(catalogue)
    return ranking_metrics(positions, users, draws=draws, seed=seed) | {
        f"coverage@{PLACES}": Estimate(covered, None, None, len(users), len(set(users))).to_dict(),
        f"popular@{PLACES}": mean_estimate(shares, users, draws=draws, seed=seed).to_dict(),
    }


def most_popular(popularity: Mapping[str, int], catalogue: Collection[str]) -> set[str]:
    """The most popular fifth of the catalogue, rounded up."""
    ordered = sorted(catalogue, key=lambda item: (-popularity.get(item, 0), item))
    return set(ordered[: math.ceil(len(ordered) * HEAD)])


def ranking_metrics(
    positions: IndexArray, users: Users, *, draws: int, seed: int
) -> dict[str, dict[str, float | int | None]]:
    """The metrics `ndcg@5`, `ndcg@10`, `hr@5`, `hr@10` and `mrr@10`, each as {value, low, high, n, users}.

    Args:
        positions: [t] int; ranks, 1 = nearest.
        users: [t] the user of each sample.
        draws: resamples of users, >= 1.
        seed: of the resamples.

    Returns:
        n is the number of samples, users that of the users whom the interval resamples.

    Raises:
        InvalidInput: no samples, lengths that differ, a rank below 1, or fewer than one draw.
    """
    positions = whole_numbers("ranks", positions)
    if len(positions) and positions.min() < 1:
        raise InvalidInput(f"ranks start at 1, got {positions.min()}.")
    values = {f"ndcg@{k}": ndcg(positions, k) for k in CUTOFFS} | {
        f"hr@{k}": hits(positions, k) for k in CUTOFFS
    }
    values[f"mrr@{PLACES}"] = reciprocal(positions, PLACES)
    return {name: mean_estimate(v, users, draws=draws, seed=seed).to_dict() for name, v in values.items()}


def ndcg(positions: IndexArray, k: int) -> FloatArray:
    """[t] float64: 1 / log2(1 + rank) for ranks [t] up to k, else 0."""
    return np.where(positions <= k, 1.0 / np.log2(1.0 + positions), 0.0)


def hits(positions: IndexArray, k: int) -> FloatArray:
    """[t] float64: 1 for ranks [t] up to k, else 0."""
    return np.asarray(positions <= k, dtype=np.float64)


def reciprocal(positions: IndexArray, k: int) -> FloatArray:
    """[t] float64: 1 / rank for ranks [t] up to k, else 0."""
    return np.where(positions <= k, 1.0 / positions, 0.0)


def _span(values: IndexArray) -> str:
    return f"{values.min()}..{values.max()}"
