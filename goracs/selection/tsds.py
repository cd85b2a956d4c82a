"""TSDS: transport from validation to its nearest rows, spread for diversity and away from near-duplicates.

Problem    min over P >= 0 with P 1 = 1/m (a row of P for each validation row) of
               alpha / C <d, P> + (1 - alpha) max_ji m rho_i P_ji:
           a pool row takes at most t / (m rho_i) from a validation row, at a price for t. So each validation
           row fills its nearest rows in turn, and one number s = 1 / t says how far all of them get.
Density    rho_i = sum over candidates x of max(0, 1 - |x - x_i|^2 / sigma^2), itself among them: a row that
           is there twice takes half. Candidates are all rows that are a neighbour of some validation row.
Draws      rows with chance sum_j P_ji until n distinct ones are there; where fewer have a chance, the other
           places go to any rows alike, and a warning says so.
Departure  the authors draw with replacement, and a row may come twice. Their neighbours and densities are
           approximate, of at most N / 10 and 1,000 rows; here they are exact, and densities count all. Their
           code can ship more than 1/m to a first neighbour, or than t allows to a last one: here it cannot.
Cost       O(N m d), then O(P^2 d) for P candidates.
Memory     48 m `neighbours` bytes.
Source     Liu, Karbasi and Rekatsinas (TSDS, NeurIPS 2024), KNN-KDE: abstract and code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.ot import distance
from goracs.ot.neighbours import nearest
from goracs.search.canonical import canonical_order
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem


@dataclass(frozen=True)
class Tsds:
    """Rows drawn by transport that is spread out.

    Args:
        alpha: weight of the distance, 0..1; the rest is diversity's.
        unit: C, what distances are divided by, in feature units, > 0.
        sigma: how near rows count as duplicates, in feature units, > 0; 0: none do.
        neighbours: how many rows a validation row can reach, >= 1; at most the pool.
        by_class: rows are reached by validation rows of their own label.
    """

    alpha: float
    unit: float
    sigma: float
    neighbours: int
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = True

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`.

        The report has `reached`, how many pool rows have a chance, `mean_reach`, of how many a validation row
        gives some, and `mean_distance` of the transport, in feature units.

        Raises:
            InvalidInput: a number out of range; embeddings without columns, or too large for float64.
        """
        self._check()
        order = canonical_order(problem)
        points, count = problem.features[order], min(self.neighbours, problem.pool_size)
        rows, away = nearest(problem.target_features, points, count)
        density = self._densities(points, rows)
        plan = spread_out(away, density[rows], self.alpha, self.unit)
        chances = np.zeros(problem.pool_size)
        np.add.at(chances, rows, plan)
        reached = int((chances > 0).sum())
        report = {
            "reached": reached,
            "mean_reach": float((plan > 0).sum(axis=1).mean()),
            "mean_distance": float((plan * away).sum()),
            "warnings": _warnings(reached, budget),
        }
        return Coreset(order[drawn(chances, budget, rng)], budget, problem.pool_size, report)

    def _densities(self, points: FloatArray, rows: IndexArray) -> FloatArray:
        """[N] densities of the candidates among points; 1 elsewhere."""
        found = np.ones(len(points))
        if self.sigma > 0:
            candidates = np.unique(rows)
            found[candidates] = densities(points[candidates], self.sigma)
        return found

    def _check(self) -> None:
        bounds = {"alpha": (0, 1), "unit": (np.nextafter(0, 1), np.inf), "sigma": (0, np.inf)}
        for name, (low, high) in bounds.items():
            given: object = getattr(self, name)
            number = isinstance(given, (int, float)) and not isinstance(given, bool)
            if not number or not low <= given <= high or given == np.inf:  # type: ignore[operator]
                said = {"alpha": "in 0..1", "unit": "> 0", "sigma": ">= 0"}[name]
                raise InvalidInput(f"selector tsds: {name} must be a number {said}, got {given!r}.")
        count: object = self.neighbours
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidInput(f"selector tsds: neighbours must be a whole number >= 1, got {count!r}.")


def densities(points: FloatArray, sigma: float) -> FloatArray:
    """[P] sum of max(0, 1 - squared distance / sigma^2) over all points, 1 of them for the point itself.

    Args:
        points: [P, d] float.
        sigma: > 0.
    """
    found, size = np.empty(len(points)), max(1, distance.BLOCK_BYTES // (8 * len(points)))
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        away = np.minimum(distance.distances(points[part], points), sigma) / sigma
        found[part] = (1 - away**2).sum(axis=1)
    return found


def spread_out(away: FloatArray, density: FloatArray, alpha: float, unit: float) -> FloatArray:
    """The plan [m, K] of the problem above: what each validation row ships to its neighbours, 1 in all.

    The largest share of a row falls as 1/s while s grows, and distances are paid for: s stops at the first
    place where the next step would cost more than it spreads.

    Args:
        away: [m, K] float64; distances to the neighbours, ascending.
        density: [m, K] float64 >= 1; of the neighbours.
        alpha: 0..1.
        unit: C > 0.
    """
    filled = np.cumsum(1 / density, axis=1)  # s at which a neighbour is full
    s = filled[:, -1].min()  # no further: a row has no more neighbours
    turns = filled[:, :-1]
    order = np.argsort(turns, axis=None, kind="stable")
    paid = np.cumsum((turns * np.diff(away, axis=1)).ravel()[order])
    stop = alpha / unit * paid >= (1 - alpha) * len(away)
    if stop.any():
        s = min(s, turns.flat[order[stop.argmax()]])
    plan: FloatArray = np.diff(np.minimum(filled / s, 1), axis=1, prepend=0) / len(away)
    return plan


def drawn(chances: FloatArray, budget: int, rng: np.random.Generator) -> IndexArray:
    """[n] distinct rows, drawn one after the other in proportion to chances [N]; then any, all alike."""
    some = np.flatnonzero(chances > 0)
    if budget <= len(some):
        found: IndexArray = rng.choice(some, budget, replace=False, p=chances[some] / chances[some].sum())
        return found
    others = np.flatnonzero(chances == 0)
    return np.concatenate([some, rng.choice(others, budget - len(some), replace=False)])


def _warnings(reached: int, budget: int) -> list[str]:
    if reached >= budget:
        return []
    return [
        f"only {reached} rows take mass from validation: the other {budget - reached} are drawn from the "
        "rest; a smaller alpha spreads wider."
    ]
