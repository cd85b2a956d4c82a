"""TDDS: keep the rows whose answer's chances move most unevenly over the warm-up, the latest moves first.

Move       between neighbouring checkpoints: sum_k |p'_k (log p'_k - log p_k)| over the answers, EPS added to
           each chance within a logarithm.
Window     of w checkpoints: the norm of its w - 1 moves less their mean.
Score      sum over windows of decay (1 - decay)^a times that, a the windows that come later.
Answers    the right one and all else: p and 1 - p for p = exp(- loss of the answer). With Yes and No that is
           the authors' sum over classes; of a text p is the geometric mean over its tokens.
Dynamics   `answer_losses`, at each of adapter.checkpoints, of which it takes 3 at least: two moves.
Target     not read.
Cost       O(N c w), and a sort.
Golden     tdds.npz.
Source     Zhang et al. (CVPR 2024) and their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.data.numbers import is_number, is_whole
from goracs.selection.scores import ascending, constant_warnings, losses
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

SCORE = "answer_losses"
EPS = 1e-8
LEAST = 3  # with one move there is nothing it could differ from


@dataclass(frozen=True)
class Tdds:
    """The rows of largest score; ties go by the canonical order. Deterministic.

    Args:
        window: checkpoints it spans, 3..c; None: all of them, as the authors' defaults have it.
        decay: weight of the last window, 0 < decay <= 1.
        by_class: the largest of each class.
    """

    window: int | None
    decay: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has `smallest_kept`, the smallest score of a kept row.

        Raises:
            InvalidInput: no `answer_losses`, or of fewer than 3 checkpoints; a window or decay outside its
                range.
        """
        found = losses(problem, SCORE, "selector tdds", LEAST)
        window = self._window(found.shape[1])
        scores = depths(np.stack([np.exp(-found), -np.expm1(-found)], axis=2), window, self.decay)
        rows = ascending(problem, -scores)[:budget]
        report = {
            "smallest_kept": float(scores[rows].min()),
            "warnings": constant_warnings("tdds", scores),
        }
        return Coreset(rows, budget, problem.pool_size, report)

    def _window(self, checkpoints: int) -> int:
        if not is_number(self.decay) or not 0 < self.decay <= 1:
            raise InvalidInput(f"selector tdds: decay must be a number, 0 < decay <= 1, got {self.decay!r}.")
        window = checkpoints if self.window is None else self.window
        if not is_whole(window) or not LEAST <= window <= checkpoints:
            raise InvalidInput(
                f"selector tdds: window must be null or a whole number, {LEAST} to the {checkpoints} "
                f"checkpoints there are, got {window!r}."
            )
        return window


def depths(chances: FloatArray, window: int, decay: float) -> FloatArray:
    """[N] float64 scores of the chances [N, c, k] of k answers at c checkpoints.

    Args:
        chances: >= 0, of each row and checkpoint of sum 1.
        window: w, 2..c.
        decay: 0 < decay <= 1.
    """
    logs = np.log(chances + EPS)
    moves = np.abs(chances[:, 1:] * np.diff(logs, axis=1)).sum(axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(moves, window - 1, axis=1)
    uneven = np.linalg.norm(windows - windows.mean(axis=2, keepdims=True), axis=2)
    later = np.arange(uneven.shape[1])[::-1]
    return np.asarray((uneven * decay * (1 - decay) ** later).sum(axis=1))
