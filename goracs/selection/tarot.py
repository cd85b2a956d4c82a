"""TAROT: take each validation row's best pool rows, layer by layer, in whitened gradients.

Likeness   the cosine of x and y after whitening, z = L^-1 (x - mean) with L L' the covariance of pool and
           validation together plus a ridge: directions in which all gradients vary count no more than others.
Layers     the k-th holds every validation row's k-th best pool row. Whole layers are taken while they fit;
           of the first that does not, its new rows of largest potential in the entropic transport from them
           to validation, at the cost sqrt(2 - 2 cosine).
Departure  the released code multiplies rows by L^-1 where whitening takes L^-T (a row on the left), which
           leaves the directions correlated. Its ridge is 1e-5 whatever the gradients' unit: here it is a
           share of the mean variance.
Cost       O((N + m) k^2) to whiten, O(N m) cosines held.
Golden     tarot.npz.
Not here   its form without a budget, which grows k until the transport to held-out folds stops falling.
Rounding   a cosine is taken to 12 digits: what the order of sums in a decomposition moves decides nothing.
Source     Feng, Nie, Liu and Alahi (TAROT) and its code; the annealed Sinkhorn steps are those of geomloss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from goracs.features.representation import unit
from goracs.search.canonical import canonical_order
from goracs.selection.alignment import both_sides, largest, products
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

DIGITS = 12
BLUR, HALVING = 0.01, 0.5  # the smallest width of the transport, and what each step multiplies it by


@dataclass(frozen=True)
class Tarot:
    """The rows of the first layers; ties go by the canonical order. Deterministic.

    Args:
        ridge: what is added to the covariance's diagonal, > 0, as a share of its mean.
        by_class: layers of each class.
    """

    ridge: float
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"sketch"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the number of whole `layers`, how many rows of the next were chosen `by_potential`, and
        `nearest_cosine`: the mean over validation rows of the likeness of the chosen row most like it.

        Raises:
            InvalidInput: a ridge that is no number > 0; no `sketch` of both sides in one width.
        """
        given: object = self.ridge
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < np.inf:
            raise InvalidInput(f"selector tarot: ridge must be a number > 0, got {given!r}.")
        sides = both_sides(problem, "sketch", "selector tarot")
        order = canonical_order(problem)
        pool, target = whitened(sides[0][order].astype(np.float64), sides[1].astype(np.float64), self.ridge)
        rows, layers, by_potential = layered(unit(pool), unit(target), budget)
        nearest = likeness(unit(pool[rows]), unit(target)).max(axis=0).mean()
        report = {
            "layers": layers,
            "by_potential": by_potential,
            "nearest_cosine": float(nearest),
            "warnings": [] if pool.any() else ["all sketches are equal: no row is likelier than another."],
        }
        return Coreset(order[rows], budget, problem.pool_size, report)


def whitened(pool: FloatArray, target: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    """Both sides [., k] float64, together of mean 0 and covariance I up to the ridge; 0 if all are equal."""
    from scipy.linalg import solve_triangular

    both = np.concatenate([pool, target])
    both -= both.mean(axis=0)
    covariance = both.T @ both / len(both)
    variance = np.trace(covariance) / len(covariance)
    if variance > 0:
        try:
            lower = np.linalg.cholesky(covariance + ridge * variance * np.eye(len(covariance)))
        except np.linalg.LinAlgError as error:
            raise InvalidInput(
                f"selector tarot: with ridge={ridge} the sketches' covariance has no inverse in float64: "
                "raise it."
            ) from error
        both = solve_triangular(lower, both.T, lower=True).T
    return both[: len(pool)], both[len(pool) :]


def layered(pool: FloatArray, target: FloatArray, budget: int) -> tuple[IndexArray, int, int]:
    """The rows of whole layers, then of the next by potential; how many layers, how many rows of the next.

    Args:
        pool: [N, k] float64, rows of norm 1 or 0.
        target: [m, k] float64, likewise.
        budget: n, 1..N.

    Returns:
        [n] int64 distinct rows; two numbers.
    """
    depth = 1
    while True:
        taken = np.empty(0, np.int64)
        for layer, rows in enumerate(best_rows(pool, target, depth)):
            new = np.setdiff1d(rows, taken)
            room = budget - len(taken)
            if len(new) > room:
                values = potentials(pool[new], target)
                return np.concatenate([taken, new[largest(values, room)]]), layer, room
            taken = np.concatenate([taken, new])
            if len(taken) == budget:
                return taken, layer + 1, 0
        depth = min(4 * depth, len(pool))


def best_rows(pool: FloatArray, target: FloatArray, depth: int) -> IndexArray:
    """[depth, m] the pool rows most like each target row, best first, ties to the smaller index."""
    found, rows = np.empty((0, len(target))), np.empty((0, len(target)), np.int64)
    start = 0
    for block in products(pool, np.arange(len(pool)), target):
        here = np.arange(start, start + len(block))[:, None]
        found = np.concatenate([found, np.round(block, DIGITS)])
        rows = np.concatenate([rows, np.broadcast_to(here, block.shape)])
        first = np.argsort(-found, axis=0, kind="stable")[:depth]
        found, rows = np.take_along_axis(found, first, 0), np.take_along_axis(rows, first, 0)
        start += len(block)
    return rows


def likeness(rows: FloatArray, target: FloatArray) -> FloatArray:
    """[B, m] cosines of rows of norm 1."""
    return np.concatenate(list(products(rows, np.arange(len(rows)), target)))


def potentials(rows: FloatArray, target: FloatArray) -> FloatArray:
    """[B] of rows, in the entropic transport between rows and target rows with uniform weights.

    Sinkhorn's steps with both sides at once and averaged, while the width of the transport halves from the
    diameter of the points to `BLUR`; a last step of each side ends them.
    """
    from scipy.special import logsumexp

    costs = np.sqrt(np.abs(2 - 2 * likeness(rows, target)))
    both = np.concatenate([rows, target])
    own, other = (-np.log(len(side)) for side in (rows, target))

    def of_rows(eps: float, prices: FloatArray) -> FloatArray:
        return np.asarray(-eps * logsumexp(other + (prices - costs) / eps, axis=1))

    def of_target(eps: float, prices: FloatArray) -> FloatArray:
        return np.asarray(-eps * logsumexp(own + (prices[:, None] - costs) / eps, axis=0))

    steps = widths(float(np.linalg.norm(np.ptp(both, axis=0))))
    f, g = of_rows(steps[0], np.zeros(len(target))), of_target(steps[0], np.zeros(len(rows)))
    for eps in steps:
        f, g = (f + of_rows(eps, g)) / 2, (g + of_target(eps, f)) / 2
    return np.round(of_rows(steps[-1], g), DIGITS)


def widths(diameter: float) -> list[float]:
    """The squared widths of the steps: from the diameter, by halves, to the blur."""
    start = max(diameter, BLUR)
    falling = np.exp(np.arange(2 * np.log(start), 2 * np.log(BLUR), 2 * np.log(HALVING)))
    return [start**2, *falling.tolist(), BLUR**2]
