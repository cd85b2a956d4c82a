"""Exact transport: against enumeration, its own certificate, and in units that break the bare solver."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from goracs.ot import exact
from goracs.types import GoracsError, InvalidInput

ROUNDING = 1e-12  # relative to max|C|: sums of some hundred float64 numbers


def costs(n: int, m: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, m))


def cheapest_matching(table: np.ndarray) -> float:
    """With n = m the optimum is at a permutation (Birkhoff)."""
    n = len(table)
    return min(float(table[np.arange(n), list(order)].mean()) for order in permutations(range(n)))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_solve_equals_the_best_permutation(n: int) -> None:
    for seed in range(5):
        table = costs(n, n, seed)
        assert exact.solve(table).value == pytest.approx(cheapest_matching(table), rel=ROUNDING)


@pytest.mark.parametrize("shape", [(1, 7), (7, 1)])
def test_solve_equals_the_mean_where_one_side_is_single(shape: tuple[int, int]) -> None:
    table = costs(*shape)
    assert exact.solve(table).value == pytest.approx(table.mean(), rel=ROUNDING)


@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("shift", [0.0, -1e6, 1e6])
@pytest.mark.parametrize(("n", "m"), [(7, 23), (6, 24), (20, 9)])
def test_solve_keeps_its_certificate_in_any_unit(n: int, m: int, shift: float, unit: float) -> None:
    table = (costs(n, m) + shift) * unit
    found, size = exact.solve(table), np.abs(table).max()
    np.testing.assert_allclose(found.plan.sum(axis=1), 1 / n, rtol=ROUNDING)
    np.testing.assert_allclose(found.plan.sum(axis=0), 1 / m, rtol=ROUNDING)
    assert (found.plan >= 0).all()
    assert (table - found.u[:, None] - found.v).min() >= -ROUNDING * size
    assert abs(found.value - found.u.mean() - found.v.mean()) <= ROUNDING * size
    assert found.value == pytest.approx((found.plan * table).sum(), rel=ROUNDING)


def test_solve_is_unchanged_by_an_affine_map() -> None:
    table = costs(7, 11)
    mapped = exact.solve(3 * table - 5).value
    assert mapped == pytest.approx(3 * exact.solve(table).value - 5, rel=ROUNDING)


def test_solve_equals_a_constant_cost() -> None:
    assert exact.solve(np.full((3, 5), -2.5)).value == pytest.approx(-2.5, rel=ROUNDING)
    assert exact.solve(np.zeros((3, 5))).value == 0.0


BAD = [
    (np.array([[0.0, np.nan], [1.0, 1.0]]), r"1 rows are not: \[0\]"),
    (np.array([[0.0, 1.0], [np.inf, 1.0]]), r"1 rows are not: \[1\]"),
    (np.empty((0, 3)), r"got shape \(0, 3\)"),
    (np.zeros(3), r"got shape \(3,\)"),
]


@pytest.mark.parametrize(("table", "message"), BAD)
def test_solve_refuses(table: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        exact.solve(table)


def test_solve_refuses_a_solver_that_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MAX_PIVOTS", 3)
    with pytest.raises(GoracsError, match="20 x 30 cost matrix did not end: numItermax"):
        exact.solve(costs(20, 30))


def spoilt(**changed: Any) -> exact.Transport:
    found = exact.solve(costs(4, 6))
    kept = {name: getattr(found, name) for name in ("value", "plan", "u", "v", "gap")}
    return exact.Transport(**{**kept, **{name: change(kept[name]) for name, change in changed.items()}})


UNPROVEN = [
    ({"plan": lambda plan: plan * 1.001}, "marginals off by 1.0e-03"),
    ({"plan": lambda plan: plan[:, ::-1] * -1}, "a negative mass"),
    ({"u": lambda u: u + 1e-6}, "infeasible duals"),
    ({"v": lambda v: v + 1e-6}, "infeasible duals"),
    ({"gap": lambda gap: gap + 1e-6}, "a duality gap of 1.0e-06"),
]


@pytest.mark.parametrize(("changed", "message"), UNPROVEN)
def test_certify_refuses(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(GoracsError, match=message):
        exact.certify(costs(4, 6), spoilt(**changed))


def test_solve_refuses_a_plan_that_is_not_optimal(monkeypatch: pytest.MonkeyPatch) -> None:
    import ot

    uniform = np.full((4, 6), 1 / 24)
    answer = (uniform, {"v": np.zeros(6), "warning": None})
    monkeypatch.setattr(ot, "emd", lambda *_, **__: answer)
    with pytest.raises(GoracsError, match="not certified optimal: a duality gap"):
        exact.solve(costs(4, 6))
