"""Chains of exchanges: where single ones end, against the optimum by MIP, and what ends or undoes a chain."""

from collections.abc import Iterator

import numpy as np
import pytest

from goracs import SelectionProblem
from goracs.ot import exact, flow
from goracs.search import chains
from goracs.search.refine import Sweep, Sweeps, refine
from tests.laws.test_bound_laws import MIP, relaxed
from tests.searches import ROUNDING, assert_sound, costs_of, problem, search
from tests.swaps import every_swap, instance

SHAPE = (40, 12, 4)  # N, m, n
POOL, CHAINED = (40, 16), (8, 11)  # N, m, and seeds where a search meets a chain


def settled(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, Sweeps]:
    """Costs, and where single exchanges end."""
    costs, rows = instance(*shape, seed)
    return costs, refine(costs, Sweeps(rows), None, lambda *_: True, lambda _: None)


def value(costs: np.ndarray, sweeps: Sweeps) -> float:
    return exact.solve(costs[sweeps.rows]).value


def better(shape: tuple[int, int, int] = SHAPE) -> Iterator[tuple[np.ndarray, Sweeps, Sweeps]]:
    """Where a chain led on."""
    for seed in range(12):
        costs, near = settled(seed, shape)
        found = chains.chain(costs, near, np.inf, lambda: True)
        if found is not None:
            yield costs, near, found


@pytest.mark.parametrize("shape", [SHAPE, (40, 11, 4), (30, 5, 7)])
def test_a_chain_leads_to_a_better_coreset(shape: tuple[int, int, int]) -> None:
    cases = list(better(shape))
    assert cases
    for costs, near, found in cases:
        assert value(costs, found) < value(costs, near) - ROUNDING
        assert not found.proven
        assert (np.diff(found.rows) > 0).all()
        come = len(np.setdiff1d(found.rows, near.rows))
        assert 2 <= come <= found.exchanges - near.exchanges


def test_what_single_exchanges_miss_chains_find() -> None:
    for seed in CHAINED:
        given = problem(*POOL, seed, d=6)
        coresets = [search(given, 4, effort=effort, lam=0.1) for effort in ("exchange", "certify")]
        for coreset in coresets:
            assert_sound(given, coreset, 0.1)
        near, far = (coreset.report["poo"] for coreset in coresets)
        best = relaxed(costs_of(given, 0.1), 4, whole=True)
        assert far == pytest.approx(best, abs=MIP)
        assert near > best + 1e-4
        assert coresets[1].report["certified_local"] == "pool"
        assert every_swap(costs_of(given, 0.1), coresets[1].indices).min() >= far - ROUNDING


def test_a_search_with_chains_does_not_depend_on_the_order_of_rows() -> None:
    for seed in CHAINED:
        given, order = problem(*POOL, seed, d=6), np.random.default_rng(seed).permutation(POOL[0])
        scores = {name: found[order] for name, found in given.scores.items()}
        other = SelectionProblem(given.features[order], given.target_features, scores=scores)
        first, second = (search(pool, 4, effort="certify", lam=0.1) for pool in (given, other))
        np.testing.assert_array_equal(np.sort(order[second.indices]), first.indices)
        assert "chain" in {step["phase"] for step in first.trace}


def test_bounds_are_below_what_each_row_is_worth_in_each_place() -> None:
    costs, near = settled(0, (12, 7, 3))
    sweep = Sweep(costs, near)
    true = every_swap(costs, near.rows)
    for p in range(3):
        bounds, rows = sweep.bounds(p)
        np.testing.assert_array_equal(rows, np.setdiff1d(np.arange(12), near.rows))
        assert (bounds / sweep.open.total_units <= true[p, rows] + ROUNDING).all()
    assert sweep.value / sweep.open.total_units == pytest.approx(value(costs, near), abs=ROUNDING)


def test_chains_that_lead_nowhere_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Sweep] = []

    def watched(costs: np.ndarray, sweeps: Sweeps) -> Sweep:
        made.append(Sweep(costs, sweeps))
        return made[-1]

    monkeypatch.setattr(chains, "Sweep", watched)
    undone = 0
    for seed in range(12):
        costs, near = settled(seed)
        before = near.rows.copy()
        if chains.chain(costs, near, np.inf, lambda: True) is None:
            sweep = made[-1]
            np.testing.assert_array_equal(near.rows, before)
            np.testing.assert_array_equal(sweep.rows, before)
            np.testing.assert_array_equal(np.flatnonzero(sweep.chosen), before)
            assert flow.total(sweep.flow) / sweep.open.total_units == pytest.approx(
                value(costs, near), abs=ROUNDING
            )
            undone += 1
    assert undone


def test_a_chain_makes_no_more_exchanges_than_are_left() -> None:
    for costs, near, found in better():
        made = found.exchanges - near.exchanges
        for left in range(made + 1):
            shorter = chains.chain(costs, near, left, lambda: True)
            assert shorter is None or 2 <= shorter.exchanges - near.exchanges <= left
        assert chains.chain(costs, near, made, lambda: True) is not None


def test_a_search_with_chains_keeps_to_its_exchanges() -> None:
    for seed in CHAINED:
        given = problem(*POOL, seed, d=6)
        near = search(given, 4, effort="exchange", lam=0.1)
        most = near.report["exchanges"] + 1
        short = search(given, 4, effort="certify", lam=0.1, max_exchanges=most)
        np.testing.assert_array_equal(short.indices, near.indices)
        assert short.report["certified_local"] == "pool"


def test_chains_end_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    costs, near, _ = next(better())
    monkeypatch.setattr(Sweep, "exchange", lambda *_: pytest.fail("it went on"))
    asked: list[None] = []

    def go_on() -> bool:
        asked.append(None)
        return False

    assert chains.chain(costs, near, np.inf, go_on) is None
    assert len(asked) <= 2


def test_chains_begin_with_the_exchanges_of_lowest_bound() -> None:
    costs, near = settled(0)
    sweep = Sweep(costs, near)
    found = [(bound, p, q) for p in range(4) for bound, q in zip(*sweep.bounds(p), strict=True)]
    assert chains._begun(sweep) == [(p, q) for _, p, q in sorted(found)[: chains.CHAINS]]


def test_the_row_that_a_chain_begins_with_stays() -> None:
    """Its own place does not answer: that would only take it back."""
    answered = 0
    for seed in range(6):
        costs, near = settled(seed)
        for p in range(4):
            sweep = Sweep(costs, near)
            q = int(sweep.bounds(p)[1][-1])
            went = chains._follow(sweep, p, q, -np.inf, np.inf, lambda: True)
            assert sweep.rows[p] == q
            assert went[0] == (p, near.rows[p])
            answered += len(went) - 1
    assert answered


def test_one_row_and_many_have_no_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    costs, near, _ = next(better())
    monkeypatch.setattr(chains, "MOST", 4)
    assert chains.chain(costs, near, np.inf, lambda: True) is not None
    monkeypatch.setattr(chains, "MOST", 3)
    assert chains.chain(costs, near, np.inf, lambda: True) is None
    costs, near = settled(0, (12, 9, 1))
    assert chains.chain(costs, near, np.inf, lambda: True) is None
