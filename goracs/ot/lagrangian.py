"""The bound on the global optimum: a Lagrangian dual over all coresets of n rows.

Problem    min over n rows S and plans; each chosen row ships exactly 1/n, at most 1/m to a column.
Bound      L(v) = mean v + mean of the n smallest rho_i(v), for any prices v [m]: never above the optimum, and
           never below the plain bound that lets a row ship all of its mass to one column. What rounding can
           have added is taken off (`goracs.ot.cost.proven`), so large prices cannot feign a large bound.
Ascent     subgradient steps on L (`goracs.ot.subgradient`), which look at generated rows alone. A pass over
           the pool then prices all rows, gives the valid bound, and generates the rows that were missing.
Primal     how often a row was among the n cheapest approximates its share in the optimum of the relaxation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from goracs.ot.cheapest import Shape, shape, shares
from goracs.ot.cost import proven
from goracs.ot.pool import Pool
from goracs.ot.subgradient import FORGET, STEPS, lists, steps
from goracs.types import FloatArray, IndexArray

SPREAD = 4  # a pricing pass generates the SPREAD n cheapest rows
PASSES = 20  # pricing passes at most
PACE = 0.3  # of the first step, as a share of Polyak's: a whole one leaps too far from the first prices
RETREAT = 0.3  # of the pace is left after steps that a pass proves to lead down
ENOUGH = 0.01  # of the distance to the objective: less progress between two passes ends the ascent,
NEW = 0.05  # if the later pass generated fewer than NEW n rows
TIE = 1e-9  # what being among the n cheapest of the last pass adds to how often a row was chosen


@dataclass(frozen=True, eq=False)
class Generated:
    """The rows of the pool that are looked at closely.

    Args:
        rows: [G] int64, ascending.
        costs: [G, m] float64.
    """

    rows: IndexArray
    costs: FloatArray

    def with_rows(self, pool: Pool, more: IndexArray) -> Generated:
        """These and more rows."""
        new = np.setdiff1d(more, self.rows)
        if not len(new):
            return self
        rows = np.concatenate([self.rows, new])
        order = np.argsort(rows)
        costs = np.concatenate([self.costs, pool.rows(new)])
        return Generated(rows[order], costs[order])


@dataclass(frozen=True, eq=False)
class Ascent:
    """How far an ascent is, before a pass.

    Args:
        prices: [m], of the pass.
        generated: the rows it looks at.
        often: [G] how often each of them was among the n cheapest.
        bound, best: the largest valid bound so far, and the prices [m] where it was found.
        pace: of the next steps.
        turn: passes made.
    """

    prices: FloatArray
    generated: Generated
    often: FloatArray
    bound: float
    best: FloatArray
    pace: float
    turn: int

    def with_rows(self, pool: Pool, more: IndexArray) -> Ascent:
        """The same, looking at more rows."""
        generated = self.generated.with_rows(pool, more)
        often = np.zeros(len(generated.rows))
        often[np.searchsorted(generated.rows, self.generated.rows)] = self.often
        return replace(self, generated=generated, often=often)


@dataclass(frozen=True, eq=False)
class Dual:
    """What the ascent found.

    Args:
        bound: the largest valid bound, in the costs' unit.
        prices: [m] where it was found.
        generated: the rows it looked at.
        favoured: [n] int64, the generated rows most often among the n cheapest; most often first.
    """

    bound: float
    prices: FloatArray
    generated: Generated
    favoured: IndexArray


def bound(pool: Pool, prices: FloatArray, budget: int) -> float:
    """L(v) over the whole pool: a lower bound of the transport of any coreset of that size."""
    _, found = pool.cheapest(prices, shape(budget, pool.width), budget)
    return proven(prices, found, pool.low)


def sample(pool: Pool, count: int) -> Generated:
    """Rows evenly spread over the pool's order, to begin with."""
    rows = np.unique(np.linspace(0, pool.size - 1, min(count, pool.size)).astype(np.int64))
    return Generated(rows, pool.rows(rows))


def begin(prices: FloatArray, generated: Generated) -> Ascent:
    """An ascent from prices [m], looking at n rows at least."""
    return Ascent(prices, generated, np.zeros(len(generated.rows)), -np.inf, prices, PACE, 0)


def ascend(
    pool: Pool,
    budget: int,
    at: Ascent,
    objective: float,
    go_on: Callable[[float], bool],
    keep: Callable[[Ascent], None] = lambda _: None,
) -> Dual:
    """Raise the bound.

    Args:
        pool: N rows, m columns.
        budget: n.
        at: where to begin, or to go on.
        objective: the transport of some coreset: what the steps aim at.
        go_on: told the bound after each pass; False ends the ascent.
        keep: told before each pass where the ascent is.
    """
    spread = shape(budget, pool.width)
    while True:
        keep(at)
        rows, found = _priced(pool, at.prices, spread, min(SPREAD * budget, pool.size), at.generated)
        value, known = proven(at.prices, found[:budget], pool.low), len(at.generated.rows)
        at = at.with_rows(pool, rows)
        few = len(at.generated.rows) - known < NEW * budget
        settled = few and 0 <= value - at.bound < ENOUGH * (objective - value)
        at = _passed(at, value)
        if at.turn == PASSES or settled or not go_on(at.bound):
            break
        at = _climbed(at, budget, spread, objective)
    return Dual(at.bound, at.best, at.generated, _favoured(at, rows[:budget]))


def _priced(
    pool: Pool, prices: FloatArray, spread: Shape, count: int, generated: Generated
) -> tuple[IndexArray, FloatArray]:
    """The `count` cheapest rows of the pool; none of them is above as many of the generated ones."""
    known = shares(generated.costs, prices, spread)
    limit = np.inf if len(known) < count else float(np.partition(known, count - 1)[count - 1])
    return pool.cheapest(prices, spread, count, limit)


def _passed(at: Ascent, value: float) -> Ascent:
    """After a pass whose bound is `value`."""
    if value >= at.bound:
        return replace(at, bound=value, best=at.prices)
    # the steps went to where the rows and columns they looked at tell too little
    return replace(at, prices=at.best, pace=RETREAT * at.pace)


def _climbed(at: Ascent, budget: int, spread: Shape, objective: float) -> Ascent:
    """After STEPS steps on the generated rows."""
    near = lists(at.generated.costs, at.prices, spread.length)
    seen, prices = np.zeros(len(at.generated.rows)), at.prices.copy()
    pace = steps(near, prices, *spread, budget, objective, at.pace, seen)
    return replace(at, prices=prices, pace=pace, often=FORGET**STEPS * at.often + seen, turn=at.turn + 1)


def _favoured(at: Ascent, cheapest: IndexArray) -> IndexArray:
    """As many of the generated rows as are the cheapest of the last pass: those most often among them."""
    often = at.often.copy()
    often[np.searchsorted(at.generated.rows, cheapest)] += TIE
    found: IndexArray = at.generated.rows[np.lexsort((at.generated.rows, -often))[: len(cheapest)]]
    return found
