"""A sweep as a plan: what is there is not launched, a change is said first, `goracs sweep status` tells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from goracs import sweep_line
from goracs.commands import sweep as word
from tests.pipeline.conftest import TINY, Command

pytestmark = pytest.mark.xdist_group("sweep")
WORDS = ("-m", "selector=random", "until=prepare")


def status(folder: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What goracs sweep status says as JSON, and that the text says as much."""
    capfd.readouterr()
    assert word.run(["status", str(folder), "output=json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert word.run(["status", str(folder)]) == 0
    text = capfd.readouterr().out
    assert f"{len(found['jobs'])} jobs: " in text
    for job in found["jobs"]:
        assert (f"{job['status']}: {job['words']} (" in text) == (job["status"] in word.TOLD)
    return found


def test_the_same_command_launches_only_what_is_missing_or_failed(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    launched = list[list[str]]()
    run = sweep_line.run

    def watched(sweeper: Any, words: list[str]) -> Any:
        launch = sweeper.launcher.launch

        def noting(jobs: list[list[str]], initial_job_idx: int) -> Any:
            launched.append([word for job in jobs for word in job if word.startswith("seed=")])
            return launch(jobs, initial_job_idx=initial_job_idx)

        sweeper.launcher.launch = noting
        return run(sweeper, words)

    monkeypatch.setattr(sweep_line, "run", watched)
    fixed, words = tmp_path / "fixed", (*WORDS, f"hydra.sweep.dir={tmp_path / 'fixed'}")
    first = goracs(*words, "seed=-1,41,42")
    assert "plan:" not in first.text
    found = status(fixed, capfd)
    assert found["counts"] == {"failed": 1, "done": 2}
    assert found["jobs"][0]["message"].startswith("seed must be a whole number")
    assert not found["at_work"]
    grown = goracs(*words, "seed=41,-1,43")
    assert launched == [["seed=-1", "seed=41", "seed=42"], ["seed=-1", "seed=43"]]
    assert "plan: adds 1 jobs: seed=43\nplan: drops 1 jobs: seed=42\n" in grown.text
    assert grown.text.index("plan: adds") < grown.text.index("job 1/3")
    for job in status(fixed, capfd)["jobs"]:
        assert json.loads(Path(job["folder"], "outcome.json").read_text())["words"] == job["words"]
    took = [job["seconds"] for job in status(fixed, capfd)["jobs"]]
    assert goracs(*words, "seed=41,-1,43").code == 1
    assert launched[2:] == [["seed=-1"]]
    assert [job["seconds"] for job in status(fixed, capfd)["jobs"]][2] == took[2]  # what it had taken


def test_a_sweep_stops_at_its_first_failure_where_asked(
    goracs: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = goracs(*WORDS, "seed=-1,5", "sweep.stop_at_first_failure=true")
    assert ended.code == 1
    assert "2 jobs: 1 failed, 1 stopped\n" in ended.text
    assert "job 2/2: seed=5: stopped: job 1 had failed\n" in ended.text
    assert not (ended.folder / "1" / "outcome.json").exists()
    assert status(ended.folder, capfd)["counts"] == {"failed": 1, "stopped": 1}
    assert (
        "must be true or false, got 'perhaps'" in goracs(*WORDS, "sweep.stop_at_first_failure=perhaps").text
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenProcessPool, "the launcher gave up (BrokenProcessPool: gone): the same command goes on"),
        (
            ValueError,
            "error: the jobs were not all begun (ValueError: gone). HYDRA_FULL_ERROR=1 shows where.",
        ),
    ],
)
def test_a_launcher_that_gives_up_leaves_a_report(
    goracs: Command, monkeypatch: pytest.MonkeyPatch, error: type[Exception], told: str
) -> None:
    run = sweep_line.run

    def killed(*_: Any, **__: Any) -> Any:
        raise error("gone\nin detail")

    def given_up(sweeper: Any, words: list[str]) -> Any:
        sweeper.launcher.launch = killed
        return run(sweeper, words)

    monkeypatch.setattr(sweep_line, "run", given_up)
    ended = goracs(*WORDS, "seed=46,47")
    assert ended.code == 1
    assert told in ended.text
    assert "2 jobs: 2 waiting\n" in ended.text


HANGING = """
import time
from goracs import cli
from goracs.commands import run
run._run = lambda config, selector, place: (place.claim({}), print("begun", flush=True), time.sleep(600))
cli.main()
"""


def test_a_killed_sweep_is_told_from_one_at_work_and_goes_on(
    goracs: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixed, words = tmp_path / "fixed", (*WORDS, "seed=44,45")
    tiny = [
        *words[:1],
        *TINY,
        "adapter.rows=8",
        f"store.root={tmp_path / 'store'}",
        f"hydra.sweep.dir={fixed}",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, *tiny, *words[1:]], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert any(line == "begun\n" for line in running.stdout)
        found = status(fixed, capfd)
        assert found["at_work"]
        assert found["counts"] == {"running": 1, "waiting": 1}
        assert found["seconds_left"] is None
        second = goracs(*words, f"hydra.sweep.dir={fixed}")
        assert f"error: another sweep is at work in {fixed}" in second.text
        running.kill()
    found = status(fixed, capfd)
    assert not found["at_work"]
    assert found["counts"] == {"interrupted": 1, "waiting": 1}
    again = goracs(*words, f"hydra.sweep.dir={fixed}")
    assert again.code == 0
    assert "plan:" not in again.text
    assert status(fixed, capfd)["counts"] == {"done": 2}


SPOILT = {  # a file, what it holds (None: it is a folder), and what is said of it
    "half a plan": ("plan.json", '{"schema": 1, "jobs": [', r"plan\.json cannot be read as a plan \(JSON"),
    "no plan": ("plan.json", "[]", r"plan\.json cannot be read as a plan \(TypeError"),
    "another version": ("plan.json", '{"schema": 2}', r"a plan of schema 2 and this version .* schema 1"),
    "a file for the notes": (".goracs", "", r"nothing can be written in the sweep's folder"),
    "a folder for the lock": (".goracs.lock", None, r"nothing can be written in the sweep's folder"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_folder_that_cannot_be_gone_on_in_is_refused_untouched(
    goracs: Command, tmp_path: Path, case: str
) -> None:
    fixed = tmp_path / "fixed"
    name, text, message = SPOILT[case]
    (fixed / name).mkdir(parents=True) if text is None else fixed.mkdir()
    if text is not None:
        (fixed / name).write_text(text)
    before = {file: file.is_file() and file.read_text() for file in fixed.rglob("*")}
    ended = goracs(*WORDS, f"hydra.sweep.dir={fixed}")
    assert ended.code == 1
    assert re.search(f"error: .*{message}", ended.text)
    assert "Traceback" not in ended.text
    assert before.items() <= {file: file.is_file() and file.read_text() for file in fixed.rglob("*")}.items()
    assert not (fixed / "0").exists()


@pytest.mark.parametrize(
    ("launcher", "package", "extra"),
    [
        ("parallel", "hydra_joblib_launcher", "joblib"),
        ("slurm", "hydra_submitit_launcher", "slurm"),
        ("ray_cluster", "hydra_ray_launcher", "ray"),
    ],
)
def test_a_launcher_that_is_not_installed_is_told_with_its_extra(
    goracs: Command, monkeypatch: pytest.MonkeyPatch, launcher: str, package: str, extra: str
) -> None:
    from goracs.commands import run

    monkeypatch.setattr(run, "find_spec", lambda name: None if package in name else find_spec(name))
    ended = goracs(*WORDS, f"hydra/launcher={launcher}")
    assert ended.code == 1
    assert f"error: hydra/launcher={launcher} needs packages that are not there: pip install" in ended.text
    assert f"goracs[{extra}]" in ended.text


@pytest.mark.parametrize(("launcher", "package"), [("slurm_local", "submitit"), ("ray_cluster", "ray")])
def test_jobs_in_processes_of_other_launchers_share_stages_and_report_together(
    tmp_path: Path, launcher: str, package: str
) -> None:
    if find_spec(f"hydra_plugins.hydra_{package}_launcher") is None:
        pytest.skip(f"hydra-{package}-launcher is not installed: it is an extra")
    words = [
        sys.executable, "-m", "goracs.cli", "-m", *TINY, f"hydra/launcher={launcher}", "seed=4,5",
        "selector=random", "until=prepare",
        f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'sweep'}",
    ]  # fmt: skip
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 jobs: 2 done\n" in ended.stdout
    logs = [(tmp_path / "sweep" / job / "goracs.log").read_text() for job in "01"]
    assert sum(len(re.findall(r"  prepare +[\d.]+ s$", log, re.MULTILINE)) for log in logs) == 1
    assert all(len(re.findall(r"  result +[\d.]+ s$", log, re.MULTILINE)) == 1 for log in logs)


def test_a_sweep_reached_by_a_link_goes_on_with_the_same_jobs(
    goracs: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    words = ("-m", "until=prepare", f"hydra.sweep.dir={tmp_path / 'link' / 'sweep'}")
    assert goracs(*words, "selector=random").code == 0
    ended = goracs(*words, "selector=random,el2n")
    assert ended.code == 0, ended.text
    assert "2 jobs: 1 skipped, 1 done" in ended.text
    assert "left by earlier" not in ended.text


def test_a_command_that_is_refused_leaves_what_is_noted_of_a_sweep(
    goracs: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("-m", "until=prepare", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert goracs(*words, "selector=random").code == 0
    assert goracs(*words, "selector=random,nosuch").code == 1
    assert status(tmp_path / "sweep", capfd)["counts"] == {"done": 1}


def test_a_value_that_goes_by_the_number_of_a_job_is_refused(goracs: Command, tmp_path: Path) -> None:
    """A launcher counts the jobs it gets, which are fewer when a sweep goes on."""
    ended = goracs(
        *WORDS, "selector=random,el2n", "seed=${hydra:job.num}", f"hydra.sweep.dir={tmp_path / 's'}"
    )
    assert ended.code == 1
    assert "a value of the configuration goes by ${hydra:job.num}" in ended.text
    assert "Traceback" not in ended.text


def test_hydras_own_sweeper_works_too(goracs: Command, tmp_path: Path) -> None:
    ended = goracs(*WORDS, "hydra/sweeper=basic", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'basic'}")
    assert ended.code == 0, ended.text
    assert "2 jobs: " in ended.text
