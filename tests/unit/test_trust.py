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


def test_the_engine_agrees_with_exact_arithmetic_and_brute_force() -> None:
    assert [(name, faults) for name, _, faults in islice(trust.trials(7), 200) if faults] == []


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


def test_a_wrong_search_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = trust.drawn_search(np.random.default_rng(1))
    assert trust.search_faults(*drawn) == []
    assess = goracs.assess
    monkeypatch.setattr(goracs, "assess", lambda *given: {"poo": assess(*given)["poo"] - 0.1})
    assert {"effort=certify: a bound above the optimum", "effort=optimal: not the optimum"} <= set(
        trust.search_faults(*drawn)
    )
