"""Exact transport between a coreset and the validation set.

Problem    min <C, P> over P >= 0 with P 1 = 1/n and P' 1 = 1/m.
Dual       max mean u + mean v subject to u_i + v_j <= C_ij; equal to the primal at the optimum.
Arrays     C float64 [n, m], any unit, any sign.
At stake   what every plan pays in a row and in a column is taken off first (`_at_stake`). Of the rest R >= 0
           an optimal plan uses the small part; a cost that dwarfs it would hide it in its rounding. So where
           the first solution is not certified at the size of what it uses, costs are cut off a little above
           that and solved again. Duals that are feasible for min(R, cap) are so for R, and a plan that uses
           no cut cost is worth the same in both: no more is needed for a proof.
Result     certified: the plan has the marginals and differs from a feasible dual by rounding, relative to
           the costs at stake. If not: raises.
Not here   building C (`goracs.ot.cost`), choosing rows (`goracs.selection`).
Source     GORACS (KDD 2025), Eq. 10; solved by the network simplex of POT.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, replace

import numpy as np

from goracs.types import FloatArray, GoracsError, InvalidInput, numbers

CERTIFIED = 1e-11  # largest gap, relative to the costs at stake, that passes for rounding (seen: 1e-14)
UNIT = 2.0**-52  # what a dual may be off by, relative to the largest
LEAST = 1e-12  # of the costs at stake: a difference of two transports that counts
MARGINAL = 1e-9  # largest error of a row or column sum, relative to that sum
MAX_PIVOTS = 10**9  # never the reason to stop: the network simplex ends by itself
ROOM = 4  # a cap leaves so much above what was used


@dataclass(frozen=True, eq=False)
class Transport:
    """Optimal transport with its certificate.

    Args:
        value: the cost <C, P>, unit of C.
        plan: [n, m] float64; mass from each coreset row to each validation row, 1 in all.
        u: [n] float64; duals of the coreset rows.
        v: [m] float64; duals of the validation rows; u_i + v_j <= C_ij.
        gap: what value is above the dual's mean u + mean v, of the costs at stake; >= 0 but for rounding.
        size: the largest cost at stake that the plan uses (if that is 0, the smallest other): what gap is
            compared with.
    """

    value: float
    plan: FloatArray
    u: FloatArray
    v: FloatArray
    gap: float
    size: float

    @property
    def least(self) -> float:
        """The smallest difference from `value` that counts: less can be rounding, of value and duals too."""
        largest = max(abs(self.value), float(np.abs(self.u).max()), float(np.abs(self.v).max()))
        return LEAST * self.size + 8 * UNIT * largest


def solve(costs: FloatArray) -> Transport:
    """Optimal transport with uniform marginals on both sides.

    Args:
        costs: [n, m] float; finite.

    Raises:
        InvalidInput: no matrix, a cost that is not finite, or costs further apart than float64 reaches.
        GoracsError: the solver did not reach a certified optimum.
    """
    costs = _checked(costs)
    stake, rows, columns = _at_stake(costs)
    plan, v = _network_simplex(costs - costs.min())
    found = _judged(stake, stake, plan, v - columns)
    if _noise(found) > _allowed(found):
        found = _at_its_size(stake, found)
    certify(stake, found)
    return replace(found, value=float((found.plan * costs).sum()), u=found.u + rows, v=found.v + columns)


def _checked(costs: FloatArray) -> FloatArray:
    costs = np.asarray(numbers("a cost matrix", costs), dtype=np.float64)
    if costs.ndim != 2 or costs.size == 0:
        raise InvalidInput(f"transport needs a cost matrix [n, m] with entries, got shape {costs.shape}.")
    bad = np.flatnonzero(~np.isfinite(costs).all(axis=1))
    if len(bad):
        raise InvalidInput(f"transport needs finite costs; {len(bad)} rows are not: {bad[:10].tolist()}.")
    with np.errstate(over="ignore"):  # said in words
        if not np.isfinite(np.ptp(costs)):
            raise InvalidInput("transport needs costs that differ by what float64 reaches; rescale these.")
    return costs


def certify(costs: FloatArray, found: Transport) -> None:
    """Prove a solution optimal: marginals met, duals feasible, primal equal to dual, all up to rounding.

    Args:
        costs: [n, m] float64.
        found: what is said to be the solution.

    Raises:
        GoracsError: one of the three fails; says which.
    """
    n, m = costs.shape
    noise, allowed = _noise(found), _allowed(found)
    marginal = max(np.abs(found.plan.sum(axis=1) * n - 1).max(), np.abs(found.plan.sum(axis=0) * m - 1).max())
    faults = {
        "a negative mass in the plan": -float(found.plan.min()) > MARGINAL,
        f"marginals off by {marginal:.1e}": marginal > MARGINAL,
        "infeasible duals": float((costs - found.u[:, None] - found.v).min()) < -allowed,
        f"a duality gap of {noise:.1e} where costs of size {found.size:.1e} are at stake": noise > allowed,
    }
    failed = [fault for fault, present in faults.items() if present]
    if failed:
        raise GoracsError(
            f"the exact transport of a {n} x {m} cost matrix is not certified optimal: {', '.join(failed)}. "
            "Costs that span many orders of magnitude do this; look at the embeddings and gradients."
        )


def _noise(found: Transport) -> float:
    """How far off the gap may be said to be: itself, and what rounding of the duals hides."""
    return abs(found.gap) + UNIT * float(np.abs(found.v).max())


def _allowed(found: Transport) -> float:
    """The gap that passes for rounding; of costs near the smallest there are, some of their last digits."""
    return max(CERTIFIED * found.size, 8 * float(np.spacing(found.size)))


def _at_stake(costs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What is left of the costs, >= 0, and what rows [n] and columns [m] pay in any case.

    The minima of rows or of columns first, those that are further apart: what is second is rounded at their
    size.
    """
    rows, columns = costs.min(axis=1), costs.min(axis=0)
    if np.ptp(rows) >= np.ptp(columns):
        stake = costs - rows[:, None]
        columns = stake.min(axis=0)
        stake -= columns
    else:
        stake = costs - columns
        rows = stake.min(axis=1)
        stake -= rows[:, None]
    return stake, rows, columns


