"""The paper's algorithm as the mathematics has it: facility location, then exchanges ordered by the bound.

Problem    min over n rows S of POO(S) = OT_c(S, V), c_ij = d_ij / max d - lam * g_i / max g.
Method     stage 1 `goracs.search.starts.facility`; stage 2 `goracs.search.exchange` over the pairs of
           lowest bound (`goracs.search.bounds`), one cold solve each. What does better: `selector=goracs`.
Cost       for each exchange at most candidates^2 exact transports of n x m; N x m costs are held.
Golden     goracs_itra.npz, swap_bounds.npz.
Not here   the label-enhanced form (`goracs.selection.by_class`).
Source     GORACS (KDD 2025), Algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from goracs.ot import exact
from goracs.search.exchange import Method
from goracs.selection.by_exchange import select, undivided, whole_number
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class GoracsPaper:
    """The coreset of small POO that greedy and exchanges find. Deterministic.

    Args:
        lam: weight of the gradient term, finite, >= 0; above 0 the score `gradient_norm` is needed.
        max_exchanges: at most so many, >= 0; 0 leaves the greedy start.
        candidates: at most candidates^2 pairs are solved for each exchange, >= 1 (the paper's code pairs so
            many rows out with as many rows in).
        by_class: one problem for each label.
        distances: divided by their maximum or undivided while lam is applied; published: undivided by class,
            divided otherwise, as the released code has it. lam on undivided distances weighs the gradients as
            lam / max d does on divided ones (`lam_divided` in the report).
    """

    lam: float
    max_exchanges: int
    candidates: int
    by_class: ByClass
    distances: Literal["divided", "undivided", "published"]

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
        whole_number("goracs_paper", "max_exchanges", self.max_exchanges, 0)
        whole_number("goracs_paper", "candidates", self.candidates, 1)
        if self.distances not in ("divided", "undivided", "published"):
            raise InvalidInput(
                "selector goracs_paper: distances must be divided, undivided or published, "
                f"got {self.distances!r}."
            )
        whole = self.distances == "divided" or (self.distances == "published" and not self.by_class)
        rescale = (lambda scale: scale) if whole else undivided
        return select(problem, budget, self.lam, self.max_exchanges, paper(self.candidates), rescale)


def paper(candidates: int) -> Method:
    """The search, at most candidates^2 solves for each exchange; a gain that could be rounding is none."""
    from goracs.search import bounds, starts

    def pairs(
        costs: FloatArray, rows: IndexArray, now: exact.Transport, below: float
    ) -> list[tuple[int, int]]:
        return bounds.promising(costs, rows, now.u, below, candidates**2)

    return Method("goracs_paper", starts.facility, pairs, exact.CERTIFIED)
