"""Laws of every selector that conf/selector holds (a new file there enrols itself), and of the search.

Problems are small and on a grid of whole numbers, so that ties, equal rows and zero gradients come up often.
"""

from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import goracs
from goracs.api import build
from goracs.config import conf_dir
from goracs.llm.course import joined_unit_sketch
from goracs.ot import cost, distance, exact
from goracs.report.methods import card
from goracs.search import bounds
from goracs.search.alternate import takeovers
from goracs.selection import class_budgets
from goracs.types import ByClass, SelectionProblem

ROUNDING = 1e-11  # costs of order 1 to 10, sums of at most some dozens of them
PARTS = {"goracs_start", "goracs_alternate", "goracs_transport"}  # goracs, with less of what it does
SELECTORS = sorted({path.stem for path in (conf_dir() / "selector").glob("*.yaml")} - PARTS)
SEARCHES = ["goracs", "goracs_paper", "goracs_released"]
LABELLED = ["fdmat"]  # asks for classes
quick = settings(max_examples=25, deadline=None)

small = st.integers(-2, 2)
points = st.tuples(small, small)
lams = st.sampled_from([0.0, 0.1, 0.5, 2.0])


@st.composite
def problems(draw: st.DrawFn, distinct: bool = False, classes: bool = False) -> SelectionProblem:
    """1 to 10 pool rows, 1 to 6 validation rows; every score a selector of today reads."""
    pool = draw(st.lists(points, min_size=1, max_size=10, unique=distinct))
    target = draw(st.lists(points, min_size=1, max_size=6))
    n, rng = len(pool), np.random.default_rng(draw(st.integers(0, 99)))
    labels, target_labels = None, None
    if classes:
        labels = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
        target_labels = np.concatenate([np.unique(labels), labels[: len(target)]])
        target = (target * 9)[: len(target_labels)]
        target_labels = target_labels[: len(target)]
    sketches = rng.integers(-1, 2, (n + len(target), 4)).astype(np.float32)  # of two checkpoints; ties, zeros
    units = joined_unit_sketch([sketches[:, :2], sketches[:, 2:]], [0.75, 0.25])
    margins = rng.integers(-1, 2, (n, 4)).astype(np.float32)  # at four checkpoints
    return SelectionProblem(
        features=np.array(pool, dtype=np.float32),
        target_features=np.array(target, dtype=np.float32),
        scores={
            "gradient_norm": np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), float),
            "el2n": rng.permutation(n) / n,  # distinct: its ties go by index, on purpose
            "loss": rng.random(n),
            "sketch": sketches[:n],
            "unit_sketch": units[:n],
            "entropy": rng.integers(0, 3, n) / 2,
            "influence": rng.integers(-1, 2, n) / 2,
            "right_margins": margins,
            "answer_losses": np.logaddexp(0, -margins),
        },
        target_scores={"sketch": sketches[n:], "unit_sketch": units[n:]},
        labels=labels,
        target_labels=target_labels,
    )


def arrays(problem: SelectionProblem) -> list[Any]:
    scores = [*problem.scores.values(), *(problem.target_scores or {}).values()]
    tables = [problem.features, problem.target_features, *scores]
    return [table.copy() for table in tables]


def budget_for(name: str, problem: SelectionProblem, data: st.DataObject) -> int:
    n = problem.pool_size
    return n if name == "full" else data.draw(st.integers(1, n))


@pytest.mark.parametrize("name", SELECTORS)
@given(seed=st.integers(0, 5), data=st.data())
@quick
def test_selector_keeps_its_laws(name: str, seed: int, data: st.DataObject) -> None:
    """Exactly n distinct rows; the problem as it was; the same again; no seed where nothing is drawn."""
    problem = data.draw(problems(classes=name in LABELLED))
    budget, before = budget_for(name, problem, data), arrays(problem)
    coreset = goracs.select(problem, budget, name, seed=seed)
    assert len(set(coreset.indices.tolist())) == budget == coreset.budget
    assert isinstance(coreset.report["warnings"], list)
    for old, new in zip(before, arrays(problem), strict=True):
        np.testing.assert_array_equal(old, new)
    again = goracs.select(problem, budget, name, seed=seed)
    assert (again.indices.tolist(), again.report) == (coreset.indices.tolist(), coreset.report)
    if not build(name, {}).seeded:
        assert (
            goracs.select(problem, budget, name, seed=seed + 1).indices.tolist() == coreset.indices.tolist()
        )


