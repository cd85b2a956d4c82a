"""`goracs verify`: a run's figures are what its artifacts give, and each kind of altered figure is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from goracs.commands import verify
from goracs.ot import exact, proof
from goracs.selection import recount
from goracs.store import MANIFEST, file_digest
from goracs.types import GoracsError, SelectionProblem
from goracs.verdict import DIFFERS, OPEN, STATED
from goracs.verify_line import checks
from tests.pipeline.conftest import Command, Ended

ROADS = {
    "by class": ("selector=goracs",),
    "as one problem": ("selector=goracs", "selector.by_class=false", "until=select"),
    "lam=auto": (
        "selector=goracs",
        "selector.lam=auto",
        "selector.folds=3",
        "selector.grid=[0,0.1]",
        "until=select",
    ),
    "another's search": ("selector=goracs_paper", "until=select"),
    "another's figures": ("selector=goracs_inner", "until=select"),
    "ranks": ("task=seqrec", "selector=random"),
    "a head": ("finetune=head", "selector=random", "adapter=init"),
}


@pytest.mark.parametrize("road", ROADS)
def test_a_run_verifies(
    goracs: Command, store_root: Path, capfd: pytest.CaptureFixture[str], road: str
) -> None:
    ended = goracs(*ROADS[road], without=("finetune.epochs",) if road == "a head" else ())
    assert ended.code == 0, ended.text
    found = checks(ended.folder, store_root)
    assert [check for check in found if check.verdict == DIFFERS] == []
    assert {check.name.rpartition(".")[2] for check in found if check.verdict == OPEN} <= {"lower_bound"}
    assert {"seed", "versions.numpy", "stages.prepare.seconds"} <= {check.name for check in found}
    assert verify.run([str(ended.folder), "--store", str(store_root)]) == 0
    assert "0 DIFFERS" in capfd.readouterr().out


@pytest.fixture
def whole(goracs: Command) -> Ended:
    return goracs(*ROADS["by class"])


@pytest.fixture
def named(whole: Ended, store_root: Path) -> Callable[..., set[str]]:
    """The names of the figures that are found altered."""

    def names(store: Path = store_root, anew: bool = False) -> set[str]:
        found = checks(whole.folder, store)
        return {one.name for one in found if one.verdict == DIFFERS and not (anew and one.copied)}

    return names


ALTERED: dict[str, Any] = {
    "coreset.budget": 9,
    "coreset.report.transport": 0.1,
    "coreset.report.transport_global": 0.1,
    "coreset.report.mean_gradient": 0.1,
    "coreset.report.poo": 0.1,
    "coreset.report.gap": 0.0,
    "coreset.report.classes.1.lower_bound": 0.9,
    "coreset.report.classes.1.max_distance": 3.0,
    "coreset.report.classes.0.budget": 3,
    "coreset.report.exchanges": 77,
    "coreset.assessment.transport": 0.1,
    "coreset.assessment.lam": 0.4,
    "metrics.tuned.auc.value": 0.99,
    "metrics.start.log_loss.low": 0.2,
    "metrics.untuned.ece.value": 0.0,
    "metrics.rule.auc_per_user.users": 3,
    "prompts.finetune.read": 9,
    "stages.finetune.seconds": 1e-3,
    "tokens_trained": 5,
    "kept_step": 7,
    "seed": 7,
    "coreset.selector": "kcenter",
    "coreset.budget_asked": 9,
    "coreset.indices_file": "others.json",
    "precision.backbone": "bf16",
    "versions.numpy": "0.1",
    "status": "failed",
    "stages.prepare.seconds": 1e-3,
    "stages.embed.peak_mb": 1e-3,
}


def put(result: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for key in path:
        result = result[key]
    assert result[last] != value
    result[last] = value


def test_every_altered_figure_of_a_result_is_named(
    whole: Ended, named: Callable[..., set[str]], store_root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, result = whole.folder / "result.json", whole.result
    before = result["metrics"]["tuned"]["auc"]["value"]
    for name, value in ALTERED.items():
        put(result, name, value)
    file.write_text(json.dumps(result))
    assert named() >= ALTERED.keys()
    assert verify.run([str(whole.folder), "--store", str(store_root)]) == 1
    said = f"DIFFERS: metrics.tuned.auc.value: result.json states 0.99, found anew: {before!r}"
    assert said in capfd.readouterr().out


def drop(result: dict[str, Any], name: str) -> None:
    *path, last = name.split(".")
    for key in path:
        result = result[key]
    del result[last]


REMOVED = {  # what is taken away -> what is said to differ
    ("digests.evaluate", "metrics.untuned", "coreset.report.poo", "stages", "prompts"): {
        "metrics.tuned",
        "metrics.untuned",
        "digests.evaluate, of the config",
        "coreset.report.poo",
        "stages.finetune.seconds",
        "prompts.finetune",
    },
    ("digests.assess", "metrics.tuned.auc", "coreset.report.classes.1", "status", "versions.numpy"): {
        "coreset.assessment",
        "stages.assess",
        "digests.assess, of the config",
        "metrics.tuned.auc",
        "coreset.report.classes",
        "status",
        "versions.numpy",
    },
    ("coreset.report.classes.1.lowest_cost",): {"coreset.report.classes.1.lowest_cost"},
}


@pytest.mark.parametrize("names", REMOVED, ids=lambda names: names[0])
def test_what_a_result_no_longer_states_is_named(
    whole: Ended, named: Callable[..., set[str]], names: tuple[str, ...]
) -> None:
    result = whole.result
    for name in names:
        drop(result, name)
    (whole.folder / "result.json").write_text(json.dumps(result))
    assert named() >= REMOVED[names]


def test_what_no_stage_of_the_run_has_made_is_named(whole: Ended, named: Callable[..., set[str]]) -> None:
    result = whole.result
    result["metrics"]["better"] = result["metrics"]["tuned"]
    result["stages"]["magic"] = {"seconds": 1.0}
    result["digests"]["proxy_fits"] = "0" * 64
    result["decoding"] = {"beams": 4}
    (whole.folder / "result.json").write_text(json.dumps(result))
    assert named() >= {"metrics.better", "stages.magic", "digests.proxy_fits, of the config", "decoding"}


@pytest.mark.parametrize("name", ["finetune.lr", "split.valid", "selector.lam", "evaluate.seed"])
def test_a_configuration_that_is_not_the_runs_is_found(
    whole: Ended, named: Callable[..., set[str]], name: str
) -> None:
    result = whole.result
    put(result["config"], name, 17 if name != "finetune.lr" else 0.5)
    (whole.folder / "result.json").write_text(json.dumps(result))
    assert any(one.endswith(", of the config") for one in named())


def test_every_altered_file_of_a_job_folder_is_named(whole: Ended, named: Callable[..., set[str]]) -> None:
    files = ["indices.json", "coreset.json", "trace.json", "predictions.parquet", "curve.json"]
    files += ["adapter/adapter_model.safetensors"]
    for name in files[:3]:
        (whole.folder / name).write_text("[1]")
    for name in files[3:]:
        with (whole.folder / name).open("ab") as file:
            file.write(b" ")
    (whole.folder / "adapter" / "adapter_config.json").unlink()
    assert named() == {*files, "adapter/adapter_config.json"}


Change = Callable[[Path], None]


def json_with(name: str, value: Any) -> Change:
    def change(file: Path) -> None:
        told = json.loads(file.read_text())
        put(told, name, value)
        file.write_text(json.dumps(told))

    return change


def other_answers(file: Path) -> None:
    pl.read_parquet(file).with_columns(margin=-pl.col("margin")).write_parquet(file)


def other_rows(file: Path) -> None:
    np.save(file, np.load(file) ^ 1)


@pytest.mark.parametrize(
    ("role", "stage", "name", "change", "altered"),
    [
        ("assess", "assess", "assessment.json", json_with("transport", 0.1), "coreset.assessment.transport"),
        ("select", "select", "report.json", json_with("poo", 0.1), "coreset.report.poo"),
        ("select", "select", "indices.npy", other_rows, "coreset.assessment.transport"),
        ("evaluate", "evaluate", "predictions.parquet", other_answers, "metrics.tuned.auc.value"),
    ],
)  # fmt: skip
def test_an_artifact_that_was_altered_with_its_manifest_is_found_anew(
    whole: Ended, named: Callable[..., set[str]], store_root: Path, tmp_path: Path, role: str, stage: str,
    name: str, change: Change, altered: str,
) -> None:  # fmt: skip
    """The manifest's digest is made to agree: what is left to find it is the recounting."""
    store = tmp_path / "store"
    shutil.copytree(store_root, store, symlinks=True)
    place = store / stage / whole.result["digests"][role][:24]
    change(place / name)
    if name.endswith(".json"):  # and result.json with it
        result = whole.result
        put(result, altered, 0.1)
        (whole.folder / "result.json").write_text(json.dumps(result))
    manifest = json.loads((place / MANIFEST).read_text())
    manifest["files"][name] = file_digest(place / name)
    (place / MANIFEST).write_text(json.dumps(manifest))
    assert altered in named(store, anew=True)


