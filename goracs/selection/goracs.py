"""GORACS: greedy start, then exchanges, under exact optimal transport.

Problem    min over n rows S of POO(S) = OT_c(S, V), c_ij = d_ij / max d - lam * g_i / max g.
Method     stage 1 `goracs.selection.greedy`, stage 2 `goracs.selection.exchange`.
Not here   the label-enhanced form (`goracs.selection.by_class`), the engine that makes it fast.
Source     GORACS (KDD 2025), Algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.ot import cost
from goracs.selection.canonical import canonical_order
from goracs.selection.exchange import exchange
from goracs.selection.greedy import greedy
from goracs.selection.report import gradient_norms, objective, scale_warnings
from goracs.types import Coreset, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Goracs:
    """The coreset of smallest POO that greedy and exchanges find. Deterministic.

    Args:
        lam: weight of the gradient term, finite, >= 0; above 0 the score `gradient_norm` is needed.
        max_exchanges: at most so many, >= 0; 0 leaves the greedy start.
        candidates: at most candidates^2 pairs are solved exactly for each exchange, >= 1.
        by_class: one problem for each label.
    """

    lam: float
    max_exchanges: int
    candidates: int
    by_class: bool

    @property
    def needs(self) -> frozenset[str]:
        """Embeddings, and gradient norms where they count."""
        return frozenset({"features", "gradient_norm"} if self.lam > 0 else {"features"})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the trace is the POO after each exchange, falling.

        Raises:
            InvalidInput: a parameter out of its range, or a needed score missing.
        """
        _checked("max_exchanges", self.max_exchanges, 0)
        _checked("candidates", self.candidates, 1)
        norms = gradient_norms(problem, self.lam, "selector goracs")
        order = canonical_order(problem)
        found = cost.distances(problem.features[order], problem.target_features)
        scale = problem.scale or cost.unit_scale(found.max(), None if norms is None else norms.max())
        costs = cost.ground_cost(found, None if norms is None else norms[order], self.lam, scale)
        end = exchange(costs, greedy(costs, budget), self.max_exchanges, self.candidates)
        rows = np.sort(end.rows)
        report = {
            **objective(found[rows], None if norms is None else norms[order][rows], self.lam, scale),
            "exchanges": end.exchanges,
            "solves": end.solves,
            "warnings": scale_warnings(problem, norms),
        }
        return Coreset(order[rows], budget, problem.pool_size, report, end.trace)


def _checked(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"selector goracs: {name} must be a whole number >= {least}, got {value!r}.")