@pytest.mark.parametrize("name", SELECTORS)
@given(data=st.data())
@quick
def test_what_a_selector_needs_is_all_it_reads(name: str, data: st.DataObject) -> None:
    """What it does not declare is not there, and it chooses as many rows."""
    problem = data.draw(problems(classes=name in LABELLED))
    budget, needs = budget_for(name, problem, data), build(name, {}).needs
    width = problem.features.shape[1] if "features" in needs else 0
    bare = SelectionProblem(
        problem.features[:, :width],
        problem.target_features[:, :width],
        {key: score for key, score in problem.scores.items() if key in needs},
        {key: score for key, score in (problem.target_scores or {}).items() if key in needs},
        labels=problem.labels,
        target_labels=problem.target_labels,
    )
    assert len(goracs.select(bare, budget, name).indices) == budget


@pytest.mark.parametrize("name", [name for name in SELECTORS if not card(name).target])
@given(seed=st.integers(0, 5), data=st.data())
@quick
def test_a_card_that_says_validation_is_not_read_tells_the_truth(
    name: str, seed: int, data: st.DataObject
) -> None:
    problem = data.draw(problems(classes=name in LABELLED))
    budget = budget_for(name, problem, data)
    turned = {name: -score for name, score in (problem.target_scores or {}).items()}
    other = replace(problem, target_features=problem.target_features * 2 + 1, target_scores=turned)
    one, two = (goracs.select(given, budget, name, seed=seed) for given in (problem, other))
    assert one.indices.tolist() == two.indices.tolist()


@pytest.mark.parametrize("name", [name for name in SELECTORS if not build(name, {}).seeded])
@given(data=st.data())
@settings(max_examples=80, deadline=None)  # ties that matter are rare
def test_selector_is_unchanged_by_the_order_of_rows(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(distinct=True, classes=name in LABELLED))
    budget = budget_for(name, problem, data)
    order = np.array(data.draw(st.permutations(range(problem.pool_size))))
    straight = goracs.select(problem, budget, name)
    shuffled = goracs.select(problem.among(order), budget, name)
    assert np.sort(order[shuffled.indices]).tolist() == straight.indices.tolist()


@pytest.mark.parametrize("start", [0, 3])
@given(problem=problems(distinct=True), data=st.data())
@quick
def test_kcenter_is_unchanged_by_the_order_of_rows_but_for_its_start(
    start: int, problem: SelectionProblem, data: st.DataObject
) -> None:
    n = problem.pool_size
    budget, order = data.draw(st.integers(1, n)), np.array(data.draw(st.permutations(range(n))))
    start = min(start, n - 1)
    moved = SelectionProblem(
        problem.features[order],
        problem.target_features,
        {key: score[order] for key, score in problem.scores.items()},
    )
    straight = goracs.select(problem, budget, "kcenter", start=start)
    there = goracs.select(moved, budget, "kcenter", start=int(np.flatnonzero(order == start)[0]))
    assert np.sort(order[there.indices]).tolist() == straight.indices.tolist()


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "goracs_released"])  # it has its own
@given(problem=problems(classes=True), rule=st.sampled_from([True, "pool", "equal"]), data=st.data())
@quick
def test_selector_keeps_class_budgets(
    name: str, problem: SelectionProblem, rule: ByClass, data: st.DataObject
) -> None:
    assert problem.target_labels is not None
    kept = np.flatnonzero(problem.target_labels != data.draw(st.integers(0, 9)))  # validation may lack one
    problem = problem.against(kept) if len(kept) else problem
    assert problem.labels is not None
    assert problem.target_labels is not None
    pool, target = class_budgets.counts(problem.labels), class_budgets.counts(problem.target_labels)
    reach = sum(rows for label, rows in pool.items() if rule is not True or label in target)
    if reach < (problem.pool_size if name == "full" else 1):
        return
    budget = problem.pool_size if name == "full" else data.draw(st.integers(1, reach))
    coreset = goracs.select(problem, budget, name, by_class=rule)
    expected = class_budgets.budgets(pool, class_budgets.rates(rule, pool, target), budget)
    got = problem.labels[coreset.indices]
    assert {label: int((got == label).sum()) for label in expected} == expected


