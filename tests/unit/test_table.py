"""The commands that print the table and draw the picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from goracs.commands import table
from tests.unit.test_results import result


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
    assert "| goracs | 64 | 0.810 ± 0.014 (2) |" in printed
    assert "Missing seeds of random, budget 64: 1." in printed


def test_table_refuses_an_empty_folder_in_one_paragraph(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "goracs.cli", "table", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: no result.json below")
    assert done.stderr.count("\n") == 1


def test_plots_keeps_a_picture(sweep: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")
    out = tmp_path / "picture.png"
    assert table.run([str(sweep), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


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
