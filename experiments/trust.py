"""Does the engine agree with somebody who does not know it? Small problems, exact arithmetic, brute force.

`python -m experiments.trust [problems=1000] [seed=0] [first=0]` draws problems of every family and relation
of n to m, from the one numbered `first` on, and prints a Markdown table of how many were tried, how many the
engine refused to certify, and how many disagreed, which it names.

Transport  `goracs.ot.proof` finds no fault in it, and its plan costs at most what scipy's cheapest
           assignment of the units does, but for `ROUNDING` of the costs at stake.
Search     every coreset is tried, by plain distances and scipy's assignment: the optimum's value is at least
           `lower_bound` and at most `poo`, equal to it with effort=optimal; `poo` is what the rows are worth;
           what `goracs.certify` says of some other coreset is so. All but for the same.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import gcd, lcm

import numpy as np
from scipy.optimize import linear_sum_assignment

import goracs
from goracs.api import build
from goracs.ot import exact, proof
from goracs.ot.proof import ROUNDING
from goracs.selection import by_class
from goracs.types import FloatArray, GoracsError, SelectionProblem, Selector

SIDE = 9  # rows and columns of a transport at most
BUDGET, SPARE, WIDTH = 5, 3, 3  # of a search at most: n and m, pool rows that stay out, columns
EVERY = 3  # trials: so many, and one of them a search
EFFORTS = ("exchange", "certify", "optimal")
REFUSED = "refused"
Draw = np.random.Generator


def tied(draw: Draw, shape: tuple[int, int]) -> FloatArray:
    """Few values."""
    return draw.integers(0, 3, shape).astype(np.float64)


def doubled(draw: Draw, shape: tuple[int, int]) -> FloatArray:
    """Rows that come twice."""
    costs = draw.random(shape)
    return costs[draw.integers(0, max(1, shape[0] // 2), shape[0])]


def orders(decades: int) -> Callable[[Draw, tuple[int, int]], FloatArray]:
    """Costs over so many orders of magnitude."""

    def drawn(draw: Draw, shape: tuple[int, int]) -> FloatArray:
        return np.asarray(10.0 ** draw.uniform(-decades / 2, decades / 2, shape))

    return drawn


def outlying(draw: Draw, shape: tuple[int, int]) -> FloatArray:
    """One column that is far from every row; as coordinates, one that dwarfs the others."""
    costs = draw.random(shape)
    costs[:, draw.integers(shape[1])] += 1e9
    return costs


def outlier(draw: Draw, shape: tuple[int, int]) -> FloatArray:
    """One row that is far from every other."""
    costs = draw.random(shape)
    costs[draw.integers(shape[0])] += 1e9
    return costs


FAMILIES: dict[str, Callable[[Draw, tuple[int, int]], FloatArray]] = {
    "uniform": lambda draw, shape: draw.random(shape),
    "signed": lambda draw, shape: draw.normal(size=shape),
    "ties": tied,
    "duplicated rows": doubled,
    "whole numbers": lambda draw, shape: draw.integers(-1000, 1000, shape).astype(np.float64),
    "12 orders of magnitude": orders(12),
    "200 orders of magnitude": orders(200),
    "subnormal": lambda draw, shape: draw.random(shape) * 2.0**-1060,
    "one outlying column": outlying,
    "one outlying row": outlier,
}


def relation(n: int, m: int) -> str:
    """How two sizes divide."""
    if 1 in (n, m):
        return "n = m = 1" if n == m else "n = 1" if n == 1 else "m = 1"
    if n == m:
        return "n = m"
    if m % n == 0 or n % m == 0:
        return "n divides m" if m % n == 0 else "m divides n"
    return "no common factor" if gcd(n, m) == 1 else "a common factor"


@cache
def sizes(most: int) -> dict[str, list[tuple[int, int]]]:
    """Every pair of sizes by its relation."""
    found: dict[str, list[tuple[int, int]]] = {}
    for n, m in product(range(1, most + 1), repeat=2):
        found.setdefault(relation(n, m), []).append((n, m))
    return found


def drawn_sizes(draw: Draw, most: int) -> tuple[int, int]:
    """n and m: first how they divide, then the two."""
    pairs = list(sizes(most).values())[int(draw.integers(len(sizes(most))))]
    return pairs[int(draw.integers(len(pairs)))]


def transport_faults(costs: FloatArray) -> list[str]:
    """What is wrong with the engine's transport of a cost matrix [n, m]; in words, or that it refused."""
    n, m = costs.shape
    units = lcm(n, m)
    try:
        found = exact.solve(costs)
    except GoracsError:
        return [REFUSED]
    faults = proof.faults(costs, found)
    plan = np.rint(found.plan * units).astype(np.int64)
    table = [[Fraction(float(cost)) for cost in row] for row in costs]
    worth = sum((table[i][j] * int(plan[i, j]) for i, j in np.argwhere(plan)), Fraction(0)) / units
    best = sum((table[i][j] for i, j in zip(*assigned(costs), strict=True)), Fraction(0)) / units
    if worth - best > proof.allowed_rounding(costs, float(found.size)):
        faults.append("a cheaper plan")
    return faults