@pytest.mark.parametrize("name", ["goracs_paper", "goracs_released"])
@given(problem=problems(), lam=lams, data=st.data())
@quick
def test_exchanges_never_raise_the_objective(
    name: str, problem: SelectionProblem, lam: float, data: st.DataObject
) -> None:
    budget = data.draw(st.integers(1, problem.pool_size))
    start = goracs.select(problem, budget, name, lam=lam, max_exchanges=0)
    end = goracs.select(problem, budget, name, lam=lam)
    values = [step["objective"] for step in end.trace]
    assert values[0] == pytest.approx(start.report["poo"], abs=ROUNDING)
    assert values[-1] == pytest.approx(end.report["poo"], abs=ROUNDING)
    assert (np.diff(values) < 0).all()


def best_of_all(problem: SelectionProblem, budget: int, lam: float) -> float:
    found = combinations(range(problem.pool_size), budget)
    return min(float(goracs.assess(problem, list(rows), lam)["poo"]) for rows in found)


@pytest.mark.parametrize("name", SEARCHES)
@given(problem=problems(), lam=lams)
@quick
def test_search_equals_the_optimum_for_one_row_and_for_all(
    name: str, problem: SelectionProblem, lam: float
) -> None:
    """With n = 1 every start is the optimum; with n = N there is but one coreset."""
    single = goracs.select(problem, 1, name, lam=lam)
    assert single.report["poo"] == pytest.approx(best_of_all(problem, 1, lam), abs=ROUNDING)
    everything = goracs.select(problem, problem.pool_size, name, lam=lam)
    assert everything.indices.tolist() == list(range(problem.pool_size))
    assert everything.report["exchanges"] == 0


@pytest.mark.parametrize("name", SEARCHES)
@given(problem=problems(), lam=lams)
@settings(max_examples=10, deadline=None)
def test_search_never_beats_the_optimum(name: str, problem: SelectionProblem, lam: float) -> None:
    budget = min(2, problem.pool_size)
    found = goracs.select(problem, budget, name, lam=lam).report["poo"]
    assert found >= best_of_all(problem, budget, lam) - ROUNDING


@given(problem=problems(), lam=lams, data=st.data())
@quick
def test_bounds_never_cross_the_exact_value(
    problem: SelectionProblem, lam: float, data: st.DataObject
) -> None:
    norms = problem.scores["gradient_norm"]
    found = distance.distances(problem.features, problem.target_features)
    costs = cost.ground_cost(found, norms, lam, cost.unit_scale(found.max(), norms.max()))
    n = data.draw(st.integers(1, len(costs)))
    rows = np.array(data.draw(st.permutations(range(len(costs))))[:n])
    now = exact.solve(costs[rows])
    low = bounds.bounds_of(costs, bounds.leave_one_out(costs, rows, now.u)).T
    high = now.value + takeovers(now.plan, costs) - (now.plan * costs[rows]).sum(axis=1)[:, None]
    for p in range(n):
        for q in set(range(len(costs))) - set(rows.tolist()):
            tried = rows.copy()
            tried[p] = q
            true = exact.solve(costs[tried]).value
            assert low[p, q] - ROUNDING <= true <= high[p, q] + ROUNDING


@given(
    table=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(small, min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
@quick
def test_transport_equals_the_best_permutation(table: list[list[int]]) -> None:
    costs, n = np.array(table, float), len(table)
    best = min(costs[np.arange(n), list(order)].mean() for order in permutations(range(n)))
    assert exact.solve(costs).value == pytest.approx(best, abs=ROUNDING)
