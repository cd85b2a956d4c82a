"""Public functions with odd arguments, in short: none takes them for what they are not; or it is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import goracs
from experiments import fuzz, fuzz_calls
from experiments.fuzz_calls import CALLS, Call
from goracs.evaluation import bootstrap, ctr, ranking
from goracs.ot import distance, exact
from goracs.report import statistics
from goracs.types import InvalidInput, Scale

CALLED = 15  # with odd arguments; 10,000 in the long form
X = np.random.default_rng(0).normal(size=(4, 2))


@pytest.mark.parametrize("name", CALLS)
def test_a_plain_call_is_answered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LIMIT", 600)  # kernels may have to be compiled first
    given = CALLS[name].made(np.random.default_rng(0))
    assert fuzz_calls.tried(CALLS[name], given).kind == "read"


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_call_is_answered_rightly_or_refused_in_words(name: str) -> None:
    found = [fuzz_calls.trial(name, 1, number)[1] for number in range(CALLED)]
    assert [one.said for one in found if one.kind not in ("read", "refused")] == []


@pytest.mark.parametrize(
    ("ask", "given", "kind"),
    [
        (lambda x: float(np.asarray(x, float).sum()), ["1", "2"], "wrong"),  # text
        (lambda x: float(np.asarray(x, float).sum()), np.ma.masked_array([1.0, 2.0], [True, False]), "wrong"),
        (lambda x: float(x.ctypes.data % 64 + x.strides[0]), np.arange(8.0)[::2], "wrong"),
        (lambda x: float(np.log(-np.abs(x)).sum()), np.ones(2), "crashed"),  # a warning
        (lambda x: np.float64("nan") * x, np.ones(2), "wrong"),
        (lambda x: x.no_such_thing, np.ones(2), "crashed"),
        (lambda _: 3.0, np.ones(2), "read"),
    ],
)
def test_a_function_that_does_otherwise_is_seen(ask: Any, given: Any, kind: str) -> None:
    assert fuzz_calls.tried(Call(lambda _: {}, lambda **those: ask(those["x"])), {"x": given}).kind == kind


def problem(**changes: Any) -> goracs.SelectionProblem:
    return goracs.SelectionProblem(**{"features": X, "target_features": X[:2], **changes})


def select(**fields: Any) -> goracs.Coreset:
    return goracs.select(problem(), 2, **{"selector": "goracs", "lam": 0.0, "by_class": False, **fields})


def metrics(**changes: Any) -> object:
    given = {"scores": [0.1, 0.2], "labels": [0, 1], "users": ["a", "b"], "draws": 5, "seed": 0}
    return ctr.ctr_metrics(**{**given, "scores_are": "logit_margin", **changes})


FINDS = [  # what the long form found: they crashed, or were taken for numbers
    (
        lambda: problem(features=[["1", "2"]]),
        "features must be .* got values of type <U1",
    ),
    (lambda: problem(features=[[1.0], [1.0, 2.0]]), "features must be an array of numbers: .*inhomogeneous"),
    (lambda: problem(features=X + 1j), "features must be .* got values of type complex128"),
    (lambda: problem(features=np.ma.masked_array(X, X > 0)), "features must be .* got masked values"),
    (lambda: problem(features=X.astype(object)), "features must be .* got values of type object"),
    (lambda: problem(scores=[1.0, 2.0]), "scores must be arrays by name"),
    (lambda: problem(scores={3: X[:, 0]}), "scores must be arrays by name"),
    (lambda: problem(scale=1.0), "scale must be a Scale or None, got 1.0"),
    (lambda: Scale(0.0, 1.0), "the distance of a Scale must be a finite number > 0, got 0.0"),
    (lambda: Scale(1.0, "1"), "the gradient of a Scale must be a finite number > 0, got '1'"),  # type: ignore[arg-type]
    (lambda: goracs.Coreset(np.arange(2), 2, None), "pool_size must be a whole number, got None"),  # type: ignore[arg-type]
    (lambda: goracs.assess(problem(), ["0"], 0.0), "indices must be an array of real numbers"),
    (lambda: goracs.assess(problem(scores={"gradient_norm": X[:, 0] ** 2}), [0], 1e300), "at most 1e.290"),
    (lambda: select(selector=["goracs"]), "there is no selector"),
    (lambda: select(cluster=3), "cluster must be a name or fields of ray, got 3"),
    (lambda: select(cluster={3: 4}), "cluster ray has no 3"),
    (lambda: select(lam=np.ones(2)), "selector goracs takes plain values"),
    (lambda: select(lam="${none.such}"), "selector goracs takes plain values"),
    (lambda: select(grid=0.5), "selector.grid must be"),
    (lambda: select(memory="1"), "selector.memory must be|memory must be"),
    (lambda: exact.solve([["a"]]), "a cost matrix must be an array of real numbers"),  # type: ignore[arg-type]
    (lambda: distance.distances(X, X[:, :1]), "two matrices of one width, got shapes .4, 2. and .4, 1."),
    (lambda: distance.distances(X.astype(np.longdouble) * 1e160, X), "too far apart for float64"),
    (lambda: metrics(scores=["0.1", "0.2"]), "scores must be an array of real numbers"),
    (lambda: metrics(users=[["a"], "b"]), "users must be a list of names"),
    (lambda: metrics(users=[0.5, float("nan")]), "users must be a list of names"),
    (lambda: metrics(users=np.array(["a", 1], object)), "users must be a list of names"),
    (lambda: metrics(users=["1", 1]), "users must be a list of names"),
    (lambda: metrics(seed=None), "the bootstrap's seed must be a whole number >= 0, got None"),
    (lambda: metrics(draws=2.5), "the bootstrap's draws must be a whole number >= 0, got 2.5"),
    (lambda: metrics(draws=10**9), "at most 1,000,000 draws"),
    (lambda: ranking.ranks(X, [0.0, 1.0, 0.0, 1.0]), "targets must be a list of integers"),  # type: ignore[arg-type]
    (
        lambda: statistics.difference(np.array([np.nan, 1.0]), np.ones((2, 3))),
        "differences must be numbers below",
    ),
    (
        lambda: statistics.difference(np.array([1e200, 1.0]), np.ones((2, 3))),
        "differences must be numbers below",
    ),
    (lambda: statistics.difference(np.ones(2), np.ones((2, 1))), "at least two resamples, got 1"),
    (lambda: statistics.holm([0.1, float("nan")]), r"numbers in \[0, 1\]"),
    (lambda: statistics.rank_correlation(X[:, 0], X[:3, 0]), "two lists of as many finite numbers"),
]


@pytest.mark.parametrize(("ask", "said"), FINDS)
def test_what_was_found_is_refused_in_words(ask: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ask()


def test_figures_of_half_precision_have_the_p_of_the_same_numbers() -> None:
    """numpy's deviation of float16 is another."""
    halves = np.array([0.1, 0.7, 0.4], np.float16), np.ones((3, 4), np.float16)
    assert statistics.difference(*halves) == statistics.difference(*(half.astype(float) for half in halves))
    assert statistics.holm(halves[0]) == statistics.holm(halves[0].tolist())  # type: ignore[arg-type]


def test_names_of_users_may_be_texts_or_numbers() -> None:
    same = [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array([0, 1]), list(np.array(["a", "b"]))]
    same += [np.array(["a", "b"], object), pl.Series(["a", "b"]), list(np.arange(2))]
    assert all(metrics(users=users) == metrics() for users in same)
    assert bootstrap.MOST == 1_000_000
