"""Does a public function take anything odd for a number? Calls with odd arguments, in one process.

`python -m experiments.fuzz_calls [call=all] [inputs=1000] [first=0] [seed=0]` prints a table as
`experiments.fuzz` does, of calls that were answered, refused in words, or ended otherwise:

crashed   another exception, or a warning.
hung      no end after `fuzz.LIMIT` seconds.
wrong     an answer that is not the one for the same arguments as plain float64, int64 and str, that
          has NaN in it, or that was given for what is no number at all.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

import goracs
from experiments.fuzz import ODD, Draw, Outcome, asked_for, outcome, table
from goracs.api import build
from goracs.config import conf_dir
from goracs.evaluation import ctr, ranking
from goracs.ot import distance, exact
from goracs.report import statistics
from goracs.types import Scale

Given = dict[str, Any]
NO_NUMBER = "no number"
SAME = 0.2  # of the calls have no odd argument but in its form
SCALARS: tuple[Any, ...] = (
    *ODD,
    *(np.float64(0.5), np.int64(3), np.float32("nan"), np.array(2), np.array([2]), Decimal("0.5"), 1 + 2j),
    *(2**63, -(2**63) - 1, 0.1, 1e-320, "all", "${oc.env:HOME}", "???", b"x", {1, 2}, datetime(2024, 1, 1)),
    *(False, (), 3, 1.0, np.bool_(True), "0.5", float("-inf"), [0.1, 0.2], range(3)),
)


def formed(value: Any, draw: Draw) -> Any:
    """The same array in another form."""
    doubled = np.repeat(value, 2, axis=0)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: doubled[::2],
        lambda: np.ascontiguousarray(value[::-1])[::-1],
        lambda: np.asfortranarray(value),
        lambda: value.tolist(),
        lambda: tuple(value.tolist()),
        lambda: value.astype(value.dtype.newbyteorder()) if value.dtype.kind in "if" else value,
        lambda: value.astype(np.longdouble) if value.dtype.kind == "f" else value,
        lambda: value.astype(np.uint8) if value.dtype.kind == "i" and (value >= 0).all() else value,
        lambda: _locked(value),
    )
    return ways[int(draw.integers(len(ways)))]()


def _locked(value: Any) -> Any:
    value = value.copy()
    value.flags.writeable = False
    return value


def distorted(value: Any, draw: Draw) -> Any:
    """Another array, or none at all."""
    cell = tuple(int(draw.integers(side)) for side in value.shape)
    wild = (np.nan, np.inf, -np.inf, -1, 10**6, 1e300, -1e300, 1e-300, 0.5, 2**40)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: _put(value, cell, wild[int(draw.integers(len(wild)))]),
        lambda: value[:0],
        lambda: value[:-1],
        lambda: np.concatenate([value, value[:1]]),
        lambda: value[..., None],
        lambda: value.T,
        lambda: value.ravel(),
        lambda: value[..., :0],
        lambda: np.full_like(value, value.flat[0]),
        lambda: value.astype(object),
        lambda: _put(value.astype(object), cell, ("x", None, 10**30, [1])[int(draw.integers(4))]),
        lambda: value.astype(str),
        lambda: value.astype(np.float32) * np.float32(1e30) if value.dtype.kind == "f" else value[:, None],
        lambda: value.astype(bool),
        lambda: (
            value * (1e160, 1e-160, 1e300, 1e-300, 1e-320, 0.0)[int(draw.integers(6))]
            if value.dtype.kind in "if"
            else value
        ),
        lambda: value.astype(complex) if value.dtype.kind in "if" else value,
        lambda: value.astype("m8[s]") if value.dtype.kind == "i" else value,
        lambda: value.astype(np.float16) if value.dtype.kind in "if" else value,
        lambda: np.ma.masked_array(value, np.arange(value.size).reshape(value.shape) == 0),
        lambda: [*value.tolist(), [1, 2, 3, 4, 5, 6, 7]],
        lambda: value[0],
        lambda: np.zeros(len(value), [("a", float), ("b", int)]),
        lambda: SCALARS[int(draw.integers(len(SCALARS)))],
    )
    return ways[int(draw.integers(len(ways)))]()


def _put(value: Any, cell: tuple[int, ...], wild: Any) -> Any:
    held = np.array(value, np.float64) if value.dtype.kind in "iuf" else value.copy()
    held[cell] = wild
    return held


def odd(value: Any, draw: Draw) -> Any:
    """An odd value where this one is right."""
    if isinstance(value, np.ndarray) and value.ndim and value.size and value.dtype.kind in "iufU":
        return distorted(value, draw)
    if isinstance(value, Mapping) and value and ("features" in value or draw.random() < 0.7):
        key = list(value)[int(draw.integers(len(value)))]
        return {**value, key: odd(value[key], draw)}
    return SCALARS[int(draw.integers(len(SCALARS)))]


def plain(value: Any) -> Any:
    """The same argument as anybody would give it; NO_NUMBER where it is none."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if not isinstance(value, np.ndarray | list | tuple):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        return NO_NUMBER
    if array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biufU" or isinstance(value, np.ma.MaskedArray):
        return NO_NUMBER
    kind = {"f": np.dtype(np.float64), "U": array.dtype}.get(array.dtype.kind, np.dtype(np.int64))
    return np.ascontiguousarray(array.astype(kind))


