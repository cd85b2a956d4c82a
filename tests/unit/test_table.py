"""The commands that print the table and draw the picture."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import study
from goracs.commands import table
from goracs.report import plots
from goracs.report.table import aggregate
from goracs.store import Store
from tests.unit.test_assess_stage import kept
from tests.unit.test_results import lines_of, result, save

REPO = Path(__file__).parents[2]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two selectors, two seeds of one."""
    for selector, seed in (("goracs", 0), ("goracs", 1), ("random", 0)):
        folder = tmp_path / "sweep" / f"{selector}{seed}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result(selector, seed, auc=0.8 + seed / 50)))
    return tmp_path / "sweep"


def test_table_equals_one_row_per_group(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table.run([str(sweep)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\| goracs +\| 64 +\| 2 +\| 0.810 ± 0.014 \[0.760, 0.860\] \|", printed)
    assert "Missing seeds of random, budget 64: 1." in printed


def test_table_refuses_an_empty_folder_in_one_paragraph(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "goracs.cli", "table", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: no result.json below")
    assert done.stderr.count("\n") == 1


def test_plots_keeps_a_picture(sweep: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")
    out = tmp_path / "picture.png"
    assert table.run([str(sweep), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_plots_show_the_interval_over_users_of_several_seeds_too() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")
    from matplotlib.figure import Figure

    (row,) = aggregate([result(seed=0, auc=0.75), result(seed=1, auc=0.875)]).groups
    axes: Any = Figure().subplots()
    plots.draw_cell(axes, 0, row.cells["auc"])
    interval, bar, points = ([float(x) for x in line.get_xdata()] for line in axes.get_lines())
    assert interval == pytest.approx([0.8125 - 0.05, 0.8125 + 0.05])
    assert bar == [0.8125, 0.8125]
    assert points == [0.75, 0.875]


def test_plots_refuses_an_ending_it_cannot_write(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")
    assert table.run([str(sweep), "--out", str(tmp_path / "picture.nothing")]) == 1
    assert "picture.nothing" in capsys.readouterr().err


def test_plots_refuses_to_go_on_without_matplotlib(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert table.run([str(sweep), "--out", str(tmp_path / "picture.png")]) == 1
    assert "pip install 'goracs[plots]'" in capsys.readouterr().err


def test_plots_refuses_runs_without_the_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text(json.dumps(result(metrics=None)))
    assert table.run([str(tmp_path), "--out", str(tmp_path / "picture.png")]) == 1
    assert "no run has a tuned AUC or NDCG@10" in capsys.readouterr().err


def tables_of(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text, without the line below their heads."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[line for line in lines_of(part) if set(line[0]) != {"-"}] for part in found]


def test_the_tables_of_the_readme_equal_what_their_results_give(capsys: pytest.CaptureFixture[str]) -> None:
    told = tables_of((REPO / "README.md").read_text(encoding="utf-8"))
    assert table.run([str(REPO / "docs" / "results" / "quickstart")]) == 0
    (quickstart,) = tables_of(capsys.readouterr().out)
    first, *_ = tables_of((REPO / "docs" / "study" / "movielens" / "table.md").read_text(encoding="utf-8"))
    assert told == [quickstart, first]


def test_the_table_of_the_study_equals_what_its_results_give() -> None:
    folder = REPO / "docs" / "study" / "movielens"
    assert study.table(folder) == (folder / "table.md").read_text(encoding="utf-8")


def test_table_refuses_a_store_that_cannot_be_written_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures worked out for the table are kept there."""
    store = Store(tmp_path / "store")
    digests = {name: kept(store, name) for name in ("features", "select")}
    run = result(digests={**digests, "score": kept(store, "score", pool_gradient_norm=np.ones(2))})
    save(tmp_path / "job", run)
    (tmp_path / "store" / "assess").write_text("no folder")
    assert table.run([str(tmp_path / "job"), "--store", str(store.root)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "assess" in error
    assert error.count("\n") == 1
