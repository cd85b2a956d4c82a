"""Conformance with values made by the authors' code (goracs_itra) and by the mathematics (swap_bounds)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goracs
from goracs.ot import cost, distance, exact
from goracs.search import bounds
from goracs.search.alternate import takeovers
from goracs.search.exchange import Exchanged, Method, exchange
from goracs.search.greedy import greedy
from goracs.selection import class_budgets
from goracs.selection.figures import objective
from goracs.selection.goracs_paper import paper
from goracs.selection.goracs_released import pruned, released, scores

HERE = Path(__file__).parent
ROUNDING = 1e-12  # both sides float64
SINGLE = 1e-6  # the authors' costs are float32
itra, swaps = np.load(HERE / "goracs_itra.npz"), np.load(HERE / "swap_bounds.npz")
GREEDY = [f"greedy{k}" for k in range(6)] + [f"ggeo{k}" for k in range(4)] + [f"over{k}" for k in range(3)]
ACTIVE = {"greedy3": 6, "greedy5": 10, "ggeo1": 10, "ggeo2": 2, "ggeo3": 12}  # where not all rows gain


def gaining(costs: np.ndarray, rows: np.ndarray) -> int:
    """How many of the first rows each lower the relaxed objective."""
    values = np.minimum.accumulate(costs[rows], axis=0).mean(axis=1)
    return int(np.flatnonzero(np.diff(values) < 0).max(initial=-1)) + 2


@pytest.mark.parametrize("case", GREEDY)
def test_greedy_equals_the_authors_picks(case: str) -> None:
    costs, expected = itra[f"{case}_cost"].astype(np.float64), itra[f"{case}_S"]
    prefix = gaining(costs, expected)
    assert prefix >= ACTIVE.get(case, len(expected))
    rows = greedy(costs, int(itra[f"{case}_n"]))
    np.testing.assert_array_equal(rows[:prefix], expected[:prefix])
    assert len(rows) == len(expected)


@pytest.mark.parametrize("k", range(4))
def test_ground_cost_equals_the_authors_after_min_max(k: int) -> None:
    found, gradients = itra[f"ggeo{k}_D"].astype(np.float64), itra[f"ggeo{k}_g"]
    scale = cost.unit_scale(found.max(), gradients.max())
    costs = cost.min_max(cost.ground_cost(found, gradients, float(itra[f"ggeo{k}_lam"]), scale))
    np.testing.assert_allclose(costs, itra[f"ggeo{k}_cost"], atol=SINGLE)


def end_to_end(k: int) -> dict[str, Any]:
    case = {name.removeprefix(f"e2e{k}_"): itra[name] for name in itra.files if name.startswith(f"e2e{k}_")}
    found, gradients = case["D"].astype(np.float64), case["g"].astype(np.float64)
    scale, lam = cost.unit_scale(found.max(), gradients.max()), float(case["lam"])
    costs = cost.ground_cost(found, gradients, lam, scale)
    return {**case, "D": found, "g": gradients, "lam": lam, "scale": scale, "costs": costs}


@pytest.mark.parametrize("k", range(4))
def test_objective_equals_the_authors_values(k: int) -> None:
    case = end_to_end(k)
    costs, unit = case["costs"], cost.min_max(case["costs"])
    for rows, expected in (
        (case["S_greedy"], case["ot_norm_greedy"]),
        (case["S_final_released"], case["ot_norm_final"]),
    ):
        poo = objective(case["D"][rows], case["g"][rows], case["lam"], case["scale"])["poo"]
        assert (poo - costs.min()) / np.ptp(costs) == pytest.approx(float(expected), abs=SINGLE)
        assert exact.solve(unit[rows]).value == pytest.approx(float(expected), abs=SINGLE)
    assert poo == pytest.approx(float(case["poo_final"]), abs=SINGLE)


def search(case: dict[str, Any], method: Method, costs: np.ndarray) -> Exchanged:
    """From the authors' start; theirs on float32 leaves rows that gain nothing to rounding."""
    from_theirs = replace(method, start=lambda _costs, _n: case["S_greedy"])
    return exchange(costs, int(case["n"]), int(case["max_iters"]), from_theirs)


@pytest.mark.parametrize("k", range(4))
def test_paper_never_ends_above_the_authors(k: int) -> None:
    case = end_to_end(k)
    unit = cost.min_max(case["costs"])
    for costs in (unit, case["costs"]):
        end = search(case, paper(int(case["cut"])), costs)
        assert exact.solve(unit[end.rows]).value <= float(case["ot_norm_final"]) + SINGLE
        assert end.exchanges <= int(case["max_iters"])


@pytest.mark.parametrize("k", range(4))
def test_released_equals_the_authors_end(k: int) -> None:
    """Value, rows, and the number of solves: theirs has one more, which prints the value of the start."""
    case = end_to_end(k)
    end = search(case, released(int(case["cut"])), case["costs"])
    value = exact.solve(cost.min_max(case["costs"])[end.rows]).value
    assert value == pytest.approx(float(case["ot_norm_final"]), abs=SINGLE)
    np.testing.assert_array_equal(np.sort(end.rows), np.sort(case["S_final_released"]))
    assert end.solves == int(case["solves"]) - 1