@dataclass(frozen=True)
class Call:
    """A function, what to give it, which arguments may be text, and whether lists stand for arrays."""

    made: Callable[[Draw], Given]
    ask: Callable[..., Any]
    texts: frozenset[str] = frozenset()
    arrays: bool = True


def _problem(draw: Draw) -> Given:
    pool, targets = int(draw.integers(2, 7)), int(draw.integers(2, 4))
    labels = draw.integers(0, 2, pool), draw.integers(0, 2, targets)
    given: Given = {
        "features": draw.normal(size=(pool, 2)),
        "target_features": draw.normal(size=(targets, 2)),
        "scores": {"gradient_norm": draw.random(pool)},
    }
    if draw.random() < 0.5:
        given |= {"labels": labels[0], "target_labels": labels[1]}
    if draw.random() < 0.3:
        given |= {"target_users": np.arange(targets)}
    return given | ({"scale": Scale(1.0, 1.0)} if draw.random() < 0.2 else {})


def _made(given: Given) -> goracs.SelectionProblem:
    return goracs.SelectionProblem(**given)


def _posed(draw: Draw) -> Given:
    problem = _problem(draw)
    rows = np.sort(draw.choice(len(problem["features"]), 2, replace=False))
    return {"problem": problem, "indices": rows, "lam": 0.1}


def _asked(draw: Draw) -> Given:
    problem = _problem(draw)
    return {"problem": problem, "budget": 2, "selector": "goracs", "seed": 0, "cluster": "local", "lam": 0.1}


def _answers(draw: Draw) -> Given:
    size = int(draw.integers(2, 9))
    return {
        "scores": draw.normal(size=size),
        "labels": draw.integers(0, 2, size),
        "users": np.array([f"u{one}" for one in draw.integers(0, 3, size)]),
        "scores_are": "logit_margin",
        "draws": 5,
        "seed": 0,
    }


def _ranked(draw: Draw) -> Given:
    size = int(draw.integers(2, 9))
    users = np.array([f"u{one}" for one in draw.integers(0, 3, size)])
    return {"positions": draw.integers(1, 12, size), "users": users, "draws": 5, "seed": 0}


def _fields(draw: Draw) -> Given:
    name = SELECTORS[int(draw.integers(len(SELECTORS)))]
    return {"selector": name, **vars(build(name, {}))}


SELECTORS = sorted(path.stem for path in (conf_dir() / "selector").glob("*.yaml"))


def _coreset(found: goracs.Coreset) -> Any:
    return found.indices, {key: found.report[key] for key in ("poo", "lower_bound", "warnings")}


