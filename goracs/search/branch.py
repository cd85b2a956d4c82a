"""The optimum, proven: branch and bound on the Lagrangian, with the transport as primal side.

Node       some rows are in, some out; its bound is raised from the prices of its parent (`goracs.ot.node`),
           which also fixes rows. The n rows that the bound is made of are a coreset: what it is worth is
           worked out by swaps from the last one.
Branching  on the row most often in doubt: nearest to being half of the time among the n.
Order      the node of lowest bound first, so that the lowest bound of all open nodes rises; depth first
           while more nodes are open than OPEN bytes hold.
Proof      no node is left: one is closed where its bound reaches the best value but for rounding, where its
           n rows meet every column, or where it has one coreset left, whose worth is exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from goracs.ot import exact
from goracs.ot.cheapest import shape
from goracs.ot.cost import UNIT
from goracs.ot.exact import Transport
from goracs.ot.incremental import OpenTransport
from goracs.ot.node import FREE, IN, OUT, cheapest_of_node, climb, settle
from goracs.types import FloatArray, IndexArray

ROOT_STEPS, STEPS = 600, 60
ROOT_PACE, PACE = 1.0, 0.5  # a node begins at least so fast
OPEN = 2**28
ROUNDING = 32 * UNIT  # of the size of prices and costs, a term: what `proven` takes off is below that
DOUBT = 1e-9  # of a row that was among the n all of the time, or never


class Found(NamedTuple):
    """Where a branch and bound ended.

    rows [n], ascending, and value: of a better coreset, or of the one it began with. bound: of all coresets.
    nodes: looked at.
    """

    rows: IndexArray
    value: float
    bound: float
    nodes: int


class _Node(NamedTuple):
    """bound: of its parent. number: in order of making. state [K]. prices [m], pace: of its parent."""

    bound: float
    number: int
    state: Any
    prices: FloatArray
    pace: float


def branch(
    costs: FloatArray, rows: IndexArray, held: Transport, bound: float, go_on: Callable[[float], bool]
) -> Found:
    """Look for a coreset that is better by more than rounding, until one is found or there is none.

    Args:
        costs: [K, m] float64 of the rows to choose from.
        rows: [n] int64, ascending: the best coreset known.
        held: its transport.
        bound: known of all coresets.
        go_on: told the bound before each node; False ends it.
    """
    return _Tree(costs, rows, held, bound).run(go_on)


class _Tree:
    """The nodes still open, and the lowest bound of the closed ones."""

    def __init__(self, costs: FloatArray, rows: IndexArray, held: Transport, bound: float) -> None:
        self.costs, self.rows, self.value = costs, rows, held.value
        self.shape, self.low = shape(len(rows), costs.shape[1]), float(costs.min())
        size = max(abs(held.value), abs(self.low), float(np.abs(held.v).max()))
        self.limit = held.value - held.least - ROUNDING * (len(rows) + costs.shape[1]) * size
        self.places, self.open, self.known = rows.copy(), OpenTransport(costs[rows]), {rows.tobytes()}
        root = _Node(bound, 0, np.full(len(costs), FREE, np.int8), held.v, ROOT_PACE)
        self.heap, self.stack = [root], list[_Node]()
        self.most = OPEN // (len(costs) + 8 * costs.shape[1])
        self.closed, self.nodes, self.made = held.value, 0, 0

    @property
    def bound(self) -> float:
        """Of all coresets."""
        lowest = self.heap[0].bound if self.heap else self.closed
        return min([self.closed, lowest, *(node.bound for node in self.stack)])

    def run(self, go_on: Callable[[float], bool]) -> Found:
        """Look at one node after the other."""
        better = None
        while better is None and (self.heap or self.stack) and go_on(self.bound):
            better = self._look(self.stack.pop() if self.stack else heapq.heappop(self.heap))
        rows, value = better or (self.rows, self.value)
        return Found(rows, value, self.bound, self.nodes)

    def _look(self, node: _Node) -> tuple[IndexArray, float] | None:
        """Close a node, or open its two parts; or a better coreset."""
        self.nodes += 1
        state, prices, n = node.state.copy(), node.prices.copy(), len(self.rows)
        share, rho = np.empty(len(state)), np.empty(len(state))
        steps, pace = (STEPS, max(PACE, node.pace)) if node.number else (ROOT_STEPS, ROOT_PACE)
        own, solved, pace = climb(
            self.costs, state, prices, n, *self.shape, self.low, self.limit, steps, pace, share, rho
        )
        bound = max(own, node.bound)
        better = self._better(cheapest_of_node(rho, state, n))
        if better is not None:
            self.closed = min(self.closed, bound)  # it is not done with, but the tree is
            return better
        settle(state, rho, own, self.limit, n)  # of the same prices as rho
        one_left = n in ((state == IN).sum(), (state != OUT).sum())
        if solved or one_left or bound >= self.limit:
            self.closed = min(self.closed, self.limit if one_left else bound)
            return None
        self._part(_Node(bound, self.made, state, prices, pace), share)
        return None

    def _better(self, chosen: IndexArray) -> tuple[IndexArray, float] | None:
        """These n rows with what they are worth, if that is new and below the limit."""
        if chosen.tobytes() in self.known:
            return None
        self.known.add(chosen.tobytes())
        come = np.setdiff1d(chosen, self.places)
        for place, row in zip(np.flatnonzero(~np.isin(self.places, chosen)), come, strict=True):
            self.open.swap(int(place), self.costs[row])
            self.places[place] = row
        if self.open.value >= self.limit:
            return None
        value = exact.solve(self.costs[chosen]).value
        return (chosen, value) if value < self.limit else None

    def _part(self, node: _Node, share: FloatArray) -> None:
        """Open a node with the row most in doubt in, and one with it out."""
        doubt = np.where(node.state == FREE, share * (1 - share) + DOUBT, 0)
        for choice in (OUT, IN):
            state = node.state.copy()
            state[doubt.argmax()] = choice
            self.made += 1
            child = node._replace(number=self.made, state=state)
            if len(self.heap) < self.most:
                heapq.heappush(self.heap, child)
            else:
                self.stack.append(child)
