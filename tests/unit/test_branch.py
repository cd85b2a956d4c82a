"""Branch and bound: the optimum by enumeration and by MIP, the bounds of nodes, and what ends it early."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from goracs.ot import exact
from goracs.ot.cheapest import shape
from goracs.ot.node import FREE, IN, OUT, climb, settle
from goracs.search import branch as module
from goracs.search import chains
from goracs.search.branch import branch
from goracs.types import Coreset
from tests.laws.test_bound_laws import MIP, relaxed
from tests.searches import ROUNDING, STREAM, assert_sound, costs_of, problem, search

SHAPES = [(9, 6, 3), (9, 7, 3), (8, 3, 5), (8, 5, 1), (7, 4, 6), (9, 4, 4), (8, 1, 3), (6, 5, 6), (10, 6, 4)]
KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "plain": lambda rng, pool, m: rng.random((pool, m)) - 0.3 * rng.random((pool, 1)),
    "ties": lambda rng, pool, m: rng.integers(0, 3, (pool, m)) / 2,
    "duplicates": lambda rng, pool, m: rng.random((4, m))[rng.integers(0, 4, pool)],
    "equal": lambda _, pool, m: np.full((pool, m), 0.7),
}


def every(costs: np.ndarray, n: int) -> list[tuple[frozenset[int], float]]:
    """All coresets and what they are worth."""
    found = [frozenset(rows) for rows in combinations(range(len(costs)), n)]
    return [(rows, exact.solve(costs[sorted(rows)]).value) for rows in found]


def ended(costs: np.ndarray, rows: np.ndarray, nodes: float = np.inf, known: float = -np.inf) -> module.Found:
    """Branch and bound until it finds nothing more, or so many nodes were looked at."""
    left = [nodes]

    def go_on(bound: float) -> bool:
        bounds.append(bound)
        left[0] -= 1
        return left[0] >= 0

    while True:
        bounds: list[float] = []
        found = branch(costs, rows, exact.solve(costs[rows]), known, go_on)
        assert bounds == sorted(bounds)
        if np.array_equal(found.rows, rows) or left[0] < 0:
            return found
        rows = found.rows


def test_a_bound_from_elsewhere_fixes_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rows are worth goes with the prices of a node, not with a higher bound that other prices gave."""
    monkeypatch.setattr(module, "ROOT_STEPS", 2)
    monkeypatch.setattr(module, "STEPS", 2)
    for seed in range(40):
        costs = np.random.default_rng(seed).random((9, 6))
        best = min(value for _, value in every(costs, 3))
        found = ended(costs, np.arange(3), known=best - ROUNDING)
        assert found.value == pytest.approx(best, abs=10 * ROUNDING)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("open_", [module.OPEN, 0])
