"""Exact transport: against enumeration, its own certificate, and in units that break the bare solver."""

from fractions import Fraction
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


def exactly_cheapest(table: np.ndarray) -> Fraction:
    """`cheapest_matching` of fractions: no cost is too large to be seen beside another."""
    exactly = [[Fraction(cost) for cost in row] for row in table.tolist()]
    sums = (
        sum((row[j] for row, j in zip(exactly, order, strict=True)), Fraction())
        for order in permutations(range(len(table)))
    )
    return min(sums) / len(table)


PLACES: dict[str, Any] = {
    "one entry": (0, 1),
    "several entries": ([0, 1, 3, 4], [1, 1, 2, 0]),
    "all but a matching": ~np.eye(5, dtype=bool),
    "a row": 2,
    "a column": (slice(None), 3),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", PLACES)
def test_solve_equals_fractions_however_far_out_some_costs_are(place: str, sign: int) -> None:
    """A wrong plan is seen where the far costs are not paid: its other costs are whole numbers."""
    for k in range(301):
        table = np.random.default_rng(k).integers(0, 50, (5, 5)).astype(float)
        table[PLACES[place]] = sign * 10.0**k
        found, expected = exact.solve(table), exactly_cheapest(table)
        assert found.value == pytest.approx(float(expected), rel=ROUNDING, abs=50 * ROUNDING), k


@pytest.mark.parametrize(("n", "m"), [(4, 12), (4, 6), (6, 4), (5, 7), (12, 4)])
@pytest.mark.parametrize("kind", ["entries", "two scales", "a row", "a column"])
def test_solve_finds_the_plan_that_far_costs_would_hide(n: int, m: int, kind: str) -> None:
    """Costs that are never paid, or are paid in any case, change no plan's rank; units are matched here."""
    from scipy.optimize import linear_sum_assignment

    copies = np.lcm(n, m)
    for k in range(4, 301, 4):
        near = np.random.default_rng([k, n, m]).integers(1, 50, (n, m)).astype(float)
        table, seen = near.copy(), near.copy()
        if kind in ("entries", "two scales"):
            table[0, 1], seen[0, 1] = 10.0**k, 1e6
            table[-1, 0], seen[-1, 0] = 10.0 ** (k // 2 + 3 if kind == "two scales" else k), 1e6
        else:
            line = np.s_[0] if kind == "a row" else np.s_[:, 0]
            table[line], seen[line] = 10.0**k, 0.0
        units = np.repeat(np.repeat(seen, copies // n, axis=0), copies // m, axis=1)
        expected = units[linear_sum_assignment(units)].mean()
        assert (exact.solve(table).plan * seen).sum() == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def test_solve_is_certified_at_the_size_of_what_it_pays() -> None:
    """The largest cost has no part in it, nor has what every plan pays."""
    table = costs(5, 8) + np.array([[0.0], [1e9], [0.0], [-1e9], [0.0]])
    table[0, 0] = 1e200
    found = exact.solve(table)
    assert 0 < found.size < 1
    assert abs(found.gap) <= exact.CERTIFIED * found.size
    assert exact.solve(np.eye(4)).size == 1  # nothing is paid: the smallest that could be
    assert exact.solve(np.ones((3, 4))).size == 0


def test_least_is_rounding_at_the_size_of_what_is_paid() -> None:
    table = costs(5, 8)
    least = exact.solve(table).least
    assert 0 < least < 1e-11
    far = table.copy()
    far[table.argmax() // 8, table.argmax() % 8] = 1e18
    assert exact.solve(far).least < 1e-11
    assert exact.solve(table + 1e6).least > 1e-10  # more digits are not there


BAD = [
    (np.array([[-1e308, 0.0], [0.0, 1e308]]), "differ by what float64 reaches"),
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
    kept = {name: getattr(found, name) for name in ("value", "plan", "u", "v", "gap", "size")}
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


LIMITS = [  # the size at stake, a gap and the largest dual: what is rounding, and what is just beyond
    ((1.0, 1e-11, 0.0), (1.0, 1.01e-11, 0.0)),
    ((2.23e-5, 0.0, 1.0), (2.21e-5, 0.0, 1.0)),  # a dual of 1 hides 2^-52
    ((5e-324, 8 * 5e-324, 0.0), (5e-324, 9 * 5e-324, 0.0)),  # some last digits of the smallest numbers
]


@pytest.mark.parametrize(("rounding", "beyond"), LIMITS)
def test_certify_takes_for_rounding_what_can_be_and_no_more(
    rounding: tuple[float, float, float], beyond: tuple[float, float, float]
) -> None:
    def certify(size: float, gap: float, dual: float) -> None:
        found = exact.Transport(0.0, np.ones((1, 1)), np.array([-dual]), np.array([dual]), gap, size)
        exact.certify(np.zeros((1, 1)), found)

    certify(*rounding)
    with pytest.raises(GoracsError, match="a duality gap"):
        certify(*beyond)


def test_solve_refuses_a_plan_that_is_not_optimal(monkeypatch: pytest.MonkeyPatch) -> None:
    import ot

    uniform = np.full((4, 6), 1 / 24)
    answer = (uniform, {"v": np.zeros(6), "warning": None})
    monkeypatch.setattr(ot, "emd", lambda *_, **__: answer)
    with pytest.raises(GoracsError, match="not certified optimal: a duality gap"):
        exact.solve(costs(4, 6))
