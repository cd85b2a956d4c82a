"""A folder used again: what a run leaves there, and what a sweep reports, are of that command alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from goracs.jobs.folder_lock import LOCK
from tests.pipeline.conftest import TINY, Command

pytestmark = pytest.mark.xdist_group("sweep")
FIRST = ("selector=goracs", "logger=csv")
SECONDS = {
    "done": ("selector=random", "until=select"),
    "skipped": ("selector=random", "until=select"),
    "of another length": ("selector=random", "logger=csv", "finetune.epochs=null", "finetune.steps=3"),
    "before select": ("until=embed",),
    "failed": ("budget=999",),
}


def content(folder: Path) -> dict[str, str]:
    """Every file of a job folder but its lock, and the log and the record, which tell of folder and time."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts)
    found = {str(path.relative_to(folder)): path for path in files}
    return {
        name: path.read_text("latin-1")
        for name, path in found.items()
        if name not in ("goracs.log", "outcome.json", LOCK)
    }


def tables(text: str) -> list[str]:
    return [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("second", SECONDS, ids=str)
def test_a_folder_used_twice_holds_the_second_run_alone(goracs: Command, tmp_path: Path, second: str) -> None:
    words = SECONDS[second]
    if second == "skipped":
        goracs(*words)
    used = tmp_path / "used"
    assert goracs(*FIRST, f"hydra.run.dir={used}").code == 0
    assert (used / "csv" / "metrics.csv").exists()
    (used / "notes.txt").write_text("mine")
    again = goracs(*words, f"hydra.run.dir={used}")
    fresh = goracs(*words)
    assert again.code == fresh.code == int(second == "failed"), again.text
    left, expected = content(used), content(fresh.folder)
    assert left.pop("notes.txt") == "mine"
    assert set(left) == set(expected)
    for name in set(left) - {"result.json"}:  # which tells what was cached, and its command
        assert left[name] == expected[name], name
    assert json.loads((used / "outcome.json").read_text())["status"] in (second, "done", "skipped")


def test_an_interrupted_run_leaves_its_record_alone(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from goracs.stages import select

    used = f"hydra.run.dir={tmp_path / 'used'}"
    goracs("until=select", "selector=random", used)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(select, "stage", interrupt)
    assert goracs("until=select", "selector=random", "seed=5", used).code == 130
    assert content(tmp_path / "used") == {}
    assert json.loads((tmp_path / "used" / "outcome.json").read_text())["status"] == "interrupted"


def test_two_runs_are_never_at_work_in_one_folder(goracs: Command, tmp_path: Path) -> None:
    used = tmp_path / "used"
    words = ("until=prepare", f"hydra.run.dir={used}")
    assert goracs(*words).code == 0
    holding = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print(flush=True); input()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", holding, str(used / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        first.stdout.readline()
        before = {file: file.read_bytes() for file in used.rglob("*") if file.is_file()}
        ended = goracs(*words, "seed=1")
        assert {file: file.read_bytes() for file in used.rglob("*") if file.is_file()} == before
        first.kill()
    assert ended.code == 1
    assert f"error: another command is at work in the job folder {used}: wait" in ended.text
    assert "Traceback" not in ended.text
    assert goracs(*words).code == 0  # whatever ended the first


def test_a_run_does_not_remove_the_adapter_it_starts_from(goracs: Command, tmp_path: Path) -> None:
    used = tmp_path / "used"
    goracs(f"hydra.run.dir={used}")
    before = content(used)
    ended = goracs("adapter=path", f"adapter.path={used / 'adapter'}", f"hydra.run.dir={used}")
    assert ended.code == 1
    assert "it would be replaced" in ended.text
    assert content(used) == before


def test_a_shrunk_sweep_reports_its_own_jobs_alone(goracs: Command, tmp_path: Path) -> None:
    here = f"hydra.sweep.dir={tmp_path / 'fixed'}"
    (tmp_path / "fixed" / "mine").mkdir(parents=True)
    goracs("-m", "selector=kcenter,random", "budget=6,7", "until=select", here)
    shrunk = goracs("-m", "selector=random", "budget=5", "until=select", here)
    assert tables(shrunk.text) == ["random"]
    assert "left by earlier commands and not in the table: 1, 2, 3\n" in shrunk.text
    failed = goracs("-m", "selector=random", "budget=999,4", "until=select", here)
    assert failed.code == 1
    assert tables(failed.text) == ["random"]
    assert "2 jobs: 1 failed, 1 done" in failed.text
    assert content(tmp_path / "fixed" / "0") == {}
    assert (tmp_path / "fixed" / "3" / "result.json").exists()


def test_jobs_of_one_sweep_that_share_a_folder_are_refused(goracs: Command) -> None:
    ended = goracs("-m", "selector=random", "budget=6,7", "until=select", "hydra.sweep.subdir=same")
    assert ended.code == 1
    assert "gives jobs 1 and 2 one folder" in ended.text
    assert not (ended.folder / "same").exists()


def test_parallel_jobs_in_a_used_folder_report_their_own_alone(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "goracs.cli", "-m", *TINY,
             "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
             "until=select", "selector=random", f"store.root={tmp_path / 'store'}",
             "hydra.sweep.subdir=b${budget}/s${seed}", f"hydra.sweep.dir={tmp_path / 'sweep'}", *words],
            cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert len(tables(run("budget=5,6", "seed=0,1"))) == 2
    assert re.findall(r"\| random +\| (\d) ", run("budget=5", "seed=2,3")) == ["5"]
