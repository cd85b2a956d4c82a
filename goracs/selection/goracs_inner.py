"""GORACS with another gain: how much a step along a row's gradient does for validation, not how large it is.

Problem    that of `goracs.selection.goracs` with a gain for the gradient norm,
               a_i = <s_i, mean_j s_j>,   c_ij = d_ij / max d - lam * (a_i - min a) / (max a - min a),
           s the sketches of pool and validation: a_i is, to first order, what that step takes off the mean
           loss of validation.
Signs      a gain may be negative. Every row of a coreset carries 1/n, so what is added to all gains moves no
           arg-min: the smallest counts as 0, and the span as 1 where it is 0.
By class   a gain is measured against validation's rows of its class, and its span is that of the class.
Cost       as `goracs`, and O(N k) for sketches of k numbers.
Source     an ablation of GORACS (KDD 2025), Eq. 10; the gain is that of Pruthi et al. (TracIn, NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from goracs.ot import cost
from goracs.search.canonical import canonical_order
from goracs.search.watch import Watch
from goracs.selection import auto
from goracs.selection.alignment import both_sides, products, task_means
from goracs.selection.goracs import Goracs
from goracs.types import Coreset, FloatArray, Scale, SelectionProblem

READER = "selector goracs_inner"


@dataclass(frozen=True)
class GoracsInner(Goracs):
    """As `goracs.selection.goracs.Goracs`, its fields too; lam weighs the gain."""

    @property
    def needs(self) -> frozenset[str]:
        """Features, sketches, and what lam=auto judges by."""
        return frozenset({"features", "sketch"}) | (auto.NEEDS if self.lam == "auto" else frozenset())

    def search(
        self, problem: SelectionProblem, budget: int, rng: np.random.Generator, watch: Watch
    ) -> Coreset:
        """As `Goracs.search`.

        Returns: a coreset whose report has `mean_gain` and `gain_span` (max a - min a), in squared units of
            the sketches, in place of `mean_gradient` and `max_gradient`; `poo` and bounds are with the gain.

        Raises:
            InvalidInput: as there; no `sketch` of both sides in one width, or too large for float64.
        """
        gains = alignments(problem)
        lifted = gains - gains.min()
        scale = problem.scale or cost.measure_scale(problem.features, problem.target_features, None)
        posed = replace(
            problem,
            scores={**problem.scores, "gradient_norm": lifted},
            scale=Scale(scale.distance, float(lifted.max()) or 1.0),
        )
        found = super().search(posed, budget, rng, watch)
        return replace(found, report=_told(found, gains, _warnings(problem, lifted)))


def alignments(problem: SelectionProblem) -> FloatArray:
    """[N] float64; of each pool row, the inner product of its sketch with the mean of validation's.

    Raises:
        InvalidInput: no `sketch` of both sides in one width, or too large for float64.
    """
    pool, target = both_sides(problem, "sketch", READER)
    order, gains = canonical_order(problem), np.empty(problem.pool_size)
    means = task_means(problem, target, "all", READER)
    gains[order] = np.concatenate(list(products(pool, order, means)))[:, 0]
    return gains


def _told(found: Coreset, gains: FloatArray, warnings: list[str]) -> Mapping[str, Any]:
    report = {name: value for name, value in found.report.items() if not name.endswith("_gradient")}
    own = {"mean_gain": float(gains[found.indices].mean()), "gain_span": float(np.ptp(gains))}
    return {**report, **own, "warnings": warnings}


def _warnings(problem: SelectionProblem, lifted: FloatArray) -> list[str]:
    features, target = problem.features, problem.target_features
    said = cost.degenerate_terms(features, target, None) if problem.scale is None else []
    return said + ([] if lifted.any() else ["all gains are equal: they tell no row from another."])
