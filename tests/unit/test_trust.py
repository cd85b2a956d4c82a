"""The engine against exact arithmetic and brute force, in short; and that who asks would see a fault."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

import goracs
from experiments import trust
from goracs.ot import exact
from goracs.selection import by_class
from goracs.types import Coreset


def test_the_engine_agrees_with_exact_arithmetic_and_brute_force() -> None:
    found = list(islice(trust.trials(7), 240))
    refused = {(one.what, one.family) for one in found if one.faults == [trust.REFUSED]}
    assert refused == {("search", "subnormal")}  # its distances have no squares
    assert [one for one in found if one.faults and one.faults != [trust.REFUSED]] == []
    assert {one.sizes for one in found} == {*trust.sizes(trust.SIDE), "n = N"}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (lambda found: {"plan": np.roll(found.plan, 1, axis=1)}, "a cheaper plan"),
        (lambda found: {"plan": 0.7 * found.plan}, "masses that are no whole units"),
        (lambda found: {"plan": 2 * found.plan}, "marginals"),
        (lambda found: {"u": found.u + 0.1}, "a dual above its cost"),
        (lambda found: {"v": found.v - 0.1}, "a gap"),
        (lambda found: {"value": found.value + 0.1}, "a value that is not the plan's"),
    ],
)
def test_a_wrong_transport_is_seen(changed: Any, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.random.default_rng(0).random((4, 4))
    wrong = replace(exact.solve(costs), **changed(exact.solve(costs)))
    monkeypatch.setattr(exact, "solve", lambda _: wrong)
    assert fault in trust.transport_faults(costs)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (lambda report: {"lower_bound": report["lower_bound"] + 0.1}, "a bound above the optimum"),
        (lambda report: {"poo": report["poo"] - 0.1}, "better than every coreset"),
        (lambda report: {"poo": report["poo"] + 0.1}, "a POO that is not its rows'"),
        (lambda _: {"optimal": False}, "not the optimum"),
    ],
)
def test_a_wrong_search_is_seen(changed: Any, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = trust.drawn_search(np.random.default_rng(1))
    assert trust.search_faults(*drawn) == []
    select = by_class.select

    def wrong(*given: Any) -> Coreset:
        found = select(*given)
        return replace(found, report={**found.report, **changed(found.report)})

    monkeypatch.setattr(by_class, "select", wrong)
    assert f"effort=optimal: {fault}" in trust.search_faults(*drawn)


def test_other_rows_than_the_best_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, budget, lam = trust.drawn_search(np.random.default_rng(1), "uniform")
    values = trust.every_poo(problem, budget, lam)
    worst = max(values, key=values.__getitem__)
    report = {"lower_bound": min(values.values()), "poo": values[worst], "optimal": True}
    found = Coreset(np.array(worst), budget, problem.pool_size, report)
    monkeypatch.setattr(by_class, "select", lambda *_: found)
    assert trust.search_faults(problem, budget, lam) == [
        f"effort={effort}: said to be the optimum, and is not" for effort in trust.EFFORTS
    ]


def test_a_wrong_certificate_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = trust.drawn_search(np.random.default_rng(1), "uniform")
    monkeypatch.setattr(goracs, "certify", lambda *given: {**goracs.assess(*given), "lower_bound": 99.0})
    assert trust.search_faults(*drawn) == ["certify: not so"]
