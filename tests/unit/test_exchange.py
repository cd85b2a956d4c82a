"""Exchanges with one cold solve a pair: the paper's search against enumeration, and what both share."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from goracs.ot import exact
from goracs.search import bounds
from goracs.search.exchange import Exchanged, Method, exchange
from goracs.selection.goracs_paper import paper
from goracs.selection.goracs_released import released
from tests.swaps import SHAPES, every_swap, instance, swapped

ROUNDING = 1e-12  # costs of order 1
BOTH = pytest.mark.parametrize("make", [paper, released])


def descend(costs: np.ndarray, rows: np.ndarray, limit: int, method: Method) -> Exchanged:
    """From given rows."""
    return exchange(costs, len(rows), limit, replace(method, start=lambda _costs, _n: rows))


@pytest.mark.parametrize("shape", SHAPES)
def test_paper_equals_a_local_optimum_given_enough_candidates(shape: tuple[int, int, int]) -> None:
    for seed in range(4):
        costs, rows = instance(*shape, seed)
        end = descend(costs, rows, 1000, paper(1000))
        assert every_swap(costs, end.rows).min() >= end.transport.value - 1e-9
        assert end.transport.value == pytest.approx(exact.solve(costs[end.rows]).value, abs=ROUNDING)


@BOTH
def test_exchange_keeps_a_falling_trace_and_its_counts(make: Any) -> None:
    costs, rows = instance(60, 20, 6, seed=1)
    end = descend(costs, rows, 100, make(3))
    assert [list(entry) for entry in end.trace] == [["phase", "seconds", "objective", "bound"]] * len(
        end.trace
    )
    assert [entry["phase"] for entry in end.trace] == ["start"] + ["exchange"] * end.exchanges
    assert {entry["bound"] for entry in end.trace} == {None}
    assert end.exchanges > 1
    assert (np.diff([entry["objective"] for entry in end.trace]) < 0).all()
    assert (np.diff([0, *(entry["seconds"] for entry in end.trace)]) >= 0).all()
    assert end.trace[-1]["objective"] == end.transport.value
    assert end.exchanges + 1 <= end.solves <= 1 + 9 * (end.exchanges + 1)
    assert len(set(end.rows.tolist())) == 6


@BOTH
def test_exchange_never_passes_its_limit(make: Any) -> None:
    costs, rows = instance(60, 20, 6, seed=1)
    assert descend(costs, rows, 2, make(3)).exchanges == 2
    start = descend(costs, rows, 0, make(3))
    np.testing.assert_array_equal(start.rows, rows)
    assert (start.solves, start.exchanges) == (1, 0)


def test_paper_takes_the_first_improving_pair_by_bound() -> None:
    costs, rows = instance(30, 12, 4, seed=3)
    now, true = exact.solve(costs[rows]), every_swap(costs, rows)
    low = bounds.bounds_of(costs, bounds.leave_one_out(costs, rows, now.u)).T
    low[:, rows] = np.inf
    order = np.argsort(low.ravel(), kind="stable")
    tried = 1 + next(k for k, pair in enumerate(order) if true.ravel()[pair] < now.value)
    end = descend(costs, rows, 1, paper(30))
    np.testing.assert_array_equal(end.rows, swapped(rows, *divmod(int(order[tried - 1]), 30)))
    assert end.solves == 1 + tried


@pytest.mark.parametrize("candidates", [1, 2, 9])
def test_paper_tries_the_square_of_candidates_before_it_gives_up(candidates: int) -> None:
    costs, rows = instance(60, 20, 6, seed=2)
    best = descend(costs, rows, 1000, paper(1000)).rows
    now = exact.solve(costs[best])
    promising = len(bounds.promising(costs, best, now.u, now.value - 1e-11, 10**6))
    assert promising > 4, "a case that shows nothing"
    assert descend(costs, best, 9, paper(candidates)).solves == 1 + min(candidates**2, promising)


def test_paper_never_takes_a_pair_of_equal_cost() -> None:
    for shape in ((9, 6, 3), (9, 7, 3)):
        for seed in range(30):
            costs, rows = instance(*shape, seed, ties=True)
            end = descend(costs, rows, 30, paper(30))
            assert (np.diff([entry["objective"] for entry in end.trace]) < 0).all()
            assert end.exchanges < 30


def test_paper_never_takes_a_gain_that_could_be_rounding_and_released_does() -> None:
    costs = np.vstack([np.eye(3), np.eye(3) - 1e-13])
    rows = np.array([0, 1, 2])
    assert descend(costs, rows, 9, paper(9)).exchanges == 0
    assert descend(costs, rows, 9, released(9)).exchanges == 3


def test_paper_ends_at_equal_cost_rows() -> None:
    costs = np.repeat(np.random.default_rng(0).random((3, 6)), 5, axis=0)  # every row five times
    end = descend(costs, np.array([0, 1, 2]), 50, paper(50))
    assert end.exchanges < 10
    assert descend(np.ones((8, 3)), np.array([0, 1]), 50, paper(50)).exchanges == 0


@BOTH
def test_exchange_keeps_its_input(make: Any) -> None:
    costs, rows = instance(20, 8, 4, seed=2)
    before = costs.copy(), rows.copy()
    descend(costs, rows, 5, make(3))
    np.testing.assert_array_equal(costs, before[0])
    np.testing.assert_array_equal(rows, before[1])
