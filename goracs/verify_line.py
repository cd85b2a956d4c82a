"""A finished run's figures worked out anew from what it left in the store, and compared with what it states.

Copied     what result.json and the files of the job folder have from an artifact is that, to the last digit.
Recounted  the coreset's figures from features, gradient norms and rows (`goracs.selection.recount`); the
           metrics from answers or ranks, of rules and heads from the data and states that they read.
Described  the stages that the stated configuration asks for are those that the run used.
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
from goracs.report.results import read_result
from goracs.selection import recount
from goracs.stages import assess, evaluate_states, item_rule, rule, select
from goracs.stages import result as left
from goracs.stages.common import PROMPTS, Source
from goracs.store import Stage, Store, file_digest
from goracs.types import GoracsError, InvalidInput, SelectionProblem
from goracs.verdict import DIFFERS, OPEN, STATED, TOLERANCE, Check, checked, compared

ALSO = {  # a role of the line -> the stages that may play it
    "finetune": ("head",),
    **dict.fromkeys(("evaluate", "evaluate_untuned", "evaluate_start"), ("evaluate", "evaluate_states")),
    **dict.fromkeys(left.RULES_OF_ITEMS, ("item_rule",)),
    "proxy_adapter": ("adapter",),
    "proxy_fits": ("fits",),
}
COPIES = {  # below what name of result.json -> the stage that wrote it, and its file
    "coreset.report": ("select", "report.json"),
    "coreset.assessment": ("assess", "assessment.json"),
    "head": ("finetune", "head.json"),
    "decoding": ("evaluate", "decoding.json"),
}
WEIGHED = ("transport", "mean_gradient", "poo", "lower_bound", "lowest_cost", "gap_absolute")


def checks(folder: Path, root: Path) -> list[Check]:
    """Every figure of a job folder.

    Args:
        folder: of the job.
        root: of the store it used.

    Raises:
        GoracsError: no result, one without a coreset and metrics, artifacts that are damaged or gone.
    """
    run = Run(folder, read_result(folder / "result.json"), Store(root))
    if "select" not in run.result["digests"]:
        raise InvalidInput(f"{folder} has no coreset and no metrics: its run stopped before select.")
    copied = [check._replace(copied=True) for check in run.copied()]
    return [*copied, *run.described(), *run.recounted(), *run.remeasured()]


class Run(Finished):
    """A run with whatever of its artifacts its figures come from."""

    def place(self, role: str) -> Path:
        """The artifact of a stage by its role in the line (as `artifact`, where stages share a role)."""
        for name in ALSO.get(role, ()):
            if found := self.store.kept(name, self.result["digests"][role]):
                return found.path
        return self.artifact(role)

    def has(self, role: str) -> bool:
        """Whether the run used such a stage."""
        return role in self.result["digests"]

    @cached_property
    def rows(self) -> Any:
        """[n] int64, the coreset."""
        return np.load(self.place("select") / "indices.npy")

    def copied(self) -> Iterator[Check]:
        """All that is a copy of what an artifact holds."""
        for name, (role, file) in COPIES.items():
            if self.has(role) and (self.place(role) / file).exists():
                yield from compared(
                    name, _below(self.result, name), _json(self.place(role) / file), exact=True
                )
        for part, role in self._judged().items():
            yield from compared(
                f"metrics.{part}",
                self.result["metrics"][part],
                _json(self.place(role) / "metrics.json"),
                True,
            )
        yield from self._of_stages()
        yield from self._files()
        if self.has("finetune"):
            yield from self._course()

    def _judged(self) -> dict[str, str]:
        """The parts that have metrics, and the roles of their stages."""
        roles = {**left.METRICS_OF, **{name: name for name in left.RULES_OF_ITEMS}}
        return {part: roles[part] for part in self.result["metrics"] or {} if self.has(roles[part])}

    def _of_stages(self) -> Iterator[Check]:
        for role, told in (self.result.get("stages") or {}).items():
            manifest = self.store.used.get(self.result["digests"].get(role, ""))
            if manifest is not None:
                costs = {name: manifest.manifest.get(name) for name in ("seconds", "peak_mb")}
                stated = {name: told.get(name) for name in costs}
                yield from compared(f"stages.{role}", stated, costs, exact=True)
        for role, told in (self.result.get("prompts") or {}).items():
            if self.has(role):
                yield from compared(f"prompts.{role}", told, _json(self.place(role) / PROMPTS), exact=True)

    def _files(self) -> Iterator[Check]:
        """The files beside result.json, by what the store's manifests and arrays say of them."""
        pool = self._examples("train")
        yield self._file("indices.json", self.rows.tolist())
        yield self._file("trace.json", _json(self.place("select") / "trace.json"))
        yield self._file("coreset.json", left.prompts_of([pool[row] for row in self.rows])[0])
        for role, names in left.LEFT.items():
            for made in self._made(role, names) if self.has(role) else ():
                mine = self.folder / made.relative_to(self.place(role))
                stated = file_digest(mine) if mine.is_file() else None
                yield checked(str(made.relative_to(self.place(role))), stated, file_digest(made), "sha256")

    def _made(self, role: str, names: tuple[str, ...]) -> list[Path]:
        below = [self.place(role) / name for name in names]
        inner = [path for folder in below if folder.is_dir() for path in sorted(folder.rglob("*"))]
        return [path for path in (*below, *inner) if path.is_file()]

    def _file(self, name: str, found: Any) -> Check:
        stated = _json(self.folder / name) if (self.folder / name).is_file() else None
        same = stated == found
        return Check(name, name, "its content", "the artifact's", STATED if same else DIFFERS)

    def _course(self) -> Iterator[Check]:
        file = self.place("finetune") / "curve.json"
        curve = _json(file) if file.exists() else []
        found = {
            "steps": len(curve) or None,
            "tokens_trained": curve[-1]["tokens"] if curve else None,
            "kept_step": left.kept_step(curve),
        }
        yield from (checked(name, self.result.get(name), value) for name, value in found.items())

    def described(self) -> Iterator[Check]:
        """The keys of the stages by the stated configuration; open where this machine cannot say."""
        from goracs.pipeline import Job, Line

        config, digests = self.result["config"], self.result["digests"]
        name = (self.result["coreset"] or {}).get("selector", "")
        try:
            made = self.settings(*config)
            inputs = Line(Job(made, config, name, self.result["command"]), self.store).result.inputs
        except GoracsError as error:
            yield Check("config", "result.json", "its stages", str(error), OPEN)
            return
        for role, key in digests.items():
            if role not in ("weights", "proxy_weights"):
                yield self._key(role, key, inputs.get(role))

    def _key(self, role: str, key: str, source: Source | None) -> Check:
        same = source is not None and source.key == key
        kept = self.store.kept(source.name, key) if isinstance(source, Stage) else None
        other = kept is not None and self.store.used[key].manifest["version"] != getattr(
            source, "version", None
        )
        said = f"digests.{role}, of the config"
        if other:
            return Check(said, "result.json", key, "made by another version of goracs", OPEN)
        found = source.key if source is not None else None
        return Check(said, "result.json", key, found, STATED if same else DIFFERS)

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
        lam = report["auto"]["lam"] if asked == "auto" else asked
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
        for label, told in parts.items():
            one, among = recount.part(problem, int(label))
            mine = np.flatnonzero(np.isin(among, self.rows))
            yield checked(f"{name}.classes.{label}.budget", told["budget"], len(mine))
            yield from _of_part(f"{name}.classes.{label}", told, one, mine, lam, plain)
        yield checked(
            f"{name}.transport_global", report["transport_global"], recount.transported(problem, self.rows)
        )
        shares = {label: told["budget"] / len(self.rows) for label, told in parts.items()}
        for figure in WEIGHED:
            if report.get(figure) is not None:
                found = sum(shares[label] * told[figure] for label, told in parts.items())
                yield checked(f"{name}.{figure}", report[figure], found)

    def _problem(self, needs: Any) -> SelectionProblem:
        roles = ("prepare", "features", "score")
        return select.selection_problem({role: self.place(role) for role in roles if self.has(role)}, needs)

    def _examples(self, part: Any) -> Any:
        from goracs.data.prepare import read_examples

        return read_examples(self.place("prepare"), part)

    def remeasured(self) -> Iterator[Check]:
        """The metrics of every part, interval by interval."""
        for part, role in self._judged().items():
            yield from compared(f"metrics.{part}", self.result["metrics"][part], self._metrics(role))

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
            return _json(Path(folder) / "metrics.json")

    def _of_predictions(self, file: Path, settings: Any) -> Any:
        """The metrics of what a model has answered, or of how it has ranked."""
        import polars as pl

        told = pl.read_parquet(file, glob=False)
        test = self._examples(settings.part)
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
    yield checked(f"{name}.lowest_cost", told["lowest_cost"], lowest)
    yield checked(f"{name}.gap_absolute", told["gap_absolute"], poo - bound, scale=max(abs(poo), abs(bound)))
    yield checked(f"{name}.gap", told["gap"], gap(poo, bound, lowest), scale=1.0)


def _below(result: Mapping[str, Any], name: str) -> Any:
    found: Any = result
    for key in name.split("."):
        found = (found or {}).get(key)
    return found


def _json(file: Path) -> Any:
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
