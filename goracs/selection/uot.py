"""UOT: the rows that take most in unbalanced transport from validation.

Problem    min <C, P> + entropy KL(P | all alike) + marginal KL(P 1 | all alike): every validation row ships
           1/m, a pool row may take more than another at a price; the n rows that take most.
Distance   C = (1 - cosine) / 2, in 0..1. A row of zeros has no direction: such rows are alike, and at right
           angles to all others.
Rounding   the logarithm of a share is taken to 12 digits, so that the order of sums decides nothing.
Cost       O(N m d), and N m exponentials twice a step: some 8 steps at the settings given.
Source     Nayak et al. (arXiv 2602.14696): abstract and code, which stops at 1e-6 where this goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot import distance
from goracs.ot.distance import directions, distances
from goracs.ot.unbalanced import MOST, shares
from goracs.search.canonical import canonical_order
from goracs.selection.alignment import largest
from goracs.types import ByClass, Coreset, FloatArray, InvalidInput, SelectionProblem

DIGITS = 12


@dataclass(frozen=True)
class Uot:
    """The rows of largest share; ties go by the canonical order. Deterministic.

    Args:
        entropy: weight of the entropy, > 0; of costs in 0..1.
        marginal: weight of what unequal shares cost, >= 0.
        memory: GB for the costs of the whole pool (8 N m bytes), > 0; those of a larger pool are formed anew
            each step.
        by_class: shares of each class.
    """

    entropy: float
    marginal: float
    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the `share` that the chosen rows take, and how many `steps` it took.

        Raises:
            InvalidInput: a number out of range; embeddings without columns.
        """
        self._check()
        order = canonical_order(problem)
        units = directions(np.concatenate([problem.features[order], problem.target_features]))
        blocks = self._blocks(units[: len(order)], units[len(order) :])
        taken, steps, settled = shares(blocks, problem.target_size, self.entropy, self.marginal)
        rows = largest(np.round(taken / max(1.0, np.abs(taken).max()), DIGITS), budget)
        report = {
            "share": float(np.exp(taken[rows]).sum()),
            "steps": steps,
            "warnings": _warnings(problem, settled),
        }
        return Coreset(order[rows], budget, problem.pool_size, report)

    def _blocks(self, pool: FloatArray, target: FloatArray) -> Callable[[], Iterable[FloatArray]]:
        """Gives the costs of directions [N, d] against [m, d], block after block."""
        size = max(1, distance.BLOCK_BYTES // (8 * len(target)))

        def formed() -> Iterator[FloatArray]:
            for start in range(0, len(pool), size):
                yield distances(pool[start : start + size], target) ** 2 / 4

        if 8 * len(pool) * len(target) > self.memory * 2**30:
            return formed
        held = list(formed())
        return lambda: held

    def _check(self) -> None:
        for name, least in (("entropy", ">"), ("marginal", ">="), ("memory", ">")):
            given: object = getattr(self, name)
            number = isinstance(given, (int, float)) and not isinstance(given, bool)
            if not number or not 0 <= given < np.inf or (least == ">" and given == 0):  # type: ignore[operator]
                raise InvalidInput(f"selector uot: {name} must be a number {least} 0, got {given!r}.")


def _warnings(problem: SelectionProblem, settled: bool) -> list[str]:
    said = []
    zeros = sum(int((~side.any(axis=1)).sum()) for side in (problem.features, problem.target_features))
    if zeros:
        said.append(f"{zeros} rows are all zeros: they count as alike, at right angles to all others.")
    if not settled:
        said.append(
            f"shares still changed after {MOST} steps: a smaller marginal, or a larger entropy, settles."
        )
    return said
