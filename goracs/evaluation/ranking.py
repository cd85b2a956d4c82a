"""How high the right item stands among its candidates: NDCG and hit rate at 5 and 10.

Symbols      t = samples, c = candidates (columns), k = cut-off.
Rank         1 = nearest. One item is relevant, so NDCG@k = 1 / log2(1 + rank) if rank <= k, else 0 (a perfect
             ranking has 1), and HR@k = 1 if rank <= k, else 0. Both are means over samples.
Ties         count against the target: a model that says the same for every item stands last, not first.
Candidates   a column that is no candidate of a row holds +inf there, so rows may differ in their number. A
             title that stands for several catalogue items is a candidate with each of its columns, and the
             target stands where its nearest column does (its other columns: +inf).
Not here     drawing the candidates (`goracs.data`), the distances (`goracs.evaluation.grounding`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from goracs.evaluation.bootstrap import Users, mean_estimate
from goracs.types import FloatArray, IndexArray, InvalidInput

CUTOFFS = (5, 10)
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
        distances: [c] float64; smaller = better.
        names: [c], one each.
        k: >= 0.
    """
    ranked = np.flatnonzero(distances < UNRANKED).tolist()
    return sorted(ranked, key=lambda column: (distances[column], names[column]))[:k]


def ranking_metrics(
    positions: IndexArray, users: Users, *, draws: int, seed: int
) -> dict[str, dict[str, float | int | None]]:
    """The metrics `ndcg@5`, `ndcg@10`, `hr@5` and `hr@10`, each as {value, low, high, n, users}.

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
    if len(positions) and positions.min() < 1:
        raise InvalidInput(f"ranks start at 1, got {positions.min()}.")
    values = {f"ndcg@{k}": ndcg(positions, k) for k in CUTOFFS} | {
        f"hr@{k}": hits(positions, k) for k in CUTOFFS
    }
    return {name: mean_estimate(v, users, draws=draws, seed=seed).to_dict() for name, v in values.items()}


def ndcg(positions: IndexArray, k: int) -> FloatArray:
    """[t] float64: 1 / log2(1 + rank) for ranks [t] up to k, else 0."""
    return np.where(positions <= k, 1.0 / np.log2(1.0 + positions), 0.0)


def hits(positions: IndexArray, k: int) -> FloatArray:
    """[t] float64: 1 for ranks [t] up to k, else 0."""
    return np.asarray(positions <= k, dtype=np.float64)


def _span(values: IndexArray) -> str:
    return f"{values.min()}..{values.max()}"