def test_a_bound_above_what_is_proven_is_open(whole: Ended, store_root: Path) -> None:
    """Between the proven bound and the coreset's own value nobody can say; above that it is wrong."""
    problem_value = whole.result["coreset"]["report"]["classes"]["1"]
    result = whole.result
    put(result, "coreset.report.classes.1.lower_bound", problem_value["poo"] - 1e-7)
    (whole.folder / "result.json").write_text(json.dumps(result))
    verdicts = {
        one.verdict for one in checks(whole.folder, store_root)
        if one.name == "coreset.report.classes.1.lower_bound" and not one.copied
    }  # fmt: skip
    assert verdicts
    assert verdicts <= {OPEN, STATED}


def test_a_run_without_a_coreset_or_without_its_store_is_refused(
    goracs: Command, whole: Ended, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    early = goracs("until=prepare")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "result.json").write_text(json.dumps({**whole.result, "coreset": None}))
    for folder in (early.folder, whole.folder, tmp_path / "nowhere", bare):
        assert verify.run([str(folder), "--store", str(tmp_path / "empty")]) == 1
    said = capfd.readouterr().err
    assert "stopped before select" in said
    assert "has no valid coreset" in said
    assert "does not hold the select of this run" in said
    assert "is not the folder of one job" in said


def test_a_transport_that_is_not_proven_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    problem = recount.measured(SelectionProblem(rng.random((6, 2)), rng.random((4, 2))))
    monkeypatch.setattr(proof, "faults", lambda *_: ["a gap"])
    with pytest.raises(GoracsError, match="worked out anew has a gap"):
        recount.transported(problem, np.array([0, 1]))


def test_large_transports_are_proven_in_extended_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.random.default_rng(0).random((7, 5))
    found = exact.solve(costs)
    monkeypatch.setattr(proof, "EXACT", 0)
    assert proof.faults(costs, found) == []
    assert proof.faults(costs + np.eye(7, 5), found) != []
