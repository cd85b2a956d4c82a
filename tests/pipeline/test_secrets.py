"""What a run leaves for others to see names no secret of the environment and no place of the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goracs.commands import report, table
from tests.pipeline.conftest import Command

pytestmark = pytest.mark.xdist_group("sweep")  # wandb in one process after the other
ROOT = Path(__file__).parents[2]
SECRETS = ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY")
SECRET, PLACE = "hidden-" * 6, "the-place-of-this-run"
OF_THE_MACHINE = {".hydra", "multirun.yaml", ".goracs", "outcome.json", ".outcome.json"}  # SECURITY.md
WANDBS_OWN = "logs"  # of its own start, beside what it tells


def test_what_a_run_leaves_tells_no_secret_and_no_place(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where its user gave relative paths, none is absolute: artifacts, results, logs, trackers, report."""
    here = tmp_path / PLACE
    here.mkdir()
    monkeypatch.chdir(here)
    for name in SECRETS:
        monkeypatch.setenv(name, SECRET)
    words = ("selector=random", "budget=4", "logger.folder=tracked", "logger=wandb")
    one = goracs(*words, "hydra.run.dir=job", store=Path("store"))
    assert one.code == 0, one.text
    for logger in ("csv", "tensorboard"):
        again = goracs(words[0], words[1], f"logger={logger}", f"hydra.run.dir={logger}", store=Path("store"))
        assert again.code == 0, again.text
    swept = ("-m", "selector=random", "until=prepare", "seed=0,1", "hydra.sweep.dir=swept")
    assert goracs(*swept, store=Path("store")).code == 0
    capfd.readouterr()
    assert report.run(["job", "--store", "store"]) == 0
    assert table.run(["job", "--store", "store"]) == 0
    said = one.text + again.text + capfd.readouterr().out
    assert SECRET not in said
    files = list(_files(here))
    assert {"tensorboard", "csv", "tracked", "store", "job", "swept"} <= {
        file.relative_to(here).parts[0] for file in files
    }
    for file in files:
        told = file.read_bytes()
        for word in (SECRET, PLACE, str(ROOT), sys.executable):
            assert word.encode() not in told, (file, word)


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not OF_THE_MACHINE & {*file.parts} and file.parent.name != WANDBS_OWN:
            yield file