def _at_its_size(stake: FloatArray, found: Transport) -> Transport:
    """The solution with costs cut off closer and closer, until it is certified or no more can be cut."""
    size = np.inf
    while _noise(found) > _allowed(found) and found.size < size / 2:
        size = cap = found.size
        while True:
            cap *= ROOM
            costs = np.minimum(stake, cap)
            found = _judged(stake, costs, *_network_simplex(costs))
            if stake[found.plan > 0].max() <= cap:
                break
    return found


def _judged(stake: FloatArray, costs: FloatArray, plan: FloatArray, v: FloatArray) -> Transport:
    """A plan with what it is worth, and duals that are feasible for costs <= stake."""
    u = (costs - v).min(axis=1)
    value, used = float((plan * stake).sum()), float(stake[plan > 0].max())
    size = used if used > 0 else float(stake[stake > 0].min(initial=stake.max()))
    return Transport(value, plan, u, v, float(value - u.mean() - v.mean()), size)


def _network_simplex(costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Plan and column duals (up to a constant, which u takes up) by POT, given costs >= 0 mapped onto [0, 1].

    POT compares with absolute thresholds: tiny costs come back not optimal. Masses come in whole units of
    1 / lcm(n, m); what is less is rounding.
    """
    os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # else importing POT imports torch
    import ot

    n, m = costs.shape
    spread = costs.max() or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # told again by the log
        plan, log = ot.emd(
            np.full(n, 1 / n), np.full(m, 1 / m), costs / spread, numItermax=MAX_PIVOTS, log=True
        )
    if log["warning"] is not None:
        raise GoracsError(f"the exact transport of a {n} x {m} cost matrix did not end: {log['warning']}")
    plan[np.abs(plan) < 0.5 / math.lcm(n, m)] = 0
    return plan, log["v"] * spread