def assigned(costs: FloatArray) -> tuple[list[int], list[int]]:
    """Rows and columns of a cheapest assignment of the lcm(n, m) units, by scipy."""
    n, m = costs.shape
    units = lcm(n, m)
    rows, columns = np.repeat(np.arange(n), units // n), np.repeat(np.arange(m), units // m)
    taken = linear_sum_assignment(costs[np.ix_(rows, columns)])
    return rows[taken[0]].tolist(), columns[taken[1]].tolist()


def every_poo(problem: SelectionProblem, budget: int, lam: float) -> dict[tuple[int, ...], float]:
    """What each coreset is worth, by nothing of goracs."""
    apart = problem.features[:, None] - problem.target_features
    costs = np.hypot.reduce(apart, axis=2)
    costs /= costs.max() or 1.0
    norms = problem.scores["gradient_norm"]
    costs -= lam * (norms / (norms.max() or 1.0))[:, None]
    coresets = combinations(range(problem.pool_size), budget)
    return {rows: float(np.mean(costs[list(rows)][assigned(costs[list(rows)])])) for rows in coresets}


@cache
def method(effort: str, lam: float) -> Selector:
    """The selector, made once: that takes longer than its search."""
    return build("goracs", {"lam": lam, "by_class": False, "effort": effort})


def search_faults(problem: SelectionProblem, budget: int, lam: float) -> list[str]:
    """What brute force says against the search, over every coreset; or that it refused."""
    values = every_poo(problem, budget, lam)
    best, allowed = min(values.values()), ROUNDING * max(1.0, *map(abs, values.values()))
    faults = []
    for effort in EFFORTS:
        try:
            found = by_class.select(method(effort, lam), problem, budget, 0)
        except GoracsError:
            return [REFUSED]
        report, worth = found.report, values[tuple(found.indices.tolist())]
        wrong = {
            "a bound above the optimum": report["lower_bound"] > best + allowed,
            "better than every coreset": report["poo"] < best - allowed,
            "a POO that is not its rows'": abs(report["poo"] - worth) > allowed,
            "not the optimum": effort == "optimal" and not report["optimal"],
            "said to be the optimum, and is not": report["optimal"] and report["poo"] > best + allowed,
        }
        faults += [f"effort={effort}: {fault}" for fault, present in wrong.items() if present]
    last = max(values)
    said = goracs.certify(problem, np.array(last), lam)
    if said["lower_bound"] > best + allowed or abs(said["poo"] - values[last]) > allowed:
        faults.append("certify: not so")
    return faults


def drawn_search(draw: Draw, family: str = "ties") -> tuple[SelectionProblem, int, float]:
    """A small problem whose rows are of a family, a budget and a weight."""
    budget, targets = drawn_sizes(draw, BUDGET)
    pool, width = budget + int(draw.integers(SPARE + 1)), int(draw.integers(1, WIDTH + 1))
    rows = FAMILIES[family](draw, (pool + targets, width))
    problem = SelectionProblem(
        features=rows[:pool],
        target_features=rows[pool:],
        scores={"gradient_norm": draw.integers(0, 3, pool).astype(np.float64)},
    )
    return problem, budget, float(draw.choice([0.0, 0.1, 0.5, 10.0]))


@dataclass(frozen=True)
class Trial:
    """One problem: what was asked of it, its family, how n and m divide, its number, what was wrong."""

    what: str
    family: str
    sizes: str
    number: int
    faults: list[str]


def trials(seed: int, first: int = 0) -> Iterator[Trial]:
    """One problem after another, without end."""
    number = first
    while True:
        yield trial(seed, number)
        number += 1


def trial(seed: int, number: int) -> Trial:
    """A problem by its number: its family in turn."""
    draw, family = np.random.default_rng([seed, number]), list(FAMILIES)[number // EVERY % len(FAMILIES)]
    if number % EVERY == 0:
        problem, budget, lam = drawn_search(draw, family)
        told = "n = N" if budget == problem.pool_size else relation(budget, problem.target_size)
        return Trial("search", family, told, number, search_faults(problem, budget, lam))
    shape = drawn_sizes(draw, SIDE)
    return Trial(
        "transport", family, relation(*shape), number, transport_faults(FAMILIES[family](draw, shape))
    )


def main(words: list[str]) -> int:
    """Try the problems and print the table, of those so far on Ctrl-C; 1 where one disagreed."""
    asked = {"problems": 1000, "seed": 0, "first": 0}
    asked |= {k: int(v) for k, _, v in (w.partition("=") for w in words)}
    tried, refused, wrong = (Counter[tuple[str, str]]() for _ in range(3))
    with suppress(KeyboardInterrupt):
        for number in range(asked["first"], asked["first"] + asked["problems"]):
            one = trial(asked["seed"], number)
            where = (one.what, one.family), (one.what, one.sizes)
            tried.update(where)
            if one.faults == [REFUSED]:
                refused.update(where)
            elif one.faults:
                wrong.update(where)
                told = f"{one.what}, {one.family}, {one.sizes}: {', '.join(one.faults)}"
                print(f"problem {number} of seed {asked['seed']}: {told}", flush=True)
    print("\n| what | of | problems | refused | disagreements |\n| --- | --- | --- | --- | --- |")
    for what, of in sorted(tried, key=lambda key: (key[0], key[1] not in FAMILIES)):
        print(f"| {what} | {of} | {tried[what, of]:,} | {refused[what, of]} | {wrong[what, of]} |")
    return int(bool(wrong))


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(main(sys.argv[1:]))
