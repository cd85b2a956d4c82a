"""The lab: a coreset judged in milliseconds, by a head fitted on hidden states instead of a fine-tune.

Draws    each setting is repeated on pools redrawn from the whole one (without replacement), so that methods
         without chance vary too; draw k is the same rows for every setting.
Choose   sees pool and validation set alone (`Bench`); so do the figures of a coreset, whoever chose it: its
         transport in every representation (of the drawn pool's largest distance to validation) and its mean
         gradient norm (of the drawn pool's largest).
Judge    the head (`goracs.evaluation.head`) is fitted on the coreset's rows from the start adapter's margins;
         its log-loss and AUC on the test rows are the coreset's. Nothing else reads a test row.
Penalty  of the head: one for everything, the best of a few by the validation loss of random coresets.
Not here the table and the pictures (`goracs.report.lab`), where the arrays come from (`goracs.commands.lab`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from goracs import api
from goracs.evaluation import head
from goracs.evaluation.ctr import log_losses, weighted_auc
from goracs.features.representation import Sides
from goracs.ot import cost, distance, exact
from goracs.selection import by_class
from goracs.selection.full import Full
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem, Selector, resolve_budget

READER = "the lab"
NEEDS = frozenset({"gradient_norm", "hidden", "margin"})  # scores, whatever the selectors need
TRANSPORT = "transport "  # before the name of a representation


@dataclass(frozen=True)
class Lab:
    """What is tried.

    Args:
        selectors: name of a file of conf/selector -> by class or not, each as often as it is to be tried.
        features: names of files of conf/features; a selector that looks at no features is tried once.
        lams: for selectors that have a lam; numbers >= 0, or auto.
        budgets: as `goracs.types.resolve_budget` takes them; of `pool` rows.
        draws: redrawn pools, >= 1.
        pool: rows of each, >= 1; at most those of the whole pool.
        penalties: of the head, > 0, to choose from.
        workers: processes that select; None: as many as there are CPUs.

    Raises:
        InvalidInput: nothing to try, or a value out of range.
    """

    selectors: Mapping[str, Sequence[bool]]
    features: Sequence[str]
    lams: Sequence[float | str]
    budgets: Sequence[float]
    draws: int
    pool: int
    penalties: Sequence[float]
    workers: int | None

    def __post_init__(self) -> None:
        for name in ("features", "lams", "budgets", "penalties"):
            object.__setattr__(self, name, _distinct(f"lab.{name}", getattr(self, name)))
        object.__setattr__(self, "selectors", _checked_selectors(self.selectors))
        if not all(lam == "auto" or _at_least_0(lam) for lam in self.lams):
            raise InvalidInput(f"lab.lams must be numbers >= 0, or auto; got {list(self.lams)!r}.")
        if not all(_at_least_0(penalty) and penalty > 0 for penalty in self.penalties):
            raise InvalidInput(f"lab.penalties must be numbers > 0, got {list(self.penalties)!r}.")
        for name in ("draws", "pool", "workers"):
            value = getattr(self, name)
            if not _is_whole(value) and not (name == "workers" and value is None):
                raise InvalidInput(f"lab.{name} must be a whole number >= 1, got {value!r}.")
        for budget in self.budgets:
            resolve_budget(budget, self.pool)


class Setting(NamedTuple):
    """One selection to try; `features` and `lam` are None where the selector has none."""

    selector: str
    by_class: bool
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


@dataclass(frozen=True, eq=False)
class Judge:
    """The test rows: hidden states [t, d], margins [t], labels [t] and users [t]; read by `run` alone."""

    hidden: FloatArray
    margin: FloatArray
    labels: IndexArray
    users: IndexArray

    def figures(self, margins: FloatArray) -> dict[str, float]:
        """Log-loss, AUC and AUC per user of margins [t]; NaN where there are not two classes."""
        per_user = [_auc(margins[rows], self.labels[rows]) for rows in self._asked_of]
        return {
            "log_loss": float(log_losses(margins, self.labels).mean()),
            "auc": _auc(margins, self.labels),
            "auc_per_user": float(np.mean(per_user)) if per_user else float("nan"),
        }

    @cached_property
    def _asked_of(self) -> list[IndexArray]:
        """The rows of each user who has both classes."""
        parts = [np.flatnonzero(self.users == user) for user in np.unique(self.users)]
        return [rows for rows in parts if 0 < self.labels[rows].sum() < len(rows)]


Side = tuple[FloatArray, IndexArray, FloatArray]  # hidden states, labels, margins


class Heads:
    """Heads on the rows of pool and validation set, hidden states in the units of the whole pool.

    Raises:
        InvalidInput: a problem without labels, or without the scores `hidden` and `margin`.
    """

    def __init__(self, problem: SelectionProblem) -> None:
        if problem.labels is None or problem.target_labels is None:
            raise InvalidInput("heads are fitted on two answers, and these examples have no labels.")
        states = problem.score("hidden", READER), problem.target_score("hidden", READER)
        self._states = states[0]
        pool, target = head.standardised(*states)
        self.pool: Side = pool, problem.labels, problem.score("margin", READER)
        self.target: Side = target, problem.target_labels, problem.target_score("margin", READER)

    def fit(self, side: Side, rows: IndexArray, penalty: float) -> FloatArray:
        """The weights of a head fitted on some rows of `pool` or `target`."""
        states, labels, offsets = side
        return head.fit(states[rows], labels[rows], offsets[rows], penalty)

    def others(self, hidden: FloatArray) -> FloatArray:
        """Other hidden states in the same units."""
        return head.standardised(self._states, hidden)[1]


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
    problem = bench.problem.among(rows)
    read = {name: problem.scores[name] for name in sorted(selector.needs - {"features"})}
    problem = replace(problem, scores=read)
    if setting.features is not None:
        pool, target = bench.features[setting.features]
        largest = float(bench.distances[setting.features][rows].max())
        scale = cost.unit_scale(largest, float(bench.problem.scores["gradient_norm"][rows].max()))
        problem = replace(problem, features=pool[rows], target_features=target, scale=scale)
    budget = "all" if isinstance(selector, Full) else setting.budget
    coreset = by_class.select(selector, problem, resolve_budget(budget, len(rows)), trial.draw)
    auto = coreset.report.get("auto", {}).get("lam")
    found = rows[coreset.indices]
    return Tried(found, auto, _figures(bench, rows, found))


def penalty(lab: Lab, heads: Heads) -> tuple[float, list[dict[str, float]]]:
    """The penalty of least validation loss over random coresets, and the loss at each."""
    draws = redrawn(lab, len(heads.pool[1]))
    coresets = [
        np.random.default_rng([draw, place]).choice(rows, resolve_budget(budget, lab.pool), replace=False)
        for draw, rows in enumerate(draws)
        for place, budget in enumerate(lab.budgets)
    ]
    target, labels, offsets = heads.target
    curve = []
    for tried in lab.penalties:
        weights = [heads.fit(heads.pool, rows, tried) for rows in coresets]
        losses = [log_losses(head.margins(found, target, offsets), labels).mean() for found in weights]
        curve.append({"penalty": float(tried), "loss": float(np.mean(losses))})
    return min(curve, key=lambda point: point["loss"])["penalty"], curve


def run(
    tried: Iterable[tuple[Trial, Tried]], heads: Heads, judge: Judge, penalty: float
) -> Iterator[dict[str, Any]]:
    """A row for each coreset: its setting, draw, rows, figures and what the test rows say of it."""
    test = heads.others(judge.hidden)
    for trial, found in tried:
        weights = heads.fit(heads.pool, found.rows, penalty)
        told = judge.figures(head.margins(weights, test, judge.margin))
        plain = {**trial.setting._asdict(), "draw": trial.draw, "auto": found.auto}
        yield {**plain, **told, **found.figures, "rows": found.rows}


def ceilings(lab: Lab, heads: Heads, judge: Judge, penalty: float) -> Iterator[dict[str, Any]]:
    """What no coreset can be far above: every drawn pool, all validation rows, some of these by chance."""
    test = heads.others(judge.hidden)
    everything = np.arange(len(heads.target[1]))
    cases = [("whole pool", heads.pool, rows) for rows in redrawn(lab, len(heads.pool[1]))]
    cases.append(("validation rows, all", heads.target, everything))
    for budget in lab.budgets:
        count = min(resolve_budget(budget, lab.pool), len(everything))
        for draw in range(lab.draws):
            rows = np.random.default_rng([draw]).choice(len(everything), count, replace=False)
            cases.append(("validation rows", heads.target, rows))
    for name, side, rows in cases:
        margins = head.margins(heads.fit(side, rows, penalty), test, judge.margin)
        yield {"ceiling": name, "budget": len(rows), **judge.figures(margins)}


def _figures(bench: Bench, rows: IndexArray, found: IndexArray) -> dict[str, float]:
    """Transport in every representation and mean gradient norm, in the units of the drawn pool."""
    figures = {}
    for name, far in bench.distances.items():
        figures[TRANSPORT + name] = exact.solve(far[found]).value / (float(far[rows].max()) or 1.0)
    norms = bench.problem.score("gradient_norm", READER).astype(np.float64)
    return {**figures, "gradient": float(norms[found].mean() / (norms[rows].max() or 1.0))}


def _auc(margins: FloatArray, labels: IndexArray) -> float:
    return float(weighted_auc(margins, labels, np.ones((1, len(labels))))[0])


def selector_of(setting: Setting) -> Selector:
    """The selector of a setting, else with the values of its file."""
    lam = {} if setting.lam is None else {"lam": setting.lam}
    return api.build(setting.selector, {**lam, "by_class": setting.by_class})


def _has(what: str, name: str) -> bool:
    """Whether a selector looks at features, or has a lam."""
    built: Any = api.build(name, {})
    return what in built.needs if what == "features" else any(field.name == what for field in fields(built))


def _distinct(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InvalidInput(f"{name} must be a list of at least one, got {values!r}.")
    if len(set(values)) < len(values):
        raise InvalidInput(f"{name} names one twice: {list(values)!r}.")
    return tuple(values)


def _checked_selectors(asked: Mapping[str, Sequence[bool]]) -> dict[str, tuple[bool, ...]]:
    if not isinstance(asked, Mapping) or not asked:
        raise InvalidInput(
            f"lab.selectors must map at least one name to a list of true and false (by class or not), got "
            f"{asked!r}."
        )
    return {name: _distinct(f"lab.selectors.{name}", splits) for name, splits in asked.items()}


def _at_least_0(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < np.inf


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
