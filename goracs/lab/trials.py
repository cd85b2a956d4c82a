"""What is tried, and what comes of it before any test row is read.

Draws    each setting is repeated on pools redrawn from the whole one (without replacement), so that methods
         without chance vary too; draw k is the same rows for every setting.
Choose   sees pool and validation set alone (`Bench`); so do the figures of a coreset, whoever chose it: its
         transport in every representation (of the drawn pool's largest distance to validation) and its mean
         gradient norm (of the drawn pool's largest).
Not here how coresets are judged (`goracs.lab.judge`), where the arrays come from (`goracs.lab_line`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from goracs import api
from goracs.features.representation import Sides
from goracs.lab.settings import Lab
from goracs.ot import cost, distance, exact
from goracs.selection import by_class
from goracs.selection.full import Full
from goracs.types import (
    ByClass,
    FloatArray,
    IndexArray,
    InvalidInput,
    SelectionProblem,
    Selector,
    resolve_budget,
)

READER = "the lab"
NEEDS = frozenset({"gradient_norm", "hidden", "margin"})  # scores, whatever the selectors need
TRANSPORT = "transport "  # before the name of a representation


class Setting(NamedTuple):
    """One selection to try; `features` and `lam` are None where the selector has none."""

    selector: str
    by_class: ByClass
    features: str | None
    lam: float | str | None
    budget: float


class Trial(NamedTuple):
    """A setting on one drawn pool: its number and its rows [lab.pool] in the whole one, ascending."""

    setting: Setting
    draw: int
    rows: IndexArray


class Tried(NamedTuple):
    """What came of a trial, no test row read: rows of the whole pool, the lam of auto, the figures."""

    rows: IndexArray
    auto: float | None
    figures: dict[str, float]


@dataclass(frozen=True, eq=False)
class Bench:
    """All that selections see.

    Args:
        problem: the whole pool and the validation set: features of width 0, the scores that the lab and its
            selectors need, labels and users.
        features: name -> pool [N, d] and validation [m, d].
    """

    problem: SelectionProblem
    features: Mapping[str, Sides]

    @cached_property
    def distances(self) -> dict[str, FloatArray]:
        """Representation -> [N, m], worked out once."""
        return {name: distance.distances(*sides) for name, sides in self.features.items()}


def settings(lab: Lab) -> list[Setting]:
    """Every combination that is one, in the order of the configuration.

    Raises:
        InvalidInput: a selector that does not exist.
    """
    return [
        Setting(name, split, representation, lam, budget)
        for name, splits in lab.selectors.items()
        for split in splits
        for representation in (lab.features if _has("features", name) else (None,))
        for lam in (lab.lams if _has("lam", name) else (None,))
        for budget in lab.budgets
    ]


def needs(lab: Lab) -> frozenset[str]:
    """The names of the scores that the lab and its selectors read."""
    made = [selector_of(setting) for setting in settings(lab)]
    return NEEDS.union(*(selector.needs for selector in made)) - {"features"}


def redrawn(lab: Lab, pool_size: int) -> list[IndexArray]:
    """The rows [lab.pool] of each draw, ascending.

    Raises:
        InvalidInput: more rows than the pool has.
    """
    if lab.pool > pool_size:
        raise InvalidInput(
            f"lab.pool={lab.pool} is more than the {pool_size} rows of the pool: lower it, or raise "
            "dataset.size."
        )
    drawn = [np.random.default_rng([draw]).permutation(pool_size) for draw in range(lab.draws)]
    return [np.sort(rows[: lab.pool]) for rows in drawn]


def trials(lab: Lab, pool_size: int) -> list[list[Trial]]:
    """Every setting on every drawn pool: a list for each."""
    tried = settings(lab)
    return [
        [Trial(setting, draw, rows) for setting in tried] for draw, rows in enumerate(redrawn(lab, pool_size))
    ]


def chosen(bench: Bench, trial: Trial) -> Tried:
    """Select, and work out the figures of what was selected."""
    setting, rows = trial.setting, trial.rows
    selector = selector_of(setting)
    budget = "all" if isinstance(selector, Full) else setting.budget
    coreset = by_class.select(selector, posed(bench, trial), resolve_budget(budget, len(rows)), trial.draw)
    auto = coreset.report.get("auto", {}).get("lam")
    found = rows[coreset.indices]
    return Tried(found, auto, _figures(bench, rows, found))


def posed(bench: Bench, trial: Trial) -> SelectionProblem:
    """The problem of a trial: the drawn pool with what its selector reads."""
    setting, rows = trial.setting, trial.rows
    problem = bench.problem.among(rows)
    read = {name: problem.scores[name] for name in sorted(selector_of(setting).needs - {"features"})}
    problem = replace(problem, scores=read)
    if setting.features is None:
        return problem
    pool, target = bench.features[setting.features]
    largest = float(bench.distances[setting.features][rows].max())
    scale = cost.unit_scale(largest, float(bench.problem.scores["gradient_norm"][rows].max()))
    return replace(problem, features=pool[rows], target_features=target, scale=scale)


def _figures(bench: Bench, rows: IndexArray, found: IndexArray) -> dict[str, float]:
    """Transport in every representation and mean gradient norm, in the units of the drawn pool."""
    figures = {}
    for name, far in bench.distances.items():
        figures[TRANSPORT + name] = exact.solve(far[found]).value / (float(far[rows].max()) or 1.0)
    norms = bench.problem.score("gradient_norm", READER).astype(np.float64)
    return {**figures, "gradient": float(norms[found].mean() / (norms[rows].max() or 1.0))}


def selector_of(setting: Setting) -> Selector:
    """The selector of a setting, else with the values of its file."""
    lam = {} if setting.lam is None else {"lam": setting.lam}
    return api.build(setting.selector, {**lam, "by_class": setting.by_class})


def _has(what: str, name: str) -> bool:
    """Whether a selector looks at features, or has a lam."""
    built: Any = api.build(name, {})
    return what in built.needs if what == "features" else any(field.name == what for field in fields(built))
