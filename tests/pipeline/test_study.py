"""The study's presets go the road, and its table is what their results give."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import study
from goracs.config import conf_dir
from goracs.types import GoracsError
from tests.pipeline.conftest import Command

METHODS = sorted(file.stem for file in (conf_dir() / "experiment" / "study").glob("*.yaml"))
SMALL = ("dataset.size=60", "split.valid=40", "split.test=24", "adapter.rows=8", "evaluate.draws=20")
LAM = ("task.lam",)  # of the tiny settings: what this tests is that the presets choose themselves


def words(*methods: str) -> tuple[str, ...]:
    return ("-m", f"experiment={','.join(f'study/{method}' for method in methods)}", *SMALL)


def test_every_method_goes_the_road_from_the_pool_of_its_seed(goracs: Command) -> None:
    ended = goracs(*words(*METHODS), "seed=1", without=LAM)
    assert ended.code == 0, ended.text
    ended_well = r"(?m)^job .*experiment=study/(\w+): (?:done|skipped)"  # skipped: another test had run it
    assert sorted(re.findall(ended_well, ended.text)) == METHODS


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "kept"


def test_a_study_is_kept_and_compared(goracs: Command, kept: Path) -> None:
    two = words("random", "goracs_hidden")
    for tuning, without in (("default", ()), ("head", ("finetune.epochs",))):
        ended = goracs(*two, "seed=0,1", f"finetune={tuning}", without=(*LAM, *without))
        assert ended.code == 0, ended.text
        assert study.main(["keep", str(ended.folder), str(kept)]) == 0
    assert study.main(["table", str(kept)]) == 0
    text = (kept / "table.md").read_text()
    losses = {}
    for file in sorted(kept.glob("lora/*/result.json")):
        result = json.loads(file.read_text())
        losses[file.parent.name] = result["metrics"]["tuned"]["log_loss"]["value"]
        assert result["config"]["dataset"]["seed"] == result["seed"]
        assert result["command"].startswith("goracs ")
        assert "store.root" not in result["command"]
    figures = [losses[f"goracs_hidden-8-seed{seed}"] - losses[f"random-8-seed{seed}"] for seed in (0, 1)]
    assert f"| goracs_hidden | {np.mean(figures):+.3f} | " in text
    assert "## Heads against LoRA, on the same coresets" in text
    assert "rank correlation over 4 coresets" in text


def test_what_is_no_job_of_a_study_is_refused(goracs: Command, tmp_path: Path) -> None:
    ended = goracs("selector=random", "until=select")
    with pytest.raises(GoracsError, match="no finished job of experiment=study/METHOD"):
        study.keep(ended.folder, tmp_path / "kept")


def changed(folder: Path, name: str, **data: Any) -> None:
    file = folder / "lora" / name / "result.json"
    result = json.loads(file.read_text())
    result["config"]["dataset"] |= data
    file.write_text(json.dumps(result))


def test_results_of_two_set_ups_are_no_study(tmp_path: Path) -> None:
    """Another history is another set-up; a setting that only the one knows, of a later version, is not."""
    folder = shutil.copytree(Path(__file__).parents[2] / "docs" / "study" / "movielens", tmp_path / "study")
    plain = study.table(folder)
    changed(folder, "random-32-seed0", later=3, _target_="goracs.as.it.was.called")
    assert study.table(folder) == plain
    changed(folder, "random-32-seed0", history=4)
    with pytest.raises(GoracsError, match="are of two set-ups, so of two studies"):
        study.table(folder)


def test_another_result_of_the_same_name_is_never_replaced(tmp_path: Path) -> None:
    given = Path(__file__).parents[2] / "docs" / "study" / "movielens" / "lora"
    folder = tmp_path / "study"
    study.keep(given / "random-32-seed0", folder)
    sweep = shutil.copytree(given / "random-32-seed0", tmp_path / "sweep")
    result = json.loads((sweep / "result.json").read_text())
    result["metrics"]["tuned"]["auc"]["value"] = 0.5
    (sweep / "result.json").write_text(json.dumps(result))
    with pytest.raises(GoracsError, match="random-32-seed0 holds another result than"):
        study.keep(sweep, folder)


def test_a_folder_without_results_is_refused_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["table", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no study")
