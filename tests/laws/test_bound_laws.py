"""The bound of a search is never above the optimum, whatever the sizes divide: by enumeration, and by MIP."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from goracs import SelectionProblem, certify, select
from goracs.ot import exact
from goracs.selection import certificate
from tests.searches import costs_of, search

POWERS = [(2**a, 2**b) for a, b in product(range(2, 6), repeat=2)]
LARGER = [(60, 20), (100, 20), (150, 50), (36, 12), (12, 36), (40, 24), (24, 40), (25, 13)]


def problem(pool: int, m: int, seed: int, d: int = 8) -> SelectionProblem:
    draw = np.random.default_rng([seed, pool, m])
    features = draw.standard_normal((pool, d)), draw.standard_normal((m, d))
    return SelectionProblem(*features, scores={"gradient_norm": draw.lognormal(size=pool)})


@pytest.mark.parametrize("m", range(1, 41))
def test_bound_is_never_above_the_best_of_all_coresets_that_leave_one_row_out(m: int) -> None:
    for n in range(1, 41):
        given = problem(n + 1, m, seed=0)
        costs = costs_of(given, 0.1)
        best = min(exact.solve(np.delete(costs, row, axis=0)).value for row in range(n + 1))
        report = search(given, n, lam=0.1, effort="start").report
        assert report["lower_bound"] <= best, n


def relaxed(costs: np.ndarray, budget: int, *, whole: bool) -> float:
    """Row i ships z_i / n, at most z_i min(1/m, 1/n) to a column; the optimum if every z is whole."""
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    N, m = costs.shape
    ship, one = sparse.eye_array(N * m), sparse.eye_array(N)
    rows = sparse.kron(one, np.ones((1, m)))
    columns = sparse.kron(np.ones((1, N)), sparse.eye_array(m))
    none = sparse.csr_array((m, N))
    rules = [
        LinearConstraint(sparse.hstack([rows, -one / budget]), 0, 0),
        LinearConstraint(sparse.hstack([columns, none]), 1 / m, 1 / m),
        LinearConstraint(
            sparse.hstack([ship, -min(1 / m, 1 / budget) * sparse.kron(one, np.ones((m, 1)))]), -np.inf, 0
        ),
        LinearConstraint(np.concatenate([np.zeros(N * m), np.ones(N)])[None], budget, budget),
    ]
    found = milp(
        np.concatenate([costs.ravel(), np.zeros(N)]),
        constraints=rules,
        bounds=Bounds(0, np.concatenate([np.full(N * m, np.inf), np.ones(N)])),
        integrality=np.concatenate([np.zeros(N * m), np.full(N, whole)]),
    )
    assert found.status == 0, found.message
    return float(found.fun)


MIP = 1e-7  # the solver's own tolerance


@pytest.mark.parametrize(("n", "m"), [(6, 3), (3, 6), (8, 4), (4, 8), (5, 7), (7, 5), (6, 4), (4, 4)])
def test_bound_is_never_above_the_optimum_by_mip(n: int, m: int) -> None:
    for seed in range(2):
        given = problem(4 * n, m, seed, d=3)
        best = relaxed(costs_of(given, 0.1), n, whole=True)
        found = search(given, n, lam=0.1)
        assert found.report["lower_bound"] <= best + MIP
        assert found.report["poo"] >= best - MIP
        assert certify(given, found.indices, 0.1)["lower_bound"] <= best + MIP


@pytest.mark.parametrize(("n", "m"), POWERS + LARGER)
def test_bound_is_never_above_the_relaxation_it_approaches(n: int, m: int) -> None:
    """The Lagrangian dual is the linear relaxation at best, and that is below the optimum."""
    given = problem(2 * n + 20, m, seed=1)
    best = relaxed(costs_of(given, 0.1), n, whole=False)
    report = search(given, n, lam=0.1, effort="start").report
    assert report["lower_bound"] <= best + MIP
    assert report["lower_bound"] >= best - 0.05 * (best - report["lowest_cost"])


@pytest.mark.parametrize(("n", "m"), [(60, 20), (100, 20), (150, 50), (192, 64), (300, 100)])
def test_a_search_ends_with_the_optimum_where_the_targets_divide_the_budget(n: int, m: int) -> None:
    """Rows that serve every column exactly have no gap, and prices that prove it do not run away."""
    given = problem(1000, m, seed=2, d=16)
    found = search(given, n, lam=0.1, effort="alternate")
    assert found.report["lower_bound"] <= found.report["poo"]
    assert found.report["gap"] < 1e-9
    proof = certify(given, found.indices, 0.1)
    assert proof["lower_bound"] <= found.report["poo"]
    assert proof["gap"] < 1e-9


def test_certify_trusts_no_digits_that_its_prices_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best prices, far away from 0 or with noise: the bound falls, it never passes the optimum."""
    n, m = 6, 9
    for seed, k in product(range(4), range(0, 20, 2)):
        given, draw = problem(n, m, seed), np.random.default_rng(seed)
        prices = exact.solve(costs_of(given, 0.1)).v + 10.0**k * draw.choice([1.0, -1.0])
        prices[: seed // 2] += 10.0**k * draw.normal()
        monkeypatch.setattr(certificate, "_prices", lambda *_, prices=prices: prices)
        report = certify(given, np.arange(n), 0.1)
        assert report["lower_bound"] <= report["poo"], (seed, k)
        assert seed // 2 or report["gap_absolute"] < 1e-12 * 10.0**k


def test_the_bound_by_class_is_never_above_the_sum_of_its_parts() -> None:
    for seed in range(8):
        draw = np.random.default_rng(seed)
        features = draw.standard_normal((60, 3)), draw.standard_normal((21, 3))
        scores = {"gradient_norm": draw.lognormal(size=60)}
        labels, target_labels = np.arange(60) % 7, np.arange(21) % 7
        given = SelectionProblem(*features, scores=scores, labels=labels, target_labels=target_labels)
        report = select(given, 23, "goracs", lam=0.3, by_class=True, effort="start").report
        parts = report["classes"].values()
        whole = sum(Fraction(part["budget"], 23) * Fraction(part["lower_bound"]) for part in parts)
        assert Fraction(report["lower_bound"]) <= whole
        assert report["lower_bound"] == pytest.approx(float(whole), abs=1e-14)
