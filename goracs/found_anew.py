"""What a finished run's artifacts give, worked out anew, and whether its result states that.

Recounted  the coreset's figures from features, gradient norms and rows (`goracs.selection.recount`); the
           metrics from answers or ranks, of rules and heads from the data and states that they read.
Bound      a lower bound that a run states is sound up to the bound that is proven anew; between that and the
           coreset's own value it is neither proven nor refuted here: `OPEN`.
Not here   no model is asked: whether it would answer so again is not looked at.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from goracs.data.tasks import Ctr
from goracs.finished import Finished
from goracs.ot.cost import gap
from goracs.selection import recount
from goracs.stages import assess, evaluate_states, item_rule, rule, select
from goracs.stages import result as left
from goracs.store import External, Stage
from goracs.types import GoracsError, InvalidInput, SelectionProblem
from goracs.verdict import DIFFERS, OPEN, STATED, TOLERANCE, Check, checked, compared

ALSO = {  # a role of the line -> the stages that may play it
    "finetune": ("head",),
    **dict.fromkeys(("evaluate", "evaluate_untuned", "evaluate_start"), ("evaluate", "evaluate_states")),
    **dict.fromkeys(left.RULES_OF_ITEMS, ("item_rule",)),
    "proxy_adapter": ("adapter",),
    "proxy_fits": ("fits",),
}
WEIGHED = ("transport", "mean_gradient", "poo", "lower_bound", "lowest_cost", "gap_absolute")


class Run(Finished):
    """A run with whatever of its artifacts its figures come from."""

    def place(self, role: str) -> Path:
        """The artifact of a stage by its role in the line (as `artifact`, where stages share a role)."""
        found = self.kept(role)
        return found.path if found else self.artifact(role)

    def kept(self, role: str) -> External | None:
        """The same, or None where the store has lost it."""
        key = self.result["digests"].get(role, "")
        return next(filter(None, (self.store.kept(name, key) for name in (role, *ALSO.get(role, ())))), None)

    def has(self, role: str) -> bool:
        """Whether the run used such a stage."""
        return role in self.result["digests"]

    @cached_property
    def rows(self) -> Any:
        """[n] int64, the coreset."""
        return np.load(self.place("select") / "indices.npy")

    def judged(self) -> dict[str, str]:
        """The parts that have metrics, and the roles of their stages."""
        roles = {**left.METRICS_OF, **{name: name for name in left.RULES_OF_ITEMS}}
        return {part: role for part, role in roles.items() if self.has(role)}

    def examples(self, part: Any) -> Any:
        """The examples of a part of the data."""
        from goracs.data.prepare import read_examples

        return read_examples(self.place("prepare"), part)

    def recounted(self) -> Iterator[Check]:
        """The coreset's figures, where there is something to count from."""
        coreset = self.result["coreset"]
        yield checked("coreset.budget", coreset["budget"], len(set(self.rows.tolist())))
        if "transport" in (coreset["report"] or {}):
            yield from self._of_report(coreset["report"])
        if coreset.get("assessment"):
            problem = recount.measured(self._problem(assess.NEEDS))
            found = recount.figures(problem, self.rows, assess.lam(self.result["config"]["task"]["lam"]))
            yield from compared("coreset.assessment", coreset["assessment"], found)

    def _of_report(self, report: Mapping[str, Any]) -> Iterator[Check]:
        asked = self.result["config"]["selector"].get("lam")
        lam = (report.get("auto") or {}).get("lam") if asked == "auto" else asked
        if not isinstance(lam, int | float):
            yield Check("coreset.report.lam", "result.json", lam, "no number", DIFFERS)
            return
        posed = self._problem(
            {"features"} | ({"gradient_norm"} if report.get("mean_gradient") is not None else set())
        )
        problem = recount.measured(posed)
        plain = "max_gradient" in report  # else its gain is no gradient norm: the transport alone is counted
        name = "coreset.report"
        if "classes" not in report:
            yield from _of_part(name, report, problem, self.rows, lam, plain)
            return
        parts: dict[str, Mapping[str, Any]] = report["classes"]
        classes = {str(label) for label in np.unique(problem.labels)} if problem.labels is not None else set()
        if parts.keys() != classes:
            yield Check(f"{name}.classes", "result.json", sorted(parts), sorted(classes), DIFFERS)
            return
        shares = dict[str, float]()
        for label, told in parts.items():
            one, among = recount.part(problem, int(label))
            mine = np.flatnonzero(np.isin(among, self.rows))
            shares[label] = len(mine) / len(self.rows)
            yield checked(f"{name}.classes.{label}.budget", told["budget"], len(mine))
            yield from _of_part(f"{name}.classes.{label}", told, one, mine, lam, plain)
        yield checked(
            f"{name}.transport_global",
            report.get("transport_global"),
            recount.transported(problem, self.rows),
        )
        for figure in WEIGHED:
            counted = {label: one[figure] for label, one in parts.items() if one.get(figure) is not None}
            if report.get(figure) is not None and len(counted) == len(parts):
                found = sum(shares[label] * value for label, value in counted.items())
                yield checked(f"{name}.{figure}", report[figure], found)

    def _problem(self, needs: Any) -> SelectionProblem:
        roles = ["prepare", "features", *(["score"] if needs - {"features"} or self.has("score") else [])]
        return select.selection_problem({role: self.place(role) for role in roles}, needs)

    def remeasured(self) -> Iterator[Check]:
        """The metrics of every part, interval by interval."""
        for part, role in self.judged().items():
            stated = (self.result["metrics"] or {}).get(part)
            yield from compared(f"metrics.{part}", stated, self._metrics(role))

    def _metrics(self, role: str) -> Any:
        settings = self.settings("evaluate")["evaluate"]
        prepared, key = Stage("prepare", 0, {}, {}, _nothing), self.result["digests"][role]
        if role == "rule":
            return self._again(rule.stage(prepared, settings))
        if role in left.RULES_OF_ITEMS:
            return self._again(item_rule.stage(prepared, settings, role))
        if self.store.kept("evaluate_states", key):
            fitted = prepared if role == "evaluate" else None
            return self._again(evaluate_states.stage(prepared, prepared, fitted, settings))
        return self._of_predictions(self.place(role) / "predictions.parquet", settings)

    def _again(self, stage: Stage) -> Any:
        """The metrics of a stage that asks no model, made again."""
        roles = {role: "finetune" if role == "tuned" else role for role in stage.inputs}
        with tempfile.TemporaryDirectory() as folder:
            stage.build(Path(folder), {role: self.place(ours) for role, ours in roles.items()})
            return read_json(Path(folder) / "metrics.json")

    def _of_predictions(self, file: Path, settings: Any) -> Any:
        """The metrics of what a model has answered, or of how it has ranked."""
        import polars as pl

        told = pl.read_parquet(file, glob=False)
        test = self.examples(settings.part)
        if not isinstance(self.settings("task")["task"], Ctr):
            return self._of_ranks(told, test, settings)
        from goracs.evaluation.ctr import ctr_metrics

        _refuse_others(told, test, file)
        labels = np.array([example.label for example in test], dtype=np.int64)
        users = [example.user for example in test]
        draws = {"draws": settings.draws, "seed": settings.seed}
        return ctr_metrics(told["margin"].to_numpy(), labels, users, scores_are="logit_margin", **draws)

    def _of_ranks(self, told: Any, everyone: Any, settings: Any) -> Any:
        from goracs.data.candidates import rankable
        from goracs.data.popularity import popularity, read_pool
        from goracs.data.prepare import read_catalogue, read_seen
        from goracs.evaluation.ranking import figures_of

        source = self.place("prepare")
        catalogue, counts = list(read_catalogue(source)), popularity(read_pool(source))
        test = rankable(settings.candidates, everyone, read_seen(source), catalogue, settings.negatives)
        _refuse_others(told, test, source)
        ranks, first = told["rank"].to_numpy(), told["first"].to_list()
        draws = {"draws": settings.draws, "seed": settings.seed}
        return figures_of(ranks, first, [one.user for one in test], counts, catalogue, **draws)


