"""Is a transport optimal? Asked of its plan and duals alone, by arithmetic that no solver shares.

Checks     plan in whole units of 1 / lcm(n, m) with the marginals; duals below every cost; no mass where a
           dual is below its cost (complementary slackness); the dual worth as much as the plan.
Numbers    exact fractions up to `EXACT` costs, above it extended precision (of float64, where that is all).
Allowed    `ROUNDING` of the largest cost at stake, and what the last digit of the largest cost is worth.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from goracs.ot.exact import Transport
from goracs.types import FloatArray

ROUNDING = 1e-9  # of the largest cost at stake: as much may be rounding
EXACT = 20_000  # costs: a second


def faults(costs: FloatArray, found: Transport) -> list[str]:
    """What is wrong with a transport, in words; nothing where it is proven optimal.

    Args:
        costs: [n, m] float64, any sign.
        found: what is said to be the optimum.
    """
    n, m = costs.shape
    units = lcm(n, m)
    masses = np.rint(found.plan * units)
    wrong = {
        "masses that are no whole units": bool(np.abs(found.plan * units - masses).max() > 1e-6),
        "marginals": bool((masses.sum(1) != units // n).any() or (masses.sum(0) != units // m).any()),
        "a negative mass": bool(masses.min() < 0),
        **_of_duals(costs, found, masses, units),
    }
    return [fault for fault, present in wrong.items() if present]


def _of_duals(costs: FloatArray, found: Transport, masses: FloatArray, units: int) -> dict[str, bool]:
    n, m = costs.shape
    exact = costs.size <= EXACT
    table, u, v = (_numbers(array, exact) for array in (costs, found.u, found.v))
    plan = _numbers(masses, exact)
    allowed: Any = allowed_rounding(costs, found.size)
    if not exact:
        allowed = np.longdouble(float(allowed))
    rounding = type(allowed)(2.0**-46 * float(np.abs(costs).max()))  # of a sum of such costs
    slack = table - u[:, None] - v
    primal, dual = (table * plan).sum() / units, u.sum() / n + v.sum() / m
    return {
        "a dual above its cost": slack.min() < -allowed,
        "mass where a dual is below its cost": (slack * (masses > 0)).max() > allowed * units,
        "a gap": abs(primal - dual) > allowed,
        "a value that is not the plan's": abs(found.value - primal) > allowed + rounding,
    }


def allowed_rounding(costs: FloatArray, at_stake: float) -> Fraction:
    """What may be rounding of costs [n, m] of which the largest that counts is `at_stake`."""
    return Fraction(ROUNDING) * Fraction(at_stake) + 64 * Fraction(float(np.spacing(np.abs(costs).max())))


def _numbers(array: FloatArray, exact: bool) -> Any:
    """The same values as numbers that are not rounded, or less."""
    if not exact:
        return array.astype(np.longdouble)
    return np.array([Fraction(float(value)) for value in array.ravel()], object).reshape(array.shape)
