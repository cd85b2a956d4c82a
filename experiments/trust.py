"""Does the engine agree with somebody who does not know it? Small problems, exact arithmetic, brute force.

`python -m experiments.trust [problems=1000] [seed=0]` draws problems of every family, and prints a Markdown
table of how many were tried, how many the engine refused to certify, and how many disagreed, which it names.

Transport  `goracs.ot.proof` finds no fault in it, and its plan costs at most what scipy's cheapest
           assignment of the units does, but for `ROUNDING` of the costs at stake.
Search     every coreset is tried: the optimum's value is at least `lower_bound` and at most `poo`, equal to
           it with effort=optimal, but for the same.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from math import lcm

import numpy as np
from scipy.optimize import linear_sum_assignment

import goracs
from goracs.ot import exact, proof
from goracs.ot.proof import ROUNDING
from goracs.types import FloatArray, GoracsError, SelectionProblem

SIDE = 6  # rows and columns at most
POOL, MOST = 8, 4  # pool rows, validation rows at most
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
    """One column that is far from every row."""
    costs = draw.random(shape)
    costs[:, draw.integers(shape[1])] += 1e9
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
}


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
    worth = sum((table[i][j] * int(plan[i, j]) for i in range(n) for j in range(m)), Fraction(0)) / units
    if worth - _cheapest(costs, table) > proof.allowed_rounding(costs, float(found.size)):
        faults.append("a cheaper plan")
    return faults


def _cheapest(costs: FloatArray, table: list[list[Fraction]]) -> Fraction:
    """What an assignment of the units costs, exactly."""
    n, m = costs.shape
    units = lcm(n, m)
    rows, columns = np.repeat(np.arange(n), units // n), np.repeat(np.arange(m), units // m)
    taken = linear_sum_assignment(costs[np.ix_(rows, columns)])
    return sum((table[rows[i]][columns[j]] for i, j in zip(*taken, strict=True)), Fraction(0)) / units


def search_faults(problem: SelectionProblem, budget: int, lam: float) -> list[str]:
    """What brute force says against the search, over every coreset."""
    values = [
        goracs.assess(problem, np.array(rows), lam)["poo"]
        for rows in combinations(range(problem.pool_size), budget)
    ]
    best, allowed = min(values), ROUNDING * max(1.0, *map(abs, values))
    faults = []
    for effort in EFFORTS:
        report = goracs.select(problem, budget, "goracs", lam=lam, by_class=False, effort=effort).report
        if report["lower_bound"] > best + allowed:
            faults.append(f"effort={effort}: a bound above the optimum")
        if report["poo"] < best - allowed:
            faults.append(f"effort={effort}: better than every coreset")
        if effort == "optimal" and not (report["optimal"] and report["poo"] <= best + allowed):
            faults.append("effort=optimal: not the optimum")
    return faults


def drawn_search(draw: Draw) -> tuple[SelectionProblem, int, float]:
    """A small problem with ties and duplicates among its rows, a budget and a weight."""
    pool, targets, width = (int(draw.integers(1, most + 1)) for most in (POOL, MOST, 3))
    features = draw.integers(0, 4, (pool, width)) * draw.choice([0.5, 1.0, 1e6])
    problem = SelectionProblem(
        features=np.asarray(features, np.float64),
        target_features=draw.integers(0, 4, (targets, width)).astype(np.float64),
        scores={"gradient_norm": draw.integers(0, 3, pool).astype(np.float64)},
    )
    return problem, int(draw.integers(1, pool + 1)), float(draw.choice([0.0, 0.1, 0.5, 10.0]))


def trials(seed: int) -> Iterator[tuple[str, int, list[str]]]:
    """Family, number and faults of one problem after another, without end."""
    names = [*FAMILIES, "search"]
    number = 0
    while True:
        draw, name = np.random.default_rng([seed, number]), names[number % len(names)]
        if name == "search":
            yield name, number, search_faults(*drawn_search(draw))
        else:
            shape = int(draw.integers(1, SIDE + 1)), int(draw.integers(1, SIDE + 1))
            yield name, number, transport_faults(FAMILIES[name](draw, shape))
        number += 1


def main(words: list[str]) -> int:
    """Try the problems and print the table; the number of disagreements is the exit code's cause."""
    asked = {"problems": 1000, "seed": 0} | {k: int(v) for k, _, v in (w.partition("=") for w in words)}
    tried, refused, wrong = Counter[str](), Counter[str](), Counter[str]()
    for name, number, faults in trials(asked["seed"]):
        if number >= asked["problems"]:
            break
        tried[name] += 1
        if faults == [REFUSED]:
            refused[name] += 1
        elif faults:
            wrong[name] += 1
            print(f"problem {number} of seed {asked['seed']}, {name}: {', '.join(faults)}", flush=True)
    print("\n| family | problems | refused | disagreements |\n| --- | --- | --- | --- |")
    for name in tried:
        print(f"| {name} | {tried[name]:,} | {refused[name]} | {wrong[name]} |")
    return int(bool(wrong))


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(main(sys.argv[1:]))
