"""Sweeps: stages are shared, a failure stops nobody else, the same command resumes, the table is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from goracs.commands import table
from goracs.jobs import sweep
from goracs.report.results import read_results
from tests.pipeline.conftest import TINY, Command

pytestmark = pytest.mark.xdist_group("sweep")


def outcomes(folder: Path) -> dict[str, str]:
    """Status by overrides of every job of a sweep, without what all of them share."""
    found = [json.loads(file.read_text()) for file in folder.glob("*/outcome.json")]
    return {
        " ".join(w for w in o["overrides"].split() if w.startswith(("selector=", "seed=", "budget="))): o[
            "status"
        ]
        for o in found
    }


def test_a_sweep_runs_every_combination_and_ends_with_a_table(goracs: Command, tmp_path: Path) -> None:
    ended = goracs("-m", "selector=goracs,random", "seed=0,1", store=tmp_path / "store")
    assert ended.code == 0, ended.text
    assert len(outcomes(ended.folder)) == 4
    assert ended.text.count("done ") == 4
    table = [line for line in ended.text.splitlines() if line.startswith("|")]
    assert any(re.match(r"\| goracs +\| 8 +\| 2 +\|.* ± .*\[.*\]", line) for line in table), ended.text
    assert "Warning: fewer than 30 users: AUC (6)" in ended.text
    assert any("untuned" in line for line in table)
    shared = {
        stage: len(list((tmp_path / "store" / stage).glob("*/manifest.json")))
        for stage in ("prepare", "embed", "adapter", "score")
    }
    assert shared == {"prepare": 1, "embed": 1, "adapter": 1, "score": 1}
    assert len(list((tmp_path / "store" / "select").glob("*/manifest.json"))) == 3  # goracs has no seed
    assert all(
        (job / name).exists()
        for job in ended.folder.glob("[0-9]")
        for name in ("result.json", "adapter", "coreset.json")
    )


def poo(text: str) -> dict[str, str]:
    """The last column of a table, by selector."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:2] == "| "
    ]
    assert lines[0][-1] == "POO"
    return {line[0]: line[-1] for line in lines[2:]}


@pytest.mark.parametrize("features", ["embedding", "sketch"])
def test_every_coreset_of_a_sweep_is_judged_where_one_job_made_what_it_takes(
    goracs: Command, tmp_path: Path, features: str
) -> None:
    """In any order; the figures of assess=true, under the same key; yet no result depends on the store."""
    words = (f"features={features}", "until=select")
    swept = goracs("-m", *words, "selector=random,kcenter,goracs", store=tmp_path / "store")
    assert set(poo(swept.text)) == {"random", "kcenter", "goracs"}
    assert "-" not in poo(swept.text).values()
    assert json.loads((swept.folder / "0" / "result.json").read_text())["coreset"]["assessment"] is None
    asked = goracs(*words, "selector=random", "assess=true", store=tmp_path / "store").result
    assert f"{asked['coreset']['assessment']['poo']:.3f}" == poo(swept.text)["random"]
    assert asked["stages"]["assess"]["cached"]


def test_a_sweep_without_what_the_figures_take_says_how_to_have_them(goracs: Command, tmp_path: Path) -> None:
    ended = goracs("-m", "until=select", "selector=random,kcenter", store=tmp_path / "store")
    assert ended.code == 0, ended.text
    (told,) = [line for line in ended.text.splitlines() if line.startswith("- No POO")]
    assert told.endswith("Add assess=true to the command.")
    assert not (tmp_path / "store" / "assess").exists()


def test_jobs_of_other_settings_lend_nothing(goracs: Command, tmp_path: Path) -> None:
    """Gradients of another layer are not those that the coreset would have been judged by."""
    store = tmp_path / "store"
    first = goracs("until=select", "selector=goracs", "score.layer=q_proj", store=store)
    swept = goracs("-m", "until=select", "selector=random,kcenter", store=store)
    rows = table.judged(read_results([first.folder, swept.folder]), store).groups
    assert {row.label: "poo" in row.cells for row in rows} == {
        "goracs": True,
        "kcenter": False,
        "random": False,
    }


