"""The figures of a coreset that its own run did not ask for: whose inputs serve, and whose do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goracs import SelectionProblem, assess
from goracs.report.results import Result
from goracs.stages.assess import completed
from goracs.store import Stage, Store
from tests.unit.test_results import result

RNG = np.random.default_rng(0)
POOL, TARGET = RNG.normal(size=(9, 3)).astype(np.float32), RNG.normal(size=(4, 3)).astype(np.float32)
NORMS = RNG.lognormal(size=9)
ROWS = np.array([1, 4, 7])
LAM = 0.5  # of `result`


def kept(store: Store, name: str, seed: int = 0, numbers: str = "", **arrays: np.ndarray[Any, Any]) -> str:
    """The key of a stored artifact that holds these arrays."""

    def build(folder: Path, _: Mapping[str, Path]) -> None:
        for file, array in arrays.items():
            np.save(folder / f"{file}.npy", array)

    return store.get(Stage(name, 1, {"seed": seed, "numbers": numbers}, {}, build)).key


@pytest.fixture
def store(lock_free_store: Store) -> Store:
    return lock_free_store


@pytest.fixture
def lender(store: Store) -> Result:
    """A run that made the features and the norms, and has its figures."""
    digests = {
        "prepare": "p",
        "features": kept(store, "features", pool=POOL, target=TARGET),
        "score": kept(store, "score", pool_gradient_norm=NORMS),
    }
    return result(digests=digests, coreset__assessment={"poo": 0.1})


@pytest.fixture
def asker(store: Store) -> Callable[..., Result]:
    """A random run that stopped at its selection, so that its backbone was never asked."""

    def make(**changes: Any) -> Result:
        digests = {"prepare": "p", "select": kept(store, "select", indices=ROWS)}
        return result("random", **({"digests": digests, "config__backbone__precision": "auto"} | changes))

    return make


def judged(store: Store, *results: Result) -> dict[str, Any] | None:
    """The figures of the first of them."""
    found: dict[str, Any] | None = completed(list(results), store)[0]["coreset"]["assessment"]
    return found


def test_completed_equals_assess_on_the_arrays(store: Store, lender: Result, asker: Any) -> None:
    problem = SelectionProblem(features=POOL, target_features=TARGET, scores={"gradient_norm": NORMS})
    run = asker()
    assert judged(store, run, lender) == assess(problem, ROWS, LAM)
    assert completed([lender, run], store) == completed([run, lender], store)[::-1]
    assert run["coreset"]["assessment"] is None, "the results given are not changed"


def test_completed_lends_what_two_runs_have_each(store: Store, lender: Result, asker: Any) -> None:
    halves = [
        {**lender, "digests": {name: lender["digests"][name] for name in ("prepare", stage)}}
        for stage in ("features", "score")
    ]
    assert judged(store, asker(), *halves) == judged(store, asker(), lender)
    assert judged(store, asker(), halves[0]) is None


@pytest.mark.parametrize(("seed", "serves"), [(0, True), (1, False)])
def test_completed_takes_the_norms_of_another_pass_where_a_run_took_none(
    store: Store, lender: Result, asker: Any, seed: int, serves: bool
) -> None:
    """A pass for hidden states alone is of the same start as one for gradients, or of another one."""
    run = asker()
    alone = kept(store, "score", seed, numbers="hidden", pool_hidden=POOL)
    run["digests"] |= {"score": alone, "features": lender["digests"]["features"]}
    assert judged(store, run) is None
    assert (judged(store, run, lender) == judged(store, asker(), lender)) == serves


@pytest.mark.parametrize(
    "changes",
    [
        {"config__task__lam": 0.3},
        {"config__features__scale": "unit"},
        {"config__backbone__batch_tokens": 512},
        {"config__backbone__precision": "bf16"},
        {"config__dataset__size": 800},
    ],
)
def test_completed_never_lends_to_other_settings(
    store: Store, lender: Result, asker: Any, changes: dict[str, Any]
) -> None:
    assert judged(store, asker(**changes), lender) is None


@pytest.mark.parametrize("name", ["prepare", "weights", "adapter", "embed", "score", "features"])
def test_completed_never_lends_what_comes_from_another_source(
    store: Store, lender: Result, asker: Any, name: str
) -> None:
    """Equal settings, yet the files behind them changed between the two runs."""
    run = asker()
    run["digests"][name] = "another"
    lender["digests"].setdefault(name, "one")
    assert judged(store, run, lender) is None


def test_completed_leaves_what_is_gone_from_the_store(store: Store, lender: Result, asker: Any) -> None:
    assert judged(Store(store.root / "elsewhere"), asker(), lender) is None
    assert not (store.root / "elsewhere").exists()


@pytest.mark.parametrize("changes", [{"coreset": None}, {"config__budget": "all"}])
def test_completed_leaves_runs_without_a_choice(
    store: Store, lender: Result, asker: Any, changes: dict[str, Any]
) -> None:
    run = asker(**changes)
    assert completed([run, lender], store)[0] == run
