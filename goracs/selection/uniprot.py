"""UniPROT: prototypes of equal weight, by greedy picks for partial transport.

Problem    max over S of beta |S| / n - F(S), F the partial transport (`goracs.search.partial`): a row of S
           ships 1/n, a validation row takes at most 1/m, beta is above all distances. Submodular, so greedy
           comes as far as 1 - 1/e of the best; with n rows F is the transport of the coreset.
Increments exact: what a row adds with the plans of all rows optimised together. approximate: what it adds
           while the plan of the others stays; after the pick the plan is optimised.
Departure  the authors' code blurs transport by entropy, and its exact form multiplies the plan by |S|, which
           leaves no transport; here it is exact. beta adds the same to every row and is left out.
Cost       O(N m d) once. A pick: O(N), bounds of some dozens of rows or hundreds, and as many transports
           re-optimised where increments are exact, or one.
Source     Chanda, Agrawal, Gurumoorthy, Ramakrishnan, Mishra and Jawanpuria (UniPROT, AISTATS 2026): abstract
           and code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from goracs.data.numbers import check_memory
from goracs.ot.cost import measure_scale
from goracs.ot.pool import open_pool
from goracs.search.canonical import canonical_order
from goracs.search.partial import Growing
from goracs.types import ByClass, Coreset, InvalidInput, SelectionProblem

Increments = Literal["exact", "approximate"]


@dataclass(frozen=True)
class UniProt:
    """The rows that greedy partial transport picks; ties go by the canonical order. Deterministic.

    Args:
        increments: exact or approximate.
        memory: GB for the distances of the whole pool (8 N m bytes), > 0; those of a larger pool are formed
            as they are needed, and the rows are the same.
        by_class: prototypes of each class.
    """

    increments: Increments
    memory: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has `mean_distance`, the transport of the coreset in feature units, and `judged`, how many
        increments were worked out.

        Raises:
            InvalidInput: other increments, a memory that is no number > 0, features without columns.
        """
        self._check()
        order = canonical_order(problem)
        scale = problem.scale or measure_scale(problem.features, problem.target_features, None)
        growing = Growing(
            open_pool(problem, order, None, 0.0, scale, self.memory), budget, self.increments == "exact"
        )
        for _ in range(budget):
            growing.add()
        report = {
            "mean_distance": growing.transport.value * scale.distance,
            "judged": growing.judged,
            "warnings": [],
        }
        return Coreset(order[growing.picked], budget, problem.pool_size, report)

    def _check(self) -> None:
        if self.increments not in get_args(Increments):
            known = " or ".join(get_args(Increments))
            raise InvalidInput(f"selector uniprot: increments must be {known}, got {self.increments!r}.")
        check_memory("selector uniprot", self.memory)
