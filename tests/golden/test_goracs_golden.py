"""Conformance with values made by the authors' code (goracs_itra) and by the mathematics (swap_bounds)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goracs
from goracs.ot import cost, distance, exact
from goracs.selection import exchange as ex
from goracs.selection.by_class import class_budgets
from goracs.selection.greedy import greedy
from goracs.selection.report import objective

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


@pytest.mark.parametrize("k", range(4))
def test_exchange_never_ends_above_the_authors(k: int) -> None:
    case = end_to_end(k)
    costs, given = cost.min_max(case["costs"]), (int(case["max_iters"]), int(case["cut"]))
    end = ex.exchange(costs, case["S_greedy"], *given)
    assert end.transport.value <= float(case["ot_norm_final"]) + SINGLE
    assert end.exchanges <= given[0]
    unshifted = ex.exchange(case["costs"], case["S_greedy"], *given)
    assert cost_of(costs, unshifted.rows) <= float(case["ot_norm_final"]) + SINGLE


def cost_of(costs: np.ndarray, rows: np.ndarray) -> float:
    return exact.solve(costs[rows]).value


@pytest.mark.parametrize("b", range(3))
def test_bounds_equal_the_reference(b: int) -> None:
    """Given its duals and plan; and both sides of the truth, with the reference's duals and with ours."""
    costs, rows = swaps[f"b{b}_cost"], swaps[f"b{b}_S"]
    value, u, v = float(swaps[f"b{b}_ot"]), swaps[f"b{b}_u"], swaps[f"b{b}_v"]
    given = exact.Transport(value, swaps[f"b{b}_plan"], u, v, gap=0.0)
    low, high = ex.lower_bounds(costs, rows, given), ex.upper_bounds(costs, rows, given)
    true = swaps[f"b{b}_true_after_swap"]
    new = np.isfinite(true)
    np.testing.assert_allclose(low[new], swaps[f"b{b}_LB"][new], atol=ROUNDING)
    np.testing.assert_allclose(high[new], swaps[f"b{b}_UB"][new], atol=ROUNDING)
    own = exact.solve(costs[rows])
    assert own.value == pytest.approx(value, abs=ROUNDING)
    for now in (given, own):
        assert (ex.lower_bounds(costs, rows, now)[new] <= true[new] + ROUNDING).all()
        assert (ex.upper_bounds(costs, rows, now)[new] >= true[new] - ROUNDING).all()


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
    found = class_budgets(dict(enumerate(pool)), dict(enumerate(target)), int(itra["label_n"]))
    assert found == {0: int(itra["label_nneg"]), 1: int(itra["label_npos"])}


def test_goracs_by_class_never_ends_above_the_authors() -> None:
    given, lam, n = labelled(), float(itra["label_lam"]), int(itra["label_n"])
    ours = goracs.select(given, n, "goracs", lam=lam, by_class=True).report
    scale = cost.measure_scale(given.features, given.target_features, given.scores["gradient_norm"])
    theirs = 0.0
    for label, share in ((0, int(itra["label_nneg"]) / n), (1, int(itra["label_npos"]) / n)):
        rows = itra["label_S"][itra["label_train"][itra["label_S"]] == label]
        found = distance.distances(given.features[rows], given.target_features[itra["label_valid"] == label])
        theirs += share * objective(found, itra["label_g"][rows], lam, scale)["poo"]
    assert ours["poo"] <= theirs
