"""The answers of a run to the test rows, as its job folder keeps them, and its figures under resampled users.

Reads    predictions.parquet: user, item and label and margin (CTR) or rank (SeqRec), a row for each test row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from goracs.evaluation import ctr, ranking
from goracs.evaluation.bootstrap import user_weights
from goracs.report.results import Result
from goracs.types import FloatArray, GoracsError, IndexArray

ANSWERS = "predictions.parquet"
DRAWS = 500  # resamples of users


@dataclass(frozen=True)
class Answers:
    """`asked` [t]: user, item and what was right; `resampled`: metric -> [DRAWS] under resampled users."""

    asked: pl.DataFrame
    resampled: dict[str, FloatArray]

    @property
    def users(self) -> int:
        """How many users answered."""
        return self.asked["user"].n_unique()


def read_answers(result: Result) -> Answers | None:
    """The answers beside a result, or None where there are none.

    Raises:
        GoracsError: a file that cannot be read, or is no such table.
    """
    file = Path(result["file"]).with_name(ANSWERS)
    if not file.exists():
        return None
    try:
        rows = pl.read_parquet(file, glob=False)
        if "rank" in rows.columns:
            return Answers(rows.select("user", "item"), _of_ranks(rows))
        return Answers(rows.select("user", "item", "label"), _of_margins(rows))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise GoracsError(f"{file} are no answers of a run ({error}): run its job again.") from error


def _of_margins(rows: pl.DataFrame) -> dict[str, FloatArray]:
    margins, labels = rows["margin"].to_numpy().astype(np.float64), rows["label"].to_numpy()
    return ctr.resampled(margins, labels, rows["user"].to_list(), draws=DRAWS, seed=0)


def _of_ranks(rows: pl.DataFrame) -> dict[str, FloatArray]:
    ranks: IndexArray = rows["rank"].to_numpy()
    values = {f"ndcg@{k}": ranking.ndcg(ranks, k) for k in ranking.CUTOFFS}
    values |= {f"hr@{k}": ranking.hits(ranks, k) for k in ranking.CUTOFFS}
    values[f"mrr@{ranking.PLACES}"] = ranking.reciprocal(ranks, ranking.PLACES)
    found: dict[str, list[FloatArray]] = {name: [] for name in values}
    for weights in user_weights(rows["user"].to_list(), DRAWS, 0):
        total = weights.sum(axis=1)
        for name, each in values.items():
            found[name].append(weights @ each / total)
    return {name: np.concatenate(parts) for name, parts in found.items()}