@pytest.mark.parametrize("k", range(4))
def test_released_pairs_equal_the_authors(k: int) -> None:
    costs, rows, cut = (
        itra[f"prune{k}_cost"].astype(np.float64),
        itra[f"prune{k}_S"],
        int(itra[f"prune{k}_cut"]),
    )
    u = itra[f"prune{k}_x_star"][rows]
    np.testing.assert_allclose(scores(costs, rows, u), itra[f"prune{k}_est_released"], atol=SINGLE)
    pairs = [
        (row, come) for row in itra[f"prune{k}_inner_released"] for come in itra[f"prune{k}_outer_released"]
    ]
    assert [(rows[p], q) for p, q in pruned(costs, rows, u, cut)] == pairs


@pytest.mark.parametrize("k", range(4))
def test_bounds_equal_what_the_authors_intended(k: int) -> None:
    """Second minimum where a row is alone smallest, R-th smallest; but for what LB has beside F."""
    costs, rows = itra[f"prune{k}_cost"].astype(np.float64), itra[f"prune{k}_S"]
    prices = bounds.leave_one_out(costs, rows, itra[f"prune{k}_x_star"][rows])
    found = bounds.bounds_of(costs, prices) - prices.base
    expected = itra[f"prune{k}_est_intended"]
    np.testing.assert_allclose(found[rows, np.arange(len(rows))], expected[rows], atol=SINGLE)
    elsewhere = np.setdiff1d(np.arange(len(costs)), rows)
    loosest = bounds.bounds_of(costs, prices._replace(columns=prices.columns[:0], starts=0 * prices.starts))
    np.testing.assert_allclose((loosest - prices.base)[elsewhere, 0], expected[elsewhere], atol=SINGLE)


@pytest.mark.parametrize("b", range(3))
def test_bounds_equal_the_reference(b: int) -> None:
    """Given its duals and plan; and both sides of the truth, with the reference's duals and with ours."""
    costs, rows = swaps[f"b{b}_cost"], swaps[f"b{b}_S"]
    value, u, v = float(swaps[f"b{b}_ot"]), swaps[f"b{b}_u"], swaps[f"b{b}_v"]
    given = exact.Transport(value, swaps[f"b{b}_plan"], u, v, gap=0.0, size=1.0)
    true = swaps[f"b{b}_true_after_swap"]
    new = np.isfinite(true)
    low, high = both_bounds(costs, rows, given)
    np.testing.assert_allclose(low[new], swaps[f"b{b}_LB"][new], atol=ROUNDING)
    np.testing.assert_allclose(high[new], swaps[f"b{b}_UB"][new], atol=ROUNDING)
    own = exact.solve(costs[rows])
    assert own.value == pytest.approx(value, abs=ROUNDING)
    for now in (given, own):
        low, high = both_bounds(costs, rows, now)
        assert (low[new] <= true[new] + ROUNDING).all()
        assert (high[new] >= true[new] - ROUNDING).all()


def both_bounds(costs: np.ndarray, rows: np.ndarray, now: exact.Transport) -> tuple[np.ndarray, np.ndarray]:
    own = (now.plan * costs[rows]).sum(axis=1)[:, None]
    low = bounds.bounds_of(costs, bounds.leave_one_out(costs, rows, now.u)).T
    return low, now.value + takeovers(now.plan, costs) - own


def labelled() -> goracs.SelectionProblem:
    return goracs.SelectionProblem(
        features=itra["label_X"],
        target_features=itra["label_Y"],
        scores={"gradient_norm": itra["label_g"]},
        labels=itra["label_train"],
        target_labels=itra["label_valid"],
    )


def test_class_budgets_equal_the_authors() -> None:
    pool, target = (np.bincount(itra[name]).tolist() for name in ("label_train", "label_valid"))
    found = class_budgets.budgets(dict(enumerate(pool)), dict(enumerate(target)), int(itra["label_n"]))
    assert found == {0: int(itra["label_nneg"]), 1: int(itra["label_npos"])}


def their_poo(given: goracs.SelectionProblem, rows: np.ndarray, lam: float) -> float:
    """The objective of rows by class, one scale for both classes."""
    scale = cost.measure_scale(given.features, given.target_features, given.scores["gradient_norm"])
    total = 0.0
    for label in (0, 1):
        part = rows[itra["label_train"][rows] == label]
        found = distance.distances(given.features[part], given.target_features[itra["label_valid"] == label])
        total += len(part) / len(rows) * objective(found, itra["label_g"][part], lam, scale)["poo"]
    return total


@pytest.mark.parametrize("name", ["goracs", "goracs_paper"])
def test_by_class_never_ends_above_the_authors(name: str) -> None:
    given, lam, n = labelled(), float(itra["label_lam"]), int(itra["label_n"])
    asked: dict[str, Any] = {"distances": "divided"} if name == "goracs_paper" else {}
    ours = goracs.select(given, n, name, lam=lam, by_class=True, **asked).report
    assert ours["poo"] <= their_poo(given, itra["label_S"], lam)


def test_released_by_class_equals_the_authors() -> None:
    """With the settings of their CTR script. Distances are not divided by their maximum there."""
    given, lam, n = labelled(), float(itra["label_lam"]), int(itra["label_n"])
    asked: dict[str, Any] = {"lam": lam, "max_exchanges": 20, "candidates": 3, "by_class": True}
    coreset = goracs.select(given, n, "goracs_released", **asked)
    assert coreset.report["poo"] == pytest.approx(their_poo(given, itra["label_S"], lam), abs=SINGLE)
    np.testing.assert_array_equal(coreset.indices, np.sort(itra["label_S"]))
    norms = given.scores["gradient_norm"]
    assert coreset.report["max_gradient"] == norms.max()
    assert coreset.report["max_distance"] == distance.distances(given.features, given.target_features).max()