CALLS: dict[str, Call] = {
    "SelectionProblem": Call(_problem, lambda **given: vars(_made(given))),
    "Scale": Call(lambda _: {"distance": 1.0, "gradient": 2}, lambda **given: vars(Scale(**given))),
    "Coreset": Call(
        lambda draw: {"indices": draw.choice(9, 3, replace=False), "budget": 3, "pool_size": 9},
        lambda **given: goracs.Coreset(**given).indices,
    ),
    "select": Call(
        _asked,
        lambda problem, **given: _coreset(goracs.select(_made(problem), **given)),
        frozenset({"selector"}),
    ),
    "fields of selectors": Call(
        _fields, lambda selector, **given: repr(build(selector, given)), frozenset({"selector"}), arrays=False
    ),
    "assess": Call(_posed, lambda problem, **given: goracs.assess(_made(problem), **given)),
    "certify": Call(_posed, lambda problem, **given: goracs.certify(_made(problem), **given)),
    "transport": Call(
        lambda draw: {"costs": draw.normal(size=(int(draw.integers(1, 5)), int(draw.integers(1, 5))))},
        lambda **given: exact.solve(**given).value,
    ),
    "distances": Call(
        lambda draw: {"pool": draw.normal(size=(4, 2)), "target": draw.normal(size=(3, 2))},
        distance.distances,
    ),
    "ctr_metrics": Call(_answers, ctr.ctr_metrics, frozenset({"users"})),
    "ranks": Call(
        lambda draw: {"distances": draw.random((4, 3)), "target": draw.integers(0, 3, 4)}, ranking.ranks
    ),
    "ranking_metrics": Call(_ranked, ranking.ranking_metrics, frozenset({"users"})),
    "difference": Call(
        lambda draw: {"values": draw.normal(size=3), "resampled": draw.normal(size=(3, 6))},
        lambda **given: vars(statistics.difference(**given)),
    ),
    "holm": Call(lambda draw: {"chances": draw.random(4)}, statistics.holm),
    "rank_correlation": Call(
        lambda draw: {"first": draw.random(4), "second": draw.random(4)}, statistics.rank_correlation
    ),
}


def tried(call: Call, given: Given) -> Outcome:
    """What becomes of a call."""
    answers: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = outcome(lambda: answers.append(call.ask(**given)))
    if not answers:
        return found
    return _judged(call, given, answers[0])


def _judged(call: Call, given: Given, answer: Any) -> Outcome:
    """Whether an answer is that of the plain arguments, and all numbers."""
    simple = plain(given) if call.arrays else given
    no_number = [name for name, value in _flat(simple) if _no_number(value, name, call)]
    if no_number:
        return Outcome("wrong", f"taken for a number: {', '.join(no_number)}")
    try:
        expected = call.ask(**simple)
    except BaseException as error:
        return Outcome("wrong", f"an answer, but of the plain arguments {error!r}")
    if not _alike(answer, expected):
        return Outcome("wrong", f"{answer}\nbut of the plain arguments {expected}")
    return Outcome("wrong", f"NaN in {answer}") if _has_nan(answer) else Outcome("read")


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [one for key, inner in value.items() for one in _flat(inner, str(key))]
    return [(name, value)]


def _no_number(value: Any, name: str, call: Call) -> bool:
    if name in call.texts:
        return False
    texts = isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size > 0
    return texts or (isinstance(value, str) and value == NO_NUMBER)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float | np.floating | np.ndarray) and np.asarray(one).dtype.kind in "iuf":
        return np.shape(one) == np.shape(other) and bool(
            np.allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-6, equal_nan=True)
        )
    arrays = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return bool(np.array_equal(one, other) if arrays else one == other)


def _has_nan(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_nan, value))
    if isinstance(value, float | np.floating | np.ndarray) and np.asarray(value).dtype.kind == "f":
        return bool(np.isnan(np.asarray(value)).any())
    return False


def trial(name: str, seed: int, number: int) -> tuple[Given, Outcome]:
    """A call by its number, and what became of it."""
    draw, call = np.random.default_rng([seed, number]), CALLS[name]
    given = call.made(draw)
    places = list(given)
    for _ in range(int(draw.integers(1, 3))):
        place = places[int(draw.integers(len(places)))]
        right = isinstance(given[place], np.ndarray) and given[place].ndim and draw.random() < SAME
        given[place] = formed(given[place], draw) if right else odd(given[place], draw)
    return given, tried(call, given)


def main(words: list[str]) -> int:
    """Try the inputs and print the table; 1 where one ended otherwise."""
    asked = asked_for(words, "call")
    names = list(CALLS) if asked["call"] == "all" else asked["call"].split(",")
    for call in (CALLS[name] for name in names):
        call.ask(**call.made(np.random.default_rng(0)))  # kernels may have to be compiled first
    return table(asked, names, lambda name, number: trial(name, int(asked["seed"]), number)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