def _of_part(
    name: str, told: Mapping[str, Any], problem: SelectionProblem, rows: Any, lam: float, plain: bool
) -> Iterator[Check]:
    """The figures of one selection, in its own row numbers."""
    found = recount.figures(problem, rows, lam)
    if not plain:
        found = {figure: found[figure] for figure in ("transport", "max_distance", "lam")}
    yield from compared(name, told, found)
    if plain and told.get("lower_bound") is not None:
        yield from _bounds(name, told, found["poo"], recount.bounds(problem, rows, lam))


def _bounds(name: str, told: Mapping[str, Any], poo: float, found: Mapping[str, float]) -> Iterator[Check]:
    bound, proven, lowest = told["lower_bound"], found[recount.PROVEN], found["lowest_cost"]
    spare = TOLERANCE * max(abs(poo), abs(lowest))
    verdict = DIFFERS if bound > poo + spare else STATED if bound <= proven + spare else OPEN
    yield Check(f"{name}.lower_bound", "result.json", bound, f"at least {proven!r} is proven", verdict)
    yield checked(f"{name}.lowest_cost", told.get("lowest_cost"), lowest)
    size = max(abs(poo), abs(bound))
    yield checked(f"{name}.gap_absolute", told.get("gap_absolute"), poo - bound, scale=size)
    yield checked(f"{name}.gap", told.get("gap"), gap(poo, bound, lowest), scale=1.0)


def read_json(file: Path) -> Any:
    """What a file holds.

    Raises:
        GoracsError: it is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GoracsError(f"{file} cannot be read as JSON ({error}).") from error


def _nothing(_folder: Path, _inputs: Mapping[str, Path]) -> None:
    """Builds no artifact: it stands for one that is there."""


def _refuse_others(told: Any, test: Any, file: Path) -> None:
    """Answers of other rows than those that judge."""
    ours = [(example.user, example.item) for example in test]
    if list(told.select("user", "item").iter_rows()) != ours:
        raise InvalidInput(
            f"{file} has answers of other rows than the run's data: its figures are of others."
        )
