"""Exact transport between a coreset and the validation set.

Problem    min <C, P> over P >= 0 with P 1 = 1/n and P' 1 = 1/m.
Dual       max mean u + mean v subject to u_i + v_j <= C_ij; equal to the primal at the optimum.
Arrays     C float64 [n, m], any unit, any sign.
Result     certified: the plan has the marginals and differs from a feasible dual by rounding. If not: raises.
Not here   building C (`goracs.ot.cost`), choosing rows (`goracs.selection`).
Source     GORACS (KDD 2025), Eq. 10; solved by the network simplex of POT.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np

from goracs.types import FloatArray, GoracsError, InvalidInput

CERTIFIED = 1e-11  # largest gap, relative to max|C|, that passes for rounding (seen: 1e-14)
MARGINAL = 1e-9  # largest error of a row or column sum, relative to that sum
MAX_PIVOTS = 10**9  # never the reason to stop: the network simplex ends by itself


@dataclass(frozen=True, eq=False)
class Transport:
    """Optimal transport with its certificate.

    Args:
        value: the cost <C, P>, unit of C.
        plan: [n, m] float64; mass from each coreset row to each validation row, 1 in all.
        u: [n] float64; duals of the coreset rows, the largest that `v` allows: u_i = min_j (C_ij - v_j).
        v: [m] float64; duals of the validation rows.
        gap: value - (mean u + mean v), unit of C; >= 0 but for rounding.
    """

    value: float
    plan: FloatArray
    u: FloatArray
    v: FloatArray
    gap: float


def solve(costs: FloatArray) -> Transport:
    """Optimal transport with uniform marginals on both sides.

    Args:
        costs: [n, m] float; finite.

    Raises:
        InvalidInput: no matrix, or a cost that is not finite.
        GoracsError: the solver did not reach a certified optimum.
    """
    costs = np.asarray(costs, dtype=np.float64)
    if costs.ndim != 2 or costs.size == 0:
        raise InvalidInput(f"transport needs a cost matrix [n, m] with entries, got shape {costs.shape}.")
    bad = np.flatnonzero(~np.isfinite(costs).all(axis=1))
    if len(bad):
        raise InvalidInput(f"transport needs finite costs; {len(bad)} rows are not: {bad[:10].tolist()}.")
    plan, v = _network_simplex(costs)
    u = (costs - v).min(axis=1)
    value = float((plan * costs).sum())
    found = Transport(value, plan, u, v, gap=float(value - u.mean() - v.mean()))
    certify(costs, found)
    return found


def certify(costs: FloatArray, found: Transport) -> None:
    """Prove a solution optimal: marginals met, duals feasible, primal equal to dual, all up to rounding.

    Args:
        costs: [n, m] float64.
        found: what is said to be the solution.

    Raises:
        GoracsError: one of the three fails; says which.
    """
    n, m = costs.shape
    size = float(np.abs(costs).max())
    marginal = max(np.abs(found.plan.sum(axis=1) * n - 1).max(), np.abs(found.plan.sum(axis=0) * m - 1).max())
    faults = {
        "a negative mass in the plan": -float(found.plan.min()) > MARGINAL,
        f"marginals off by {marginal:.1e}": marginal > MARGINAL,
        "infeasible duals": float((costs - found.u[:, None] - found.v).min()) < -CERTIFIED * size,
        f"a duality gap of {found.gap:.1e} at costs of size {size:.1e}": abs(found.gap) > CERTIFIED * size,
    }
    failed = [fault for fault, present in faults.items() if present]
    if failed:
        raise GoracsError(
            f"the exact transport of a {n} x {m} cost matrix is not certified optimal: {', '.join(failed)}. "
            "Costs that span many orders of magnitude do this; look at the embeddings and gradients."
        )


def _network_simplex(costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Plan and column duals (up to a constant, which u takes up) by POT, given costs mapped onto [0, 1].

    POT compares with absolute thresholds: very negative costs come back infeasible, tiny ones not optimal.
    """
    os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # else importing POT imports torch
    import ot

    n, m = costs.shape
    low = costs.min()
    spread = (costs.max() - low) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # told again by the log
        plan, log = ot.emd(
            np.full(n, 1 / n), np.full(m, 1 / m), (costs - low) / spread, numItermax=MAX_PIVOTS, log=True
        )
    if log["warning"] is not None:
        raise GoracsError(f"the exact transport of a {n} x {m} cost matrix did not end: {log['warning']}")
    return plan, log["v"] * spread