def test_a_failed_job_is_listed_and_reruns_while_finished_ones_are_skipped(
    goracs: Command, tmp_path: Path
) -> None:
    command = ("-m", "selector=random", "budget=8,999", "until=select")
    first = goracs(*command, store=tmp_path / "store")
    assert first.code == 1
    assert set(outcomes(first.folder).values()) == {"done", "failed"}
    assert "budget 999 is larger than the pool" in first.text
    assert "Traceback" not in first.text
    again = goracs(*command, store=tmp_path / "store")
    assert again.code == 1
    assert set(outcomes(again.folder).values()) == {"skipped", "failed"}
    assert (again.folder / "0" / "result.json").exists()


def test_parallel_jobs_share_stages_and_report_together(tmp_path: Path) -> None:
    words = [
        sys.executable, "-m", "goracs.cli", "-m", *TINY, "adapter.rows=8", "hydra/launcher=parallel",
        "hydra.launcher.n_jobs=2", "selector=random,kcenter", "until=score,select",
        f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'sweep'}",
    ]  # fmt: skip
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = re.findall(r"^job (\d)/4: selector=\w+ until=\w+: done in ", ended.stdout, re.MULTILINE)
    assert sorted(lines) == ["1", "2", "3", "4"]
    assert ended.stdout.count("GroupLens") == 1
    assert "| kcenter " in ended.stdout
    logs = [file.read_text() for file in (tmp_path / "sweep").glob("*/goracs.log")]
    for stage in ("prepare", "adapter", "score"):
        assert len(list((tmp_path / "store" / stage).glob("*/manifest.json"))) == 1, stage
        assert sum(len(re.findall(rf"  {stage} +[\d.]+ s$", log, re.MULTILINE)) for log in logs) == 1, stage


def test_a_smaller_sweep_in_the_same_folder_forgets_the_larger_ones_failures(
    goracs: Command, tmp_path: Path
) -> None:
    here = f"hydra.sweep.dir={tmp_path / 'fixed'}"
    assert goracs("-m", "selector=random", "budget=8,999", "until=select", here).code == 1
    assert goracs("-m", "selector=random", "budget=8", "until=select", here).code == 0


def test_a_second_sweep_in_a_folder_is_refused_while_the_first_is_at_work(
    goracs: Command, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed"
    words = ("-m", "selector=random", "until=prepare", f"hydra.sweep.dir={fixed}")
    assert goracs(*words).code == 0
    holding = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print(flush=True); input()"
    )
    lock = str(fixed / f"{sweep.NOTES}.lock")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", holding, lock], **pipes) as first:
        assert first.stdout is not None
        first.stdout.readline()
        before = {file: file.read_bytes() for file in fixed.rglob("*") if file.is_file()}
        ended = goracs(*words)
        assert {file: file.read_bytes() for file in fixed.rglob("*") if file.is_file()} == before
        first.kill()
    assert ended.code == 1
    assert f"error: another sweep is at work in {fixed}: wait" in ended.text
    assert "Traceback" not in ended.text
    assert goracs(*words).code == 0  # whatever ended the first


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_leaves_at_once_with_nothing_half_built(
    tmp_path: Path, stop: signal.Signals
) -> None:
    words = [
        sys.executable, "-m", "goracs.cli", *TINY, "adapter.rows=8", "until=score",
        "backbone.batch_tokens=90", "dataset.size=5000",
        f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'job'}",
    ]  # fmt: skip
    running = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.split() == ["score", "..."]:
            break
    while not list((tmp_path / "store").rglob("pool_*.npy")):
        time.sleep(0.1)
    time.sleep(2)  # into the pass
    running.send_signal(stop)
    rest = running.communicate()[0]
    assert running.returncode == 128 + stop, rest
    assert "the same command goes on" in rest
    assert list((tmp_path / "store").rglob("*.partial")) == []
    assert not list((tmp_path / "store" / "score").glob("*/manifest.json"))