def test_it_ends_with_the_optimum(kind: str, open_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it goes depth first because no open node may be kept, and from wherever it begins."""
    monkeypatch.setattr(module, "OPEN", open_)
    monkeypatch.setattr(module, "ROOT_STEPS", 5)
    monkeypatch.setattr(module, "STEPS", 5)
    nodes = 0
    for seed, (pool, m, n) in enumerate(SHAPES):
        costs = KINDS[kind](np.random.default_rng(seed), pool, m)
        best = min(value for _, value in every(costs, n))
        found = ended(costs, np.arange(n))
        assert found.value == pytest.approx(best, abs=ROUNDING)
        assert found.value == pytest.approx(exact.solve(costs[found.rows]).value, abs=ROUNDING)
        assert best - 10 * ROUNDING <= found.bound <= best + ROUNDING
        nodes += found.nodes
    assert nodes > 20 or kind != "plain"


def test_the_bound_is_below_the_optimum_wherever_it_is_stopped() -> None:
    for seed in range(6):
        costs = KINDS["plain"](np.random.default_rng(seed), 11, 7)
        best = min(value for _, value in every(costs, 4))
        for nodes in range(6):
            found = ended(costs, np.arange(4), nodes)
            assert found.bound <= best + ROUNDING <= found.value + 2 * ROUNDING


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_is_bounded_and_its_rows_are_fixed_as_all_that_is_better_has_them(kind: str) -> None:
    fixed = 0
    for seed, (pool, m, n) in enumerate(SHAPES):
        rng = np.random.default_rng(seed)
        costs = KINDS[kind](rng, pool, m)
        coresets = every(costs, n)
        state = np.full(pool, FREE, np.int8)
        state[rng.permutation(pool)[: rng.integers(0, n)]] = IN
        state[rng.permutation(np.flatnonzero(state == FREE))[: rng.integers(0, pool - n + 1)]] = OUT
        ours = [(rows, value) for rows, value in coresets if agrees(rows, state)]
        worth = sorted(value for _, value in ours)
        limit = worth[min(1, len(worth) - 1)]
        rho, prices = np.empty(pool), rng.normal(size=m)
        bound, solved, _ = climb(
            costs, state, prices, n, *shape(n, m), costs.min(), limit, 200, 1.0, np.empty(pool), rho
        )
        assert bound <= worth[0]
        assert not solved or bound >= worth[0] - ROUNDING
        before = (state == FREE).sum()
        settle(state, rho, bound, limit, n)
        assert all(agrees(rows, state) for rows, value in ours if value < limit)
        fixed += before - (state == FREE).sum()
    assert fixed > 0 or kind in ("ties", "equal")


def test_the_bound_of_a_node_climbs_to_the_linear_program_from_anywhere() -> None:
    for seed, (pool, m, n) in enumerate([(12, 7, 3), (15, 6, 5), (10, 4, 8), (14, 3, 6)]):
        rng = np.random.default_rng(seed)
        costs, prices = KINDS["plain"](rng, pool, m), rng.normal(size=m)
        highest, limit = relaxed(costs, n, whole=False), relaxed(costs, n, whole=True)
        state, share, rho = np.full(pool, FREE, np.int8), np.empty(pool), np.empty(pool)
        spread = shape(n, m)
        bound, _, _ = climb(costs, state, prices, n, *spread, costs.min(), limit, 200, 1.0, share, rho)
        assert highest - 1e-3 < bound <= highest + ROUNDING


def agrees(rows: frozenset[int], state: Any) -> bool:
    return set(np.flatnonzero(state == IN)) <= rows and not rows & set(np.flatnonzero(state == OUT))


@pytest.mark.parametrize(("pool", "m", "n"), [(24, 9, 3), (24, 8, 5), (20, 4, 6)])
def test_a_search_with_effort_optimal_is_proven_and_equals_mip(
    pool: int, m: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "MOST", 0)  # what they find is not left to the tree
    nodes = 0
    for seed in range(3):
        given = problem(pool, m, seed, d=3)
        costs = costs_of(given, 0.3)
        coreset = search(given, n, effort="optimal", start="random")
        assert_sound(given, coreset, 0.3)
        report = coreset.report
        assert (report["optimal"], report["certified_local"], report["status"]) == (True, "pool", "finished")
        assert report["poo"] == pytest.approx(relaxed(costs, n, whole=True), abs=MIP)
        nodes += report["nodes"]
    assert nodes > 3


def test_optimal_is_said_of_what_is_proven_alone() -> None:
    """By the bound of a start, too; and of no pool that is streamed, which is not branched on."""
    reports = [search(problem(60, 13, seed), effort="start").report for seed in range(4)]
    assert all(report["optimal"] == (report["gap"] < 1e-9) for report in reports)
    assert not all(report["optimal"] for report in reports)
    streamed = search(problem(60, 13, 1), effort="optimal", memory=STREAM).report
    assert (streamed["nodes"], streamed["optimal"]) == (0, streamed["gap"] < 1e-9)
    assert search(problem(60, 13, 1), effort="optimal").report["optimal"]


def test_it_tells_a_rising_bound_and_better_coresets() -> None:
    coreset: Coreset = search(problem(60, 13, seed=1), 7, effort="optimal", start="random")
    phases = [step["phase"] for step in coreset.trace]
    assert "bound" in phases[phases.index("exchange") :]
