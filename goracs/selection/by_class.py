"""The label-enhanced form of any selector: one problem for each class, then the union.

Problem    split pool and validation set by label; class budgets n_k add up to n
           (`goracs.selection.class_budgets`); choose in each class by itself; join.
Absent     rows of a class that validation lacks, as far as it gets any, are chosen against all of
           validation.
Scale      one for all classes (max d over pool x validation, max g over the pool): lam keeps its meaning.
Objective  sum_k (n_k / n) POO_k.
Source     GORACS (KDD 2025), Algorithm 2, for K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from goracs.ot import cost, distance, exact
from goracs.ot.cost import gap
from goracs.search.watch import Searcher, Watch
from goracs.selection import class_budgets
from goracs.selection.auto import Judged, judge
from goracs.selection.class_budgets import Counts
from goracs.selection.figures import gradient_norms, scale_warnings
from goracs.types import (
    Coreset,
    FloatArray,
    IndexArray,
    InvalidInput,
    Scale,
    SelectionProblem,
    Selector,
)

WEIGHTED = (  # by n_k / n
    "transport",
    "mean_gradient",
    "mean_gain",
    "poo",
    "lower_bound",
    "lowest_cost",
    "gap_absolute",
)
SHARED = ("max_distance", "max_gradient", "lam", "lam_divided")  # the same in every part
COUNTED = ("exchanges", "solves", "swaps", "given_up", "bounded", "nodes", "generated")  # work done


@runtime_checkable
class OwnBudgets(Protocol):
    """A selector with class budgets of its own.

    Arguments and result as of `goracs.selection.class_budgets.budgets`, with validation rows for weights.
    """

    def class_budgets(  # noqa: D102
        self, pool: Counts, target: Counts, budget: int
    ) -> dict[int, int]: ...


@runtime_checkable
class Automatic(Protocol):
    """A selector, a dataclass, whose lam may be `auto`; the fields as in `goracs.selection.goracs`."""

    lam: Any
    grid: Sequence[float]
    folds: int
    penalty: float


@dataclass(frozen=True, eq=False)
class Part:
    """One selection to make.

    Args:
        label: its class; None for the whole problem.
        rows: [N_k] int64; its rows in the whole pool, ascending.
        problem: its pool and validation rows.
        budget: n_k >= 1.
        position: its place among the parts; together with the seed it fixes its generator.
    """

    label: int | None
    rows: IndexArray
    problem: SelectionProblem
    budget: int
    position: int


def select(selector: Selector, problem: SelectionProblem, budget: int, seed: int) -> Coreset:
    """A selector's coreset, by class where it asks for that.

    Args:
        selector: the method.
        problem: pool and validation set.
        budget: n, 1..N.
        seed: >= 0; reaches only the generators of the parts.

    Raises:
        InvalidInput: as `parts`.
    """
    selector, judged = settled(selector, problem, budget, seed)
    todo = parts(selector, problem, budget)
    found = [solve(selector, part, seed) for part in todo]
    return told(join(problem, todo, found, budget, selector), judged)


def settled(
    selector: Selector, problem: SelectionProblem, budget: int, seed: int
) -> tuple[Selector, Judged | None]:
    """The selector with its lam, and how that was chosen where it is `auto`.

    Raises:
        InvalidInput: as `goracs.selection.auto.judge`.
    """
    if not isinstance(selector, Automatic) or selector.lam != "auto":
        return selector, None
    method: Any = selector

    def choose(lam: float, given: SelectionProblem) -> IndexArray:
        return select(replace(method, lam=lam), given, budget, seed).indices

    whole = replace(
        problem, scale=_measured(selector, problem)
    )  # one unit for all folds: lam keeps its meaning
    judged = judge(whole, budget, choose, selector.grid, selector.folds, selector.penalty)
    return replace(method, lam=judged.lam), judged


def told(coreset: Coreset, judged: Judged | None) -> Coreset:
    """The coreset with how its lam was chosen in the report, under `auto`."""
    if judged is None:
        return coreset
    warnings = [*coreset.report.get("warnings", []), *judged.warnings]
    return replace(coreset, report={**coreset.report, "auto": judged.told(), "warnings": warnings})


def parts(selector: Selector, problem: SelectionProblem, budget: int) -> list[Part]:
    """The selections that make up a coreset: one for the whole problem, or one for each class that gets rows.

    Raises:
        InvalidInput: a `by_class` of another kind, or without labels; classes of the validation set that hold
            fewer than n pool rows; a rule where the selector has its own; what the selector itself refuses.
    """
    asked: object = selector.by_class
    if not isinstance(asked, bool) and asked not in ("pool", "equal"):
        raise InvalidInput(
            f"by_class must be true (budgets by the validation rates), pool, equal or false, got {asked!r}."
        )
    if not asked:
        return [Part(None, np.arange(problem.pool_size), problem, budget, 0)]
    if problem.labels is None or problem.target_labels is None:
        raise InvalidInput(
            f"by_class={str(asked).lower()} splits the problem by label, and this problem has no labels: "
            "give labels and target_labels, or set by_class=false."
        )
    scale = _measured(selector, problem) if "features" in selector.needs else problem.scale
    pool, target = class_budgets.counts(problem.labels), class_budgets.counts(problem.target_labels)
    given = [(label, n) for label, n in _budgets(selector, pool, target, budget).items() if n > 0]
    return [_part(problem, label, n, position, scale) for position, (label, n) in enumerate(given)]


def _budgets(selector: Selector, pool: Counts, target: Counts, budget: int) -> dict[int, int]:
    if not isinstance(selector, OwnBudgets):
        return class_budgets.budgets(pool, class_budgets.rates(selector.by_class, pool, target), budget)
    if selector.by_class is not True:
        raise InvalidInput(
            "this selector has class budgets of its own, by the validation rates: by_class must be true or "
            f"false, got {selector.by_class!r}."
        )
    return selector.class_budgets(pool, target, budget)


def solve(selector: Selector, part: Part, seed: int, watch: Watch | None = None) -> Coreset:
    """The coreset of one part, in its own row numbers; a pure function of part and seed."""
    rng = np.random.default_rng([seed, part.position])
    if watch is not None and isinstance(selector, Searcher):
        return selector.search(part.problem, part.budget, rng, watch)
    return selector.select(part.problem, part.budget, rng)


def join(
    problem: SelectionProblem,
    todo: Sequence[Part],
    found: Sequence[Coreset],
    budget: int,
    selector: Selector,
) -> Coreset:
    """The coreset that the coresets of the parts make up.

    Args:
        problem: the whole problem.
        todo: its parts.
        found: a coreset for each part, in the part's row numbers.
        budget: n, the sum of the parts' budgets.
        selector: the method that found them.

    Returns:
        Rows of the whole pool. A single part without label is returned as it is. Otherwise the report has
        the parts' reports under `classes`, their weighted figures, `transport_global` (OT_d that ignores
        classes), and each entry of the trace says its `class`.
    """
    if len(todo) == 1 and todo[0].label is None:
        return found[0]
    rows = np.concatenate([part.rows[coreset.indices] for part, coreset in zip(todo, found, strict=True)])
    reports = {part.label: dict(coreset.report) for part, coreset in zip(todo, found, strict=True)}
    shares = [part.budget / budget for part in todo]
    report = _joined(list(reports.values()), shares)
    if "transport" in report:
        between = distance.distances(problem.features[np.sort(rows)], problem.target_features)
        report["transport_global"] = exact.solve(between).value
    report["classes"] = {str(part.label): {"budget": part.budget, **reports[part.label]} for part in todo}
    of_parts = [f"class {part.label}: {said}" for part in todo for said in reports[part.label]["warnings"]]
    of_scale = scale_warnings(problem, _norms(selector, problem)) if "transport" in report else []
    report["warnings"] = of_scale + class_budgets.warnings(problem, selector.by_class, budget) + of_parts
    trace = [
        {"class": part.label, **step}
        for part, coreset in zip(todo, found, strict=True)
        for step in coreset.trace
    ]
    return Coreset(rows, budget, problem.pool_size, report, tuple(trace))


def _measured(selector: Selector, problem: SelectionProblem) -> Scale:
    norms = _norms(selector, problem)
    return cost.scale_of(problem, norms, problem.spread)


def _norms(selector: Selector, problem: SelectionProblem) -> FloatArray | None:
    """The norms of a method that weighs them, at lam = 0 too, where it reports them if they are there."""
    method: Any = selector
    weighing = replace(method, lam=1.0) if hasattr(method, "lam") else method
    return gradient_norms(problem, 0.0, "by_class") if "gradient_norm" in weighing.needs else None


def _part(problem: SelectionProblem, label: int, budget: int, position: int, scale: Scale | None) -> Part:
    assert problem.labels is not None
    assert problem.target_labels is not None
    rows = np.flatnonzero(problem.labels == label)
    targets = np.flatnonzero(problem.target_labels == label)
    sub = problem.among(rows)
    sub = replace(sub.against(targets) if len(targets) else sub, scale=scale)
    return Part(label, rows, sub, budget, position)


def _joined(reports: Sequence[Mapping[str, Any]], shares: Iterable[float]) -> dict[str, Any]:
    """The figures that all parts report: means by the shares, sums of work, and what they have in common."""
    common = [key for key in reports[0] if all(key in report for report in reports)]
    weights = list(shares)
    joined: dict[str, Any] = {}
    for key in common:
        values = [report[key] for report in reports]
        if key in WEIGHTED:
            joined[key] = None if None in values else float(np.dot(weights, values))
        elif key in SHARED:
            joined[key] = values[0]
        elif key in COUNTED:
            joined[key] = sum(values)
    return joined | _certificate(reports, joined)


def _certificate(reports: Sequence[Mapping[str, Any]], joined: Mapping[str, Any]) -> dict[str, Any]:
    """The certificates of the parts as one: the bound holds for these class budgets."""
    if joined.get("lower_bound") is None:
        return {"gap": None} if "lower_bound" in joined else {}
    proven = {report["certified_local"] for report in reports}
    rounding = (len(reports) + 4) * cost.UNIT * sum(abs(report["lower_bound"]) for report in reports)
    bound = joined["lower_bound"] - rounding  # a weighted sum may come out above the sum of the bounds
    return {
        "lower_bound": bound,
        "gap": gap(joined["poo"], bound, joined["lowest_cost"]),
        "optimal": all(report["optimal"] for report in reports),
        "certified_local": proven.pop() if len(proven) == 1 else None if None in proven else "generated",
        "status": next((r["status"] for r in reports if r["status"] != "finished"), "finished"),
        "reproducible": all(report["reproducible"] for report in reports),
    }
