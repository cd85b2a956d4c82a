"""Forgetting: keep the rows whose answer the warm-up forgets most often once it was right.

Events     of a row: how often its answer is right at one checkpoint and wrong at the next. A row that is
           never right counts as forgotten at every checkpoint and comes first, as in the authors' code.
Right      where the logit of the right answer is above the other's; a tie is wrong.
Dynamics   `right_margins`, at each of adapter.checkpoints, dropout off; the authors look whenever a row is
           trained on. A warm-up on the whole pool for several epochs is what comes near to that.
Ties       are many, since events are small whole numbers. They go by the canonical order: the smallest margin
           at the earliest checkpoint first, where nothing else is read.
Target     not read.
Cost       O(N c), and a sort.
Golden     deepcore.npz, ccs.npz.
Source     Toneva et al. (ICLR 2019) and their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from goracs.selection.scores import ascending, constant_warnings, dynamics
from goracs.types import ByClass, Coreset, IndexArray, SelectionProblem

SCORE = "right_margins"


@dataclass(frozen=True)
class Forgetting:
    """The rows of most forgetting events; ties go by the canonical order. Deterministic.

    Args:
        by_class: the most forgotten of each class.
    """

    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `smallest_kept`, the fewest events of a kept row, and how many pool rows are
        `never_right`, which count as forgotten at every checkpoint.

        Raises:
            InvalidInput: no `right_margins`, or of one checkpoint alone.
        """
        right = dynamics(problem, SCORE, "selector forgetting", 2) > 0
        counts = forgotten(right).astype(np.float64)
        rows = ascending(problem, -counts)[:budget]
        report = {
            "smallest_kept": int(counts[rows].min()),
            "never_right": int((~right.any(axis=1)).sum()),
            "warnings": constant_warnings("forgetting events", counts),
        }
        return Coreset(rows, budget, problem.pool_size, report)


def events(right: npt.NDArray[np.bool_]) -> IndexArray:
    """[N] int64; how often each row [N, c] is right at a checkpoint and wrong at the next."""
    return np.asarray((right[:, :-1] & ~right[:, 1:]).sum(axis=1), np.int64)


def forgotten(right: npt.NDArray[np.bool_]) -> IndexArray:
    """[N] int64; the events, and c for a row that is never right."""
    return np.where(right.any(axis=1), events(right), np.int64(right.shape[1]))
