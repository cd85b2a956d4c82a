"""The word `reproduce`: a preset's whole grid, its report, what was published beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goracs.commands import reproduce, run
from goracs.config import conf_dir
from goracs.report.published import FIGURES, published
from goracs.report.table import TITLES

SMALL = (
    *("backbone=tiny", "encoder=tiny", "adapter=init", "dataset.size=30", "split.valid=12", "split.test=12"),
    *("evaluate.draws=20", "evaluate.negatives=4", "evaluate.max_new_tokens=4", "budget=8", "task.lam=0.5"),
    *("selector=random,el2n", "runtime.progress=false", "runtime.threads=1", "runtime.accelerator=cpu"),
)


def test_a_preset_is_run_and_reported_beside_what_was_published(
    tmp_path: Path, store_root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a place, with commas"
    words = ["paper/games_ctr_cpu", *SMALL, f"store.root={store_root}", f"out={folder}"]
    assert reproduce.run(words) == 0
    assert "2 jobs: " in capfd.readouterr().out
    page = (folder / "report" / "report.md").read_text()
    assert "# goracs: paper/games_ctr_cpu" in page
    assert "0.45 to 0.47 over the data sets" in page
    assert "the columns are not comparable" in page
    assert (folder / "report" / "report.html").exists()


def test_published_figures_are_of_the_papers_own_runs_alone() -> None:
    assert {one.method for one in published("paper/games_seqrec")} == {"random", "dealrec", "grand", "el2n"}
    assert published("paper/food_ctr") == published("paper/games_ctr_cpu") != []
    assert published("paper/food_seqrec") == published("ablation/lambda") == []
    assert all((conf_dir() / "selector" / f"{one.method}.yaml").exists() for one in FIGURES)
    assert {one.metric for one in FIGURES} <= TITLES.keys()


def test_every_preset_is_named_and_others_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert reproduce.run([]) == 0
    assert "  ablation/lambda_cpu\n" in capfd.readouterr().out
    assert reproduce.run(["paper/nothing"]) == 1
    assert "there is no preset 'paper/nothing' to reproduce. There are ablation/" in capfd.readouterr().err


def test_an_interrupted_grid_has_no_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce.run(["paper/games_ctr_cpu", f"out={tmp_path / 'none'}"])
    assert not (tmp_path / "none").exists()
