"""The lab: a coreset judged in milliseconds, by a head fitted on hidden states instead of a fine-tune.

Judge    the head (`goracs.evaluation.head`) is fitted on the coreset's rows from the start adapter's margins;
         its log-loss and AUC on the test rows are the coreset's. Only test rows that nothing else looked at.
Draws    each setting is repeated on pools redrawn from the whole one (without replacement), so that methods
         without chance vary too; draw k is the same rows for every setting.
Figures  for every coreset, whoever chose it: transport in every representation (of its own largest distance
         over pool x validation), mean gradient norm (of the pool's largest), test figures.
Not here the table and the pictures (`goracs.report.lab`), where the arrays come from (`goracs.commands.lab`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from goracs import api
from goracs.evaluation import head
from goracs.evaluation.ctr import log_losses, weighted_auc
from goracs.features.representation import Sides
from goracs.ot import cost, distance, exact
from goracs.selection import by_class
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem, Selector, resolve_budget


@dataclass(frozen=True)
class Lab:
    """What is tried.

    Args:
        selectors: names of files of conf/selector.
        features: names of files of conf/features; a selector that looks at no features is run once.
        lams: for selectors that have a lam; numbers or auto.
        budgets: as `goracs.types.resolve_budget` takes them.
        draws: redrawn pools, >= 1.
        pool: rows of each, >= 1; at most those of the whole pool.
        penalty: of the head, > 0; the same for all.
    """

    selectors: tuple[str, ...]
    features: tuple[str, ...]
    lams: tuple[float | str, ...]
    budgets: tuple[float, ...]
    draws: int
    pool: int
    penalty: float

    def __post_init__(self) -> None:
        for name in ("selectors", "features", "lams", "budgets"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise InvalidInput(f"lab.{name} must name at least one.")
        if self.draws < 1 or self.pool < 1:
            raise InvalidInput(
                f"lab.draws and lab.pool must be at least 1, got {self.draws} and {self.pool}."
            )


@dataclass(frozen=True, eq=False)
class Bench:
    """The arrays that everything is tried on.

    Args:
        problem: the whole pool and the validation set; features of width 0, the scores gradient_norm, loss,
            el2n, hidden and margin, labels and users.
        features: name -> pool [N, d] and validation [m, d].
        hidden, margin, labels, users: of the test rows, [t, d], [t], [t] and [t].
    """

    problem: SelectionProblem
    features: Mapping[str, Sides]
    hidden: FloatArray
    margin: FloatArray
    labels: IndexArray
    users: IndexArray


@dataclass(frozen=True)
class Setting:
    """One selection to try; `features` and `lam` are None where the selector has none."""

    selector: str
    features: str | None
    lam: float | str | None
    budget: float


def settings(lab: Lab) -> list[Setting]:
    """Every combination that is one, in the order of the configuration."""
    return [
        Setting(name, features, lam, budget)
        for name in lab.selectors
        for features in (lab.features if "features" in api.build(name, {}).needs else (None,))
        for lam in (lab.lams if any(f.name == "lam" for f in fields(_built(name))) else (None,))
        for budget in lab.budgets
    ]


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
    return [
        np.sort(np.random.default_rng([draw]).permutation(pool_size)[: lab.pool]) for draw in range(lab.draws)
    ]


def run(lab: Lab, bench: Bench) -> Iterator[dict[str, Any]]:
    """A row for each draw and setting: selector, features, lam, budget, draw and the figures."""
    tried = settings(lab)
    states = head.standardised(bench.problem.score("hidden", "the lab"), bench.hidden)
    for draw, rows in enumerate(redrawn(lab, bench.problem.pool_size)):
        problem = bench.problem.among(rows)
        scales = {name: _scale(sides, rows) for name, sides in bench.features.items()}
        for setting in tried:
            chosen, report = _chosen(setting, problem, bench, rows, draw)
            figures = judged(bench, states, rows[chosen], lab.penalty)
            costs = {
                f"transport {name}": _transport(bench, name, rows[chosen], scales[name]) for name in scales
            }
            gradient = _mean_gradient(problem, chosen)
            yield {**vars(setting), "draw": draw, **figures, **costs, "gradient": gradient, "auto": report}


def judged(bench: Bench, states: Sequence[FloatArray], rows: IndexArray, penalty: float) -> dict[str, float]:
    """Test log-loss, AUC and AUC per user of a head fitted on rows of the whole pool."""
    pool, test = states
    assert bench.problem.labels is not None
    offsets = bench.problem.score("margin", "the lab")
    weights = head.fit(pool[rows], bench.problem.labels[rows], offsets[rows], penalty)
    margins = head.margins(weights, test, bench.margin)
    return {
        "log_loss": float(log_losses(margins, bench.labels).mean()),
        "auc": auc(margins, bench.labels),
        "auc_per_user": _auc_per_user(margins, bench.labels, bench.users),
    }


def auc(margins: FloatArray, labels: IndexArray) -> float:
    """The AUC; NaN without two classes."""
    return float(weighted_auc(margins, labels, np.ones((1, len(labels))))[0])


def _auc_per_user(margins: FloatArray, labels: IndexArray, users: IndexArray) -> float:
    parts = [np.flatnonzero(users == user) for user in np.unique(users)]
    values = [auc(margins[rows], labels[rows]) for rows in parts if 0 < labels[rows].sum() < len(rows)]
    return float(np.mean(values)) if values else float("nan")


def _built(name: str) -> Any:
    return api.build(name, {})


def _chosen(
    setting: Setting, problem: SelectionProblem, bench: Bench, rows: IndexArray, draw: int
) -> tuple[IndexArray, Any]:
    """The coreset's rows in the drawn pool, and the lam that auto chose."""
    overrides = {} if setting.lam is None else {"lam": setting.lam}
    if any(field.name == "by_class" for field in fields(_built(setting.selector))):
        overrides["by_class"] = setting.selector not in ("full", "random")
    selector: Selector = api.build(setting.selector, overrides)
    if setting.features is not None:
        pool, target = bench.features[setting.features]
        problem = replace(problem, features=pool[rows], target_features=target)
    budget = resolve_budget("all" if setting.selector == "full" else setting.budget, problem.pool_size)
    coreset = by_class.select(selector, problem, budget, draw)
    return coreset.indices, (coreset.report.get("auto") or {}).get("lam")


def _scale(sides: Sides, rows: IndexArray) -> float:
    return cost.measure_scale(sides[0][rows], sides[1], None).distance


def _transport(bench: Bench, name: str, rows: IndexArray, scale: float) -> float:
    pool, target = bench.features[name]
    return exact.solve(distance.distances(pool[rows], target)).value / scale


def _mean_gradient(problem: SelectionProblem, chosen: IndexArray) -> float:
    norms = problem.score("gradient_norm", "the lab").astype(np.float64)
    return float(norms[chosen].mean() / (norms.max() or 1.0))
