"""Every selector on problems that are odd but allowed: a valid coreset, or a refusal that says why.

A new file in conf/selector enrols itself. Nothing but InvalidInput may be raised, no warning either (they are
errors here), and what is refused must be refused for what is odd about that problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import goracs
from goracs.api import build
from goracs.config import conf_dir
from goracs.types import Coreset, InvalidInput, SelectionProblem

SELECTORS = sorted(path.stem for path in (conf_dir() / "selector").glob("*.yaml"))
EXAMPLES = 30
BOTH_SIDES = frozenset({"hidden", "margin", "sketch", "unit_sketch"})  # scores that validation has too
DYNAMICS = frozenset({"right_margins", "answer_losses"})  # scores at each of several checkpoints


@dataclass(frozen=True)
class Odd:
    """What is odd about a problem; a budget of 0 is N."""

    pool: int
    target: int
    width: int
    size: float  # of the features
    features: str
    scores: str
    sketches: str
    labels: str
    budget: int
    by_class: bool


odd = st.builds(
    Odd,
    pool=st.sampled_from([1, 2, 5, 12]),
    target=st.sampled_from([1, 1, 3, 7]),
    width=st.sampled_from([1, 1, 3, 0]),
    size=st.sampled_from([1.0, 1.0, 1e-30, 1e30, 1e-200, 1e200]),
    features=st.sampled_from(["drawn", "whole", "equal", "zero", "in pairs"]),
    scores=st.sampled_from(["drawn", "equal", "zero", "negative", "whole", "huge", "tiny", "wide"]),
    sketches=st.sampled_from(["drawn", "equal", "zero", "whole", "one", "flat", "huge", "tiny"]),
    labels=st.sampled_from(["none", "two", "one", "all different", "apart"]),
    budget=st.sampled_from([1, 0, 2, 9]),
    by_class=st.booleans(),
)


def features(given: Odd, rng: np.random.Generator) -> tuple[Any, Any]:
    shapes = (given.pool, given.width), (given.target, given.width)
    make: dict[str, Callable[[Any], Any]] = {
        "drawn": lambda shape: rng.standard_normal(shape),
        "whole": lambda shape: rng.integers(-1, 2, shape).astype(float),
        "equal": np.ones,
        "zero": np.zeros,
        "in pairs": lambda shape: np.repeat(rng.standard_normal(shape), 2, axis=0)[: shape[0]],
    }
    pool, target = (make[given.features](shape) * given.size for shape in shapes)
    return pool, target


def score(given: Odd, rng: np.random.Generator) -> Any:
    n = given.pool
    make: dict[str, Callable[[], Any]] = {
        "drawn": lambda: rng.random(n),
        "equal": lambda: np.full(n, 0.3),
        "zero": lambda: np.zeros(n),
        "negative": lambda: -rng.random(n),
        "whole": lambda: rng.integers(-1, 2, n),
        "huge": lambda: rng.choice([-1.7e308, 1.7e308], n),
        "tiny": lambda: rng.random(n) * 1e-310,
        "wide": lambda: rng.random((n, 2)),
    }
    return make[given.scores]()


def course(given: Odd, rng: np.random.Generator) -> Any:
    """At four checkpoints; of "wide" scores at two."""
    one = score(given, rng)
    return one if one.ndim == 2 else np.stack([one, *(score(given, rng) for _ in range(3))], axis=1)


def sketches(given: Odd, rng: np.random.Generator) -> tuple[Any, Any]:
    rows = given.pool + given.target
    make: dict[str, Callable[[], Any]] = {
        "drawn": lambda: rng.standard_normal((rows, 4), dtype=np.float32),
        "equal": lambda: np.ones((rows, 4)),
        "zero": lambda: np.zeros((rows, 4)),
        "whole": lambda: rng.integers(-1, 2, (rows, 4)),
        "one": lambda: rng.standard_normal((rows, 1)),
        "flat": lambda: rng.random(rows),
        "huge": lambda: rng.standard_normal((rows, 4)) * 1e300,
        "tiny": lambda: rng.standard_normal((rows, 4)) * 1e-200,
    }
    both = make[given.sketches]()
    return both[: given.pool], both[given.pool :]


def labels(given: Odd, rng: np.random.Generator) -> dict[str, Any]:
    n, m = given.pool, given.target
    make: dict[str, Callable[[], tuple[Any, Any] | None]] = {
        "none": lambda: None,
        "two": lambda: (rng.integers(0, 2, n), rng.integers(0, 2, m)),
        "one": lambda: (np.ones(n, int), np.ones(m, int)),
        "all different": lambda: (np.arange(n), np.arange(m)),
        "apart": lambda: (np.zeros(n, int), np.ones(m, int)),
    }
    made = make[given.labels]()
    return {} if made is None else {"labels": made[0], "target_labels": made[1]}


def problem(given: Odd, needs: frozenset[str], seed: int) -> SelectionProblem:
    rng = np.random.default_rng(seed)
    pool, target = features(given, rng)
    made = {name: sketches(given, rng) for name in sorted(needs & BOTH_SIDES)}
    scores = {name: score(given, rng) for name in sorted(needs - BOTH_SIDES - DYNAMICS - {"features"})}
    scores |= {name: course(given, rng) for name in sorted(needs & DYNAMICS)}
    return SelectionProblem(
        pool,
        target,
        {**scores, **{name: sides[0] for name, sides in made.items()}},
        {name: sides[1] for name, sides in made.items()},
        **labels(given, rng),
    )


# What a message may say, and of which problem.
REASONS: tuple[tuple[str, Callable[[Odd], bool]], ...] = (
    ("column", lambda given: given.width == 0),
    ("one number", lambda given: given.scores in ("wide", "negative", "whole", "huge")),
    ("numbers >= 0", lambda given: given.scores in ("negative", "whole", "huge")),
    ("too small for float64 to divide by", lambda given: given.scores == "tiny"),
    ("spans more than float64 holds|overflow", lambda given: given.scores == "huge"),
    ("too large|too far apart|float64 does not hold", lambda given: given.size == 1e200),
    (
        "largest distance is .* too small for float64 to square",
        lambda given: given.size == 1e-200 and given.features != "zero",
    ),
    ("'sketch' are too small for float64 to square", lambda given: given.sketches == "tiny"),
    ("checkpoints at least", lambda given: given.scores == "wide"),
    ("overflow float64", lambda given: given.sketches == "huge"),
    (r"needs the score '\w+' as \[rows, k\]", lambda given: given.sketches == "flat"),
    ("labels", lambda given: given.labels == "none"),
    ("by class", lambda given: given.by_class),
    ("takes the whole pool", lambda given: given.budget > 0),
)


def selected(posed: SelectionProblem, given: Odd, name: str) -> Coreset | str:
    """The coreset, or why there is none."""
    try:
        return goracs.select(posed, budget_of(given), name, by_class=given.by_class)
    except InvalidInput as error:
        return str(error)


def budget_of(given: Odd) -> int:
    return min(given.budget or given.pool, given.pool)


@pytest.mark.parametrize("name", SELECTORS)
@given(given=odd, seed=st.integers(0, 9))
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_odd_problem_has_a_coreset_or_a_reason(name: str, given: Odd, seed: int) -> None:
    found = selected(problem(given, build(name, {}).needs, seed), given, name)
    if isinstance(found, str):
        assert any(holds(given) for message, holds in REASONS if re.search(message, found)), found
    else:
        assert len(set(found.indices.tolist())) == budget_of(given)
        assert all(isinstance(said, str) for said in found.report["warnings"])


@pytest.mark.parametrize("name", SELECTORS)
def test_the_plainest_problem_of_all_is_not_refused(name: str) -> None:
    """One row, one column, one class, everything 0."""
    plain = Odd(1, 1, 1, 1.0, "zero", "zero", "zero", "one", 1, by_class=False)
    found = selected(problem(plain, build(name, {}).needs, 0), plain, name)
    assert isinstance(found, Coreset), found
    assert found.indices.tolist() == [0]