def test_each_job_of_a_sweep_has_one_wandb_run_that_says_which_job_it_is(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    init, runs, kept = wandb.init, list[Any](), list[set[str]]()

    def watched(**given: Any) -> Any:
        runs.append(init(**given))
        log_artifact = runs[-1].log_artifact

        def told(artifact: Any) -> Any:
            kept.append(set(artifact.manifest.entries))
            return log_artifact(artifact)

        monkeypatch.setattr(runs[-1], "log_artifact", told)
        return runs[-1]

    monkeypatch.setattr(wandb, "init", watched)
    command = ("-m", "logger=wandb", f"logger.folder={tmp_path}", "selector=random", "until=finetune")
    ended = goracs(*command, "seed=70,71")
    assert ended.code == 0, ended.text
    assert wandb.run is None
    assert [(run.name, run.job_type, run.config["seed"]) for run in runs] == [
        (f"selector=random budget=8 seed={seed}", "finetune", seed) for seed in (70, 71)
    ]
    assert [names & {"result.json", "coreset.json", "trace.json", "indices.json"} for names in kept] == [
        {"result.json", "coreset.json", "trace.json", "indices.json"}
    ] * 2
    (group,) = {run.group for run in runs}
    assert group.startswith("goracs backbone=tiny")
    assert len(group) <= 128
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    assert goracs(*command, "seed=70,71,72").code == 0
    assert [run.config["seed"] for run in runs] == [70, 71, 72]
    assert goracs(*command, "seed=70", "logger.project=other").code == 0
    assert [run.project for run in runs] == ["goracs"] * 3 + ["other"]
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 4


LISTENING = """
import atexit, sys
from goracs.cli import main
heavy = ("torch", "transformers", "pytorch_lightning", "peft", "wandb", "numba", "ot", "huggingface_hub")
atexit.register(lambda: print("imported:", sorted(set(heavy) & set(sys.modules))))
main()
"""


@pytest.mark.parametrize(
    "words",
    [("-m", "selector=random,kcenter"), ("-m", "until=adapter,embed", "backbone.precision=auto")],
    ids=str,
)
def test_a_sweep_that_is_there_imports_no_framework(
    goracs: Command, tmp_path: Path, store_root: Path, words: tuple[str, ...]
) -> None:
    assert goracs(*words).code == 0
    places = [f"store.root={store_root}", f"hydra.sweep.dir={tmp_path / 'again'}"]
    ended = subprocess.run(
        [sys.executable, "-c", LISTENING, *words[:1], *TINY, *places, "adapter.rows=8", *words[1:]],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert "2 jobs: 2 skipped" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "imported: []"


def test_what_runs_is_said_before_hydra_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['goracs', 'budget=3', '--cfg', 'job']; from goracs import cli\n"
        "class Said:\n"
        "    def write(self, text): seen.append((text, 'hydra' in sys.modules))\n"
        "    def flush(self): pass\n"
        "seen, sys.stderr = [], Said()\n"
        "try: cli.main()\n"
        "finally: sys.stdout.write(f'{seen[0]}')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.endswith("('goracs: run budget=3 --cfg job', False)")
    assert "backbone:" in ended.stdout


def test_a_sweep_shows_a_line_a_job_and_its_terms_once_and_its_log_has_the_rest(goracs: Command) -> None:
    words = ("-m", "selector=random", "seed=80,81", "budget=8,999", "until=select")
    ended = goracs(*words)
    assert ended.text.count("GroupLens") == 1
    lines = [line for line in ended.text.splitlines() if line.startswith("job ")]
    assert [re.sub(r"done in \d+ s \(\d of \d stages cached\)", "done", line) for line in lines] == [
        f"job {n + 1}/4: budget={budget} seed={seed}: "
        + ("done" if budget == 8 else "failed: budget 999 is larger than the pool, which has 60 rows.")
        for n, (seed, budget) in enumerate([(80, 8), (81, 8), (80, 999), (81, 999)])
    ]
    assert "4 jobs: 2 done, 2 failed\n" in ended.text
    assert ended.text.count("\nfailed: ") == 2
    assert "  select " not in ended.text
    log = (ended.folder / "0" / "goracs.log").read_text()
    assert re.search(r"  select    \d", log)
    assert "error: budget 999 is larger" in (ended.folder / "2" / "goracs.log").read_text()
    assert "  prepare " in goracs(*words, "hydra.verbose=goracs").text


def test_a_single_run_ends_with_its_figures(goracs: Command) -> None:
    text = goracs("selector=random").text
    figure = re.search(r"^\| random +\| 8 +\| 0\.", text, re.MULTILINE)
    assert figure
    assert figure.start() < text.index("/job0\n")
    assert "Commands:" not in text
    assert "|" not in goracs("until=prepare").text
