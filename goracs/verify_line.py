"""A finished run's figures beside what it left in the store: what `goracs verify` looks at.

Copied     what result.json and the files of the job folder have from an artifact is that, to the last digit.
Described  the stages that the stated configuration asks for are those that the run used, none more or less.
Anew       the figures worked out once more: `goracs.found_anew`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goracs.config import composed, conf_dir, hashed
from goracs.finished import refuse_code
from goracs.found_anew import Run, read_json
from goracs.report.results import read_result
from goracs.stages import result as left
from goracs.stages.common import PROMPTS, Source
from goracs.store import Stage, Store, file_digest
from goracs.types import GoracsError, InvalidInput
from goracs.verdict import DIFFERS, OPEN, STATED, Check, checked, compared

COPIES = {  # below what name of result.json -> the stage that wrote it, and its file
    "coreset.report": ("select", "report.json"),
    "coreset.assessment": ("assess", "assessment.json"),
    "head": ("finetune", "head.json"),
    "decoding": ("evaluate", "decoding.json"),
}
UNSTAGED = ("weights", "proxy_weights")  # digests of files, which this machine need not have
OWN = ("file", "config", "command", "warnings")  # of result.json: each run's that shares the artifact
ELSEWHERE = ("metrics", "stages", "prompts", "head", "decoding", "steps", "tokens_trained", "kept_step")
OF_CORESET = ("budget", "budget_asked", "indices_file")
NOBODY = "no stage of this run"


def checks(folder: Path, root: Path, *, trusted: bool = False) -> list[Check]:
    """Every figure of a job folder.

    Args:
        folder: of the job.
        root: of the store it used.
        trusted: whether code that comes with its model may run.

    Raises:
        GoracsError: no result, one without a coreset and metrics, artifacts that are damaged or gone, or a
            model with code.
    """
    run = Stated(folder, read_result(folder / "result.json"), Store(root))
    if "select" not in run.result["digests"]:
        raise InvalidInput(f"{folder} has no coreset and no metrics: its run stopped before select.")
    refuse_code(folder, run.result, trusted=trusted)
    if not run.result["coreset"]:
        raise InvalidInput(f"{folder} has a result.json that does not tell its coreset.")
    copied = [check._replace(copied=True) for check in run.copied()]
    return [*copied, *run.described(), *run.recounted(), *run.remeasured()]


class Stated(Run):
    """What a run's files state."""

    def copied(self) -> Iterator[Check]:
        """All that is a copy of what an artifact holds."""
        for name, (role, file) in COPIES.items():
            made = self.place(role) / file if self.has(role) else None
            yield from self._copy(name, _below(self.result, name), made)
        stated, roles = self.result["metrics"] or {}, self.judged()
        for part in {**stated, **roles}:
            made = self.place(roles[part]) / "metrics.json" if part in roles else None
            yield from self._copy(f"metrics.{part}", stated.get(part), made)
        for role in {**self.result["digests"], **(self.result.get("stages") or {})}:
            if role not in UNSTAGED:
                yield from self._of_stage(role)
        yield from self._files()
        if self.has("finetune"):
            yield from self._course()

    def _copy(self, name: str, stated: Any, file: Path | None) -> Iterator[Check]:
        """What is stated, beside the file of the stage that it is of."""
        if file is not None and file.exists():
            yield from compared(name, stated, read_json(file), exact=True)
        elif stated is not None:
            yield Check(name, "result.json", stated, NOBODY, DIFFERS)

    def _of_stage(self, role: str) -> Iterator[Check]:
        """What a stage cost, and what was left out of its prompts."""
        told = (self.result.get("stages") or {}).get(role) or {}
        stated = {name: told.get(name) for name in ("seconds", "peak_mb")}
        if not self.has(role):
            yield Check(f"stages.{role}", "result.json", stated, NOBODY, DIFFERS)
        elif self.kept(role) is None:
            yield Check(f"stages.{role}", "result.json", stated, "gone from the store", OPEN)
        else:
            manifest = self.store.used[self.result["digests"][role]].manifest
            yield from compared(f"stages.{role}", stated, {name: manifest.get(name) for name in stated}, True)
            said = (self.result.get("prompts") or {}).get(role)
            yield from self._copy(f"prompts.{role}", said, self.place(role) / PROMPTS)

    def _files(self) -> Iterator[Check]:
        """The files beside result.json, by what the store's manifests and arrays say of them."""
        pool = self.examples("train")
        yield self._file("indices.json", self.rows.tolist())
        yield self._file("trace.json", read_json(self.place("select") / "trace.json"))
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
        stated = read_json(self.folder / name) if (self.folder / name).is_file() else None
        same = stated == found
        return Check(name, name, "its content", "the artifact's", STATED if same else DIFFERS)

    def _course(self) -> Iterator[Check]:
        file = self.place("finetune") / "curve.json"
        curve = read_json(file) if file.exists() else []
        found = {
            "steps": len(curve) or None,
            "tokens_trained": curve[-1]["tokens"] if curve else None,
            "kept_step": left.kept_step(curve),
        }
        yield from (checked(name, self.result.get(name), value) for name, value in found.items())

    def described(self) -> Iterator[Check]:
        """The keys of the stages by the stated configuration; open where this machine cannot say."""
        digests = self.result["digests"]
        try:
            stage = self._line().result
        except GoracsError as error:
            yield Check("config", "result.json", "its stages", str(error), OPEN)
            return
        for role in {**digests, **stage.inputs}:
            if role not in UNSTAGED:
                yield self._key(role, digests.get(role, ""), stage.inputs.get(role))
        yield self._choice()
        yield from self._rest(stage)

    def _line(self) -> Any:
        from goracs.pipeline import Job, Line

        config = self.result["config"]
        if absent := sorted(hashed(composed([])).keys() - config.keys()):
            raise GoracsError(f"it does not tell its {', '.join(absent)}")
        name, command = self.result["coreset"]["selector"], self.result["command"]
        return Line(Job(self.settings(*config), config, name, command), self.store)

    def _key(self, role: str, key: str, source: Source | None) -> Check:
        same = source is not None and source.key == key
        kept = self.store.kept(source.name, key) if isinstance(source, Stage) else None
        other = kept is not None and self.store.used[key].manifest["version"] != getattr(
            source, "version", None
        )
        said = f"digests.{role}, of the config"
        if other:
            return Check(said, "result.json", key, "made by another version of goracs", OPEN)
        found = source.key if source is not None else NOBODY
        return Check(said, "result.json", key, found, STATED if same else DIFFERS)

    def _choice(self) -> Check:
        """Whether the selector is of the class that the file of its name has."""
        name, used = self.result["coreset"]["selector"], self.result["config"]["selector"].get("_target_")
        if Path(name).name != name or not (conf_dir() / "selector" / f"{name}.yaml").is_file():
            return Check("coreset.selector", "result.json", name, "no file of conf/selector", OPEN)
        named = composed([f"selector={name}"])["selector"]["_target_"]
        return Check("coreset.selector", "result.json", name, used, STATED if used == named else DIFFERS)

    def _rest(self, stage: Stage) -> Iterator[Check]:
        """What else result.json states, by the artifact that it is a copy of."""
        kept = self.store.kept(stage.name, stage.key)
        if kept is None:
            yield Check("result", "result.json", "the rest of it", "gone from the store", OPEN)
            return
        mine, made = _own(self.result), _own(read_json(kept.path / "result.json"))
        for name in sorted({*mine, *made}):
            for check in compared(name, mine.get(name), made.get(name), exact=True):
                yield check._replace(copied=True)


def _own(result: Mapping[str, Any]) -> dict[str, Any]:
    """What `Run.copied` does not look at, of what runs that share an artifact have in common."""
    rest = {name: value for name, value in result.items() if name not in (*OWN, *ELSEWHERE)}
    return rest | {"coreset": {name: result["coreset"].get(name) for name in OF_CORESET}}


def _below(result: Mapping[str, Any], name: str) -> Any:
    found: Any = result
    for key in name.split("."):
        found = (found or {}).get(key)
    return found
