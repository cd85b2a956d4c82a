"""What the released file does, its defects included, so that the comparison is in the house.

Start      `goracs.search.greedy`.
Pairs      with f_j = min_{i in S} (C_ij - u_i) for every row (the mask that should leave p out has no effect)
           and y_q the R-th LARGEST of C_qj - f_j, R = ceil(m/n) (the maximiser is the R-th smallest):
           score(q) = y_q/n + (1/m) sum_j min(C_qj - f_j - y_q, 0). The `candidates` rows of S of largest
           score go, the largest last; the `candidates` others of smallest score come, the smallest first; the
           first pair that lowers transport is taken.
By class   distances are not divided by their maximum, so `lam` means something else than in the plain form.
Refused    what has no coreset of n rows there: a class that gets budget 0 (it returns n + 1 rows), a class
           that is missing or smaller than its budget (it crashes), classes other than 0 and 1.
Cost       as `goracs_paper`.
Golden     goracs_itra.npz.
Not here   its float32, and the order of tied rows (canonical here).
Source     the code of GORACS (KDD 2025), codes/select/ITRA.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from goracs.ot import exact
from goracs.search.exchange import Method
from goracs.selection.by_exchange import select, undivided, whole_number
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

BLOCK = 1024  # pool rows that are scored at once


@dataclass(frozen=True)
class GoracsReleased:
    """The coreset that the released file finds. Deterministic.

    Args:
        lam: weight of the gradient term, finite, >= 0; above 0 the score `gradient_norm` is needed.
        max_exchanges: at most so many, >= 0; 0 leaves the greedy start.
        candidates: so many rows out are paired with so many rows in, >= 1.
        by_class: one problem for each of the labels 0 and 1.
    """

    lam: float
    max_exchanges: int
    candidates: int
    by_class: ByClass

    @property
    def needs(self) -> frozenset[str]:
        """Embeddings, and gradient norms where they count."""
        return frozenset({"features", "gradient_norm"} if self.lam > 0 else {"features"})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`, and `goracs.selection.by_exchange.select` for report and trace.

        Raises:
            InvalidInput: a parameter out of its range, or a needed score missing.
        """
        whole_number("goracs_released", "max_exchanges", self.max_exchanges, 0)
        whole_number("goracs_released", "candidates", self.candidates, 1)
        rescale = undivided if self.by_class else lambda scale: scale
        return select(problem, budget, self.lam, self.max_exchanges, released(self.candidates), rescale)

    def class_budgets(
        self, pool: Mapping[int, int], target: Mapping[int, int], budget: int
    ) -> dict[int, int]:
        """The rows of classes 0 and 1, rounded as there, from the share of 1 in the validation set.

        Raises:
            InvalidInput: it would not return n rows.
        """
        if set(pool) != {0, 1} or set(target) != {0, 1}:
            raise _refused(
                "the released code knows the labels 0 and 1 and needs both in pool and validation set; found "
                f"{sorted(pool)} and {sorted(target)}."
            )
        ones = round(float(np.float32(target[1]) / np.float32(target[0] + target[1])) * budget)
        for label, rows in ((0, budget - ones), (1, ones)):
            if rows == 0:
                raise _refused(
                    f"class {label} gets none of {budget} rows, where the released code returns one of it, "
                    f"{budget + 1} in all. Raise the budget."
                )
            if rows > pool[label]:
                raise _refused(
                    f"class {label} should give {rows} rows and has {pool[label]}, where the released code "
                    "crashes. Lower the budget."
                )
        return {0: budget - ones, 1: ones}


def released(candidates: int) -> Method:
    """The search; any gain counts, be it rounding."""
    from goracs.search.greedy import greedy

    def pairs(
        costs: FloatArray, rows: IndexArray, now: exact.Transport, _below: float
    ) -> list[tuple[int, int]]:
        return pruned(costs, rows, now.u, candidates)

    return Method("goracs_released", greedy, pairs, 0.0)


def pruned(costs: FloatArray, rows: IndexArray, u: FloatArray, candidates: int) -> list[tuple[int, int]]:
    """The pairs (place to empty, row to put in) that are tried, in that order; u [n] duals of the rows."""
    score = scores(costs, rows, u)
    others = np.setdiff1d(np.arange(len(costs)), rows)
    come = others[np.argsort(score[others], kind="stable")[:candidates]]
    go = np.argsort(score[rows], kind="stable")[-candidates:]
    return list(product(go.tolist(), come.tolist()))


def scores(costs: FloatArray, rows: IndexArray, u: FloatArray) -> FloatArray:
    """[N] the score of every row of costs [N, m]."""
    n, m = len(rows), costs.shape[1]
    least = m - -(-m // n)  # the place of the R-th largest
    f = (costs[rows] - u[:, None]).min(axis=0)
    found = np.empty(len(costs))
    for first in range(0, len(costs), BLOCK):
        table = costs[first : first + BLOCK] - f
        table.partition(least, axis=1)
        y = table[:, least]
        found[first : first + BLOCK] = y / n + (table[:, :least].sum(axis=1) - least * y) / m
    return found


def _refused(reason: str) -> InvalidInput:
    advice = "Or set by_class=false, or take goracs_paper."
    return InvalidInput(f"selector goracs_released by class: {reason} {advice}")
