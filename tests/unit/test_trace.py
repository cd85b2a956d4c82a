"""The command that draws the search of one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goracs.commands import trace as command
from goracs.report import trace
from goracs.types import GoracsError
from tests.unit.test_results import result, save

STEPS = [
    {"phase": "start", "seconds": 0.0, "objective": 0.5, "bound": None},
    {"phase": "bound", "seconds": 0.1, "objective": 0.5, "bound": 0.3},
    {"phase": "alternate", "seconds": 0.2, "objective": 0.45, "bound": 0.3},
    {"phase": "exchange", "seconds": 0.3, "objective": 0.4, "bound": 0.4},
]
ROWS = [1, 4, 7]
REPORT = {"lowest_cost": 0.1}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the features of one embed stage: a plane in five dimensions."""
    rng = np.random.default_rng(0)
    stored = tmp_path / "store" / "features" / ("e" * 24)
    stored.mkdir(parents=True)
    plane = np.eye(5)[:2] * [[3.0], [1.0]]
    for side, count in (("pool", 30), ("target", 6)):
        points = rng.normal(size=(count, 2)) @ plane
        np.save(stored / f"{side}.npy", (points + 7).astype(np.float32))
    return tmp_path / "store"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job folder as a run leaves it, without what the picture does not read."""
    return made(tmp_path / "job", STEPS, REPORT)


def made(folder: Path, steps: list[dict[str, Any]], report: dict[str, Any]) -> Path:
    found = result(
        coreset__report=report, coreset__indices_file="indices.json", digests={"features": "e" * 64}
    )
    save(folder, found)
    (folder / "trace.json").write_text(json.dumps(steps))
    (folder / "indices.json").write_text(json.dumps(ROWS))
    return folder


def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")


def test_trace_draws_search_and_places(job: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_matplotlib()
    assert command.run([str(job / "result.json"), "--store", str(store)]) == 0
    assert (job / "trace.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == ""


def test_trace_says_that_it_draws_the_search_alone(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_matplotlib()
    out = tmp_path / "picture.png"
    assert command.run([str(job), "--store", str(tmp_path / "none"), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "the search alone is drawn" in capsys.readouterr().err


def test_each_class_is_a_line_with_its_own_gap(tmp_path: Path) -> None:
    needs_matplotlib()
    from matplotlib.figure import Figure

    values, gaps = Figure().subplots(2)
    steps = [{"class": label, **step} for label in (0, 1) for step in STEPS]
    report = {"classes": {"0": {"lowest_cost": 0.1}, "1": {"lowest_cost": -0.1}}}
    trace.draw_search(values, gaps, steps, report)
    assert [line.get_label() for line in gaps.get_lines()] == ["gap, class 0", "gap, class 1"]
    first, second = ([float(y) for y in line.get_ydata()] for line in gaps.get_lines())
    assert first == pytest.approx([0.2 / 0.4, 0.15 / 0.35, 0.0])
    assert second == pytest.approx([0.2 / 0.6, 0.15 / 0.55, 0.0])


def test_a_plane_is_shown_without_distortion(job: Path, store: Path) -> None:
    """Points that lie in a plane keep their distances, and the coreset's are those of its pool rows."""
    places = trace.projected(json.loads((job / "result.json").read_text()), job, store)
    assert places is not None
    pool = np.load(next(store.rglob("pool.npy"))).astype(np.float64)
    np.testing.assert_allclose(places["coreset"], places["pool"][ROWS], atol=1e-5)
    shown = np.linalg.norm(places["pool"] - places["pool"][0], axis=1)
    np.testing.assert_allclose(shown, np.linalg.norm(pool - pool[0], axis=1), atol=1e-5)
    assert places["validation"].shape == (6, 2)


def test_a_missing_trace_is_told_in_one_paragraph(job: Path) -> None:
    (job / "trace.json").unlink()
    command = [sys.executable, "-m", "goracs.cli", "trace", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {job / 'trace.json'} is missing: run the job again")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda job: (job / "trace.json").write_text("[]"), "trace.json has no step"),
        (lambda job: (job / "trace.json").write_text("["), "trace.json cannot be read as JSON"),
        (lambda job: save(job, result(coreset=None)), "has no coreset: the run stopped before select"),
        (lambda job: (job / "result.json").rename(job / "other.json"), "no result.json below"),
        (lambda job: job.rename(job.parent / "moved"), "is not a folder"),
    ],
)
def test_bad_input_is_told_in_one_paragraph(
    job: Path, spoil: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(job)
    assert command.run([str(job)]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_folder_above_the_job_is_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run([str(job.parent)]) == 1
    assert "is not the folder of one job" in capsys.readouterr().err


def test_an_ending_that_cannot_be_written_is_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_matplotlib()
    assert command.run([str(job), "--out", str(job / "picture.nothing")]) == 1
    assert "picture.nothing" in capsys.readouterr().err


def test_rows_that_are_gone_are_told_in_one_paragraph(
    job: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "indices.json").unlink()
    assert command.run([str(job), "--store", str(store)]) == 1
    error = capsys.readouterr().err
    assert "indices.json" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x20\x00{'descr': '<f4', (" + b" " * 16, b"not an array"],
)
def test_features_that_are_damaged_are_told(job: Path, store: Path, content: bytes) -> None:
    place = store / "features" / ("e" * 24)
    (place / "target.npy").write_bytes(content)
    with pytest.raises(GoracsError, match=r"target\.npy is damaged .*: delete its folder"):
        trace.projected(trace.read_job(job), job, store)


def test_features_and_rows_that_do_not_fit_are_told(job: Path, store: Path) -> None:
    place, found = store / "features" / ("e" * 24), trace.read_job(job)
    (job / "indices.json").write_text("[1, 30]")
    with pytest.raises(GoracsError, match=r"indices\.json names rows beyond the pool's 30"):
        trace.projected(found, job, store)
    for rows, said in ((np.full((6, 5), np.nan), "no matrix of finite numbers"), (np.ones((6, 4)), "widths")):
        np.save(place / "target.npy", rows)
        with pytest.raises(GoracsError, match=said):
            trace.projected(found, job, store)
