"""Dataset cartography: rows from one region of the map of mean and spread of their answer's chance.

Chance       exp(- loss of the answer) at each checkpoint of a warm-up: of Yes or No what it is; of a text the
             geometric mean over its tokens.
Confidence   the mean of the chances over the checkpoints; variability their standard deviation.
Regions      ambiguous: the largest variability; hard: the smallest confidence; easy: the largest.
Dynamics     `answer_losses`, at each of adapter.checkpoints.
Target       not read.
Cost         O(N c), and a sort.
Source       Swayamdipta et al. (EMNLP 2020) and their code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from goracs.selection.scores import ascending, constant_warnings, losses
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

SCORE = "answer_losses"


@dataclass(frozen=True)
class Cartography:
    """The rows deepest in a region; ties go by the canonical order. Deterministic.

    Args:
        region: ambiguous, hard or easy.
        by_class: within each class.
    """

    region: Literal["ambiguous", "hard", "easy"]
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({SCORE})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the coreset's mean `confidence` and `variability`.

        Raises:
            InvalidInput: another region, no `answer_losses`, or of one checkpoint alone.
        """
        chances = np.exp(-losses(problem, SCORE, "selector cartography", 2))
        depth = self._depth(chances)
        rows = ascending(problem, -depth)[:budget]
        report = {
            "confidence": float(chances[rows].mean()),
            "variability": float(chances[rows].std(axis=1).mean()),
            "warnings": constant_warnings(self.region, depth),
        }
        return Coreset(rows, budget, problem.pool_size, report)

    def _depth(self, chances: FloatArray) -> FloatArray:
        """[N] how deep each row [N, c] lies in the region."""
        match self.region:
            case "ambiguous":
                return np.asarray(chances.std(axis=1))
            case "hard":
                return np.asarray(-chances.mean(axis=1))
            case "easy":
                return np.asarray(chances.mean(axis=1))
        raise InvalidInput(
            f"selector cartography: region must be ambiguous, hard or easy, got {self.region!r}."
        )
