"""The search as a whole: what it reports, where it ends, and that nothing but the problem moves it."""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import numba
import numpy as np
import pytest

from goracs import SelectionProblem
from goracs.ot import distance, exact, lagrangian
from goracs.ot.cost import measure_scale
from goracs.ot.pool import Streamed
from goracs.search import itra, parts
from goracs.search.limits import ALONE, EFFORTS, STARTS
from goracs.search.refine import Sweeps, refine
from goracs.types import GoracsError
from tests.searches import GB, ROUNDING, STREAM, assert_sound, costs_of, method, problem, search
from tests.swaps import every_swap


def optimum(costs: np.ndarray, budget: int) -> float:
    return min(exact.solve(costs[list(rows)]).value for rows in combinations(range(len(costs)), budget))


SHAPES = [
    (150, 31, 8),
    (150, 32, 8),
    (60, 7, 20),
    (60, 1, 5),
    (60, 9, 1),
    (12, 5, 12),
    (12, 18, 11),
    (1, 3, 1),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lam", [0.0, 0.3, 50.0])
def test_goracs_reports_what_its_rows_are_worth(shape: tuple[int, int, int], lam: float) -> None:
    pool, m, n = shape
    given = problem(pool, m)
    coreset = search(given, n, lam=lam)
    assert_sound(given, coreset, lam)
    assert coreset.report["status"] == "finished"
    assert coreset.report["reproducible"] is True
    assert coreset.report["certified_local"] == "pool"  # a small pool is looked at as a whole
    assert coreset.report["generated"] == pool


def brute_force() -> Iterator[tuple[SelectionProblem, int]]:
    for seed in range(4):
        for pool, m, n in ((9, 6, 3), (9, 7, 3), (8, 3, 5), (8, 5, 1), (7, 4, 6)):
            yield problem(pool, m, seed, d=2), n
            draw = np.random.default_rng(seed)
            tied = draw.integers(0, 2, (pool, 2)).astype(float), draw.integers(0, 2, (m, 2)).astype(float)
            yield SelectionProblem(*tied, scores={"gradient_norm": draw.integers(0, 2, pool) + 0.0}), n


@pytest.mark.parametrize(("memory", "start"), [(GB, "best"), (STREAM, "best"), (GB, "lagrangian")])
def test_goracs_is_proven_and_bounded_on_tiny_problems(memory: float, start: str) -> None:
    for given, n in brute_force():
        costs = costs_of(given, 0.3)
        coreset = search(given, n, start=start, effort="certify", memory=memory)
        assert_sound(given, coreset, 0.3)
        assert coreset.report["lower_bound"] <= optimum(costs, n) + ROUNDING
        assert coreset.report["certified_local"] == "pool"
        for row in coreset.indices:
            rest = np.setdiff1d(coreset.indices, row)
            for other in np.setdiff1d(np.arange(len(costs)), coreset.indices):
                value = exact.solve(costs[[*rest, other]]).value
                assert value >= coreset.report["poo"] - 3 * ROUNDING


@pytest.mark.parametrize("start", STARTS)
def test_every_start_is_sound_at_every_effort_and_falls_with_it(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itra, "FIRST", 20)  # so that not all rows are generated
    given = problem(seed=7)
    found = [search(given, start=start, effort=effort) for effort in EFFORTS]
    for coreset in found:
        assert_sound(given, coreset, 0.3)
    worth = [coreset.report["poo"] for coreset in found]
    assert all(later <= earlier + ROUNDING for earlier, later in pairwise(worth))
    assert worth[-1] < worth[0]
    proofs = [coreset.report["certified_local"] for coreset in found]
    assert proofs == [None, None, "generated", "pool", "pool"]
    assert found[2].report["generated"] < found[3].report["generated"] == 150
    assert found[4].report["optimal"]


@pytest.mark.parametrize("start", ["random", "facility"])
def test_exchanges_alone_leave_the_alternation_out(start: str) -> None:
    given = problem(seed=7)
    alone, both = (search(given, start=start, effort=effort) for effort in (ALONE, "exchange"))
    assert_sound(given, alone, 0.3)
    phases = [[step["phase"] for step in coreset.trace] for coreset in (alone, both)]
    assert ["alternate" in seen for seen in phases] == [False, True]
    assert alone.report["certified_local"] == "pool"
    begin = search(given, start=start, effort="start").report["poo"]
    assert alone.trace[0]["objective"] == pytest.approx(begin, abs=ROUNDING)
    assert alone.report["poo"] < begin


def test_starts_differ_and_best_is_the_better_of_two() -> None:
    given = problem()
    worth = {start: search(given, start=start, effort="start").report["poo"] for start in STARTS}
    assert worth["best"] == min(worth["capacity"], worth["lagrangian"])
    assert worth["random"] > worth["facility"] > worth["best"]
    assert method(start="random").seeded
    assert not method(start="best").seeded


@pytest.mark.parametrize(("memory", "part"), [(GB, 9), (STREAM, 9), (STREAM, 40), (STREAM, 4096)])
def test_certify_goes_on_to_the_rows_that_were_not_generated(
    monkeypatch: pytest.MonkeyPatch, memory: float, part: int
) -> None:
    monkeypatch.setattr(itra, "FIRST", 8)
    monkeypatch.setattr(lagrangian, "SPREAD", 1)
    monkeypatch.setattr(lagrangian, "PASSES", 0)
    monkeypatch.setattr(parts, "PART", part)
    went_on = 0
    for seed in range(7):
        given = problem(seed=seed)
        near, whole = (
            search(given, start="random", effort=effort, memory=memory) for effort in ("exchange", "certify")
        )
        kept = Sweeps(whole.indices)
        again = refine(costs_of(given, 0.3), kept, None, lambda *_: True, lambda _: None)
        assert (again.exchanges, again.proven) == (0, True)
        assert (whole.report["certified_local"], whole.report["generated"]) == ("pool", 150)
        assert near.report["certified_local"] == "generated"
        assert whole.report["poo"] <= near.report["poo"] + ROUNDING
        went_on += whole.report["exchanges"] > near.report["exchanges"]
    assert went_on > 0


def test_rows_that_cannot_help_are_in_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """And all that can are: against the transport of every exchange."""
    monkeypatch.setattr(parts, "PART", 9)
    for seed in range(4):
        given = problem(60, 13, seed)
        costs = costs_of(given, 0.3)
        rows = np.sort(np.random.default_rng(seed).choice(60, 5, replace=False))
        scale = measure_scale(given.features, given.target_features, given.scores["gradient_norm"])
        offset = 0.3 * given.scores["gradient_norm"] / scale.gradient
        pool = Streamed(given.features, given.target_features, np.arange(60), offset, scale.distance)
        held = exact.solve(costs[rows])
        found = list(parts.parts(pool, rows, held))
        looked_at = np.unique(np.concatenate([part.rows for part in found]))
        helps = np.flatnonzero((every_swap(costs, rows) < held.value - ROUNDING).any(axis=0))
        assert set(helps) <= set(looked_at)
        assert len(looked_at) < 60
        assert [len(part.rows) for part in found][:-1] == [9 + 5] * (len(found) - 1)
        for part in found:
            np.testing.assert_allclose(part.costs, costs[part.rows], atol=ROUNDING)


def test_a_bound_above_the_value_is_rounding_or_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    match = SelectionProblem(given.features, given.features[:8])  # costs nothing: no value to compare with
    ascend = lagrangian.ascend

    def above(by: float) -> Callable[..., lagrangian.Dual]:
        def spoilt(*arguments: Any) -> lagrangian.Dual:
            arguments[4](by)
            return ascend(*arguments)

        return spoilt

    monkeypatch.setattr(lagrangian, "ascend", above(1e-15))
    report = search(match, lam=0.0).report
    assert (report["poo"], report["lower_bound"], report["gap"]) == (0.0, 0.0, 0.0)
    monkeypatch.setattr(lagrangian, "ascend", above(1e-6))
    with pytest.raises(GoracsError, match="the lower bound 1e-06 is above the transport"):
        search(match, lam=0.0)


@pytest.mark.parametrize("start", ["best", "random"])
@pytest.mark.parametrize("memory", [GB, STREAM])
def test_goracs_is_unchanged_by_the_order_of_the_rows(start: str, memory: float) -> None:
    given = problem()
    expected = search(given, start=start, memory=memory)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(150)
        scores = {name: score[order] for name, score in given.scores.items()}
        shuffled = SelectionProblem(given.features[order], given.target_features, scores=scores)
        found = search(shuffled, start=start, memory=memory)
        np.testing.assert_array_equal(np.sort(order[found.indices]), expected.indices)
        assert found.report["lower_bound"] == expected.report["lower_bound"]


@pytest.mark.parametrize("effort", ["start", "alternate", "exchange"])
@pytest.mark.parametrize("start", STARTS)
def test_streamed_equals_dense_where_not_all_rows_are_looked_at_closely(start: str, effort: str) -> None:
    for seed, n in enumerate((7, 12, 30)):
        given = problem(itra.FIRST + 900, 12, seed, d=3)
        dense, streamed = (search(given, n, start=start, effort=effort, memory=gb) for gb in (GB, STREAM))
        np.testing.assert_array_equal(streamed.indices, dense.indices)
        assert {**streamed.report} == {**dense.report}
        assert dense.report["generated"] < given.pool_size


@pytest.mark.parametrize("rows_of_a_block", [1, 7, 10**6])
@pytest.mark.parametrize("generate", [20, 4096])
def test_streamed_equals_dense_at_any_block_size(
    rows_of_a_block: int, generate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itra, "FIRST", generate)
    given = problem()
    dense = search(given, start="random")
    monkeypatch.setattr(distance, "BLOCK_BYTES", 4 * 31 * rows_of_a_block)
    streamed = search(given, start="random", memory=STREAM)
    np.testing.assert_array_equal(streamed.indices, dense.indices)
    assert {**streamed.report} == {**dense.report}


def test_goracs_is_unchanged_by_the_number_of_threads() -> None:
    given, found = problem(), []
    most = numba.get_num_threads()
    for threads in sorted({1, min(2, most), most}):
        numba.set_num_threads(threads)
        try:
            found.append(search(given))
        finally:
            numba.set_num_threads(most)
    for other in found[1:]:
        np.testing.assert_array_equal(other.indices, found[0].indices)
        assert {**other.report} == {**found[0].report}


def test_goracs_is_unchanged_by_what_stands_around_the_problem() -> None:
    """Memory layout, precision that holds the same numbers, and a scale given from outside."""
    given = problem()
    small = SelectionProblem(
        given.features.astype(np.float32), given.target_features.astype(np.float32), scores=given.scores
    )
    expected = search(small)
    wide = SelectionProblem(
        np.asfortranarray(small.features.astype(float)),
        small.target_features.astype(float),
        scores=given.scores,
    )
    np.testing.assert_array_equal(search(wide).indices, expected.indices)


def test_goracs_equals_gradients_alone_at_a_huge_lam() -> None:
    given = problem()
    coreset = search(given, lam=1e6)
    best = np.sort(np.argsort(given.scores["gradient_norm"])[-8:])
    np.testing.assert_array_equal(coreset.indices, best)


def test_goracs_leaves_the_problem_as_it_was() -> None:
    given = problem()
    kept = given.features.copy(), given.target_features.copy(), given.scores["gradient_norm"].copy()
    search(given)
    for now, before in zip(
        (given.features, given.target_features, given.scores["gradient_norm"]), kept, strict=True
    ):
        np.testing.assert_array_equal(now, before)
