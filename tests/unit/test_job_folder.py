"""A job folder is its last run's alone: cleared of what an earlier one recorded, result.json put in last."""

from __future__ import annotations

from pathlib import Path

import pytest

from goracs.jobs import job_folder
from goracs.types import GoracsError, InvalidInput

FILES = ("adapter/adapter_model.safetensors", "coreset.json", "result.json", "trace.json", "zebra.json")


def fill(folder: Path, files: tuple[str, ...] = FILES) -> None:
    with job_folder.filling(folder) as partial:
        for name in files:
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_text("{}")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_claimed_folder_holds_nothing_of_the_run_before_and_all_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    job_folder.claim(tmp_path, {})
    fill(tmp_path)
    (tmp_path / "indices.json").write_text("mine too: no run recorded it")
    job_folder.claim(tmp_path, {})
    assert names(tmp_path) == {"notes.txt", "indices.json", "outcome.json"}
    fill(tmp_path, ("result.json",))
    assert names(tmp_path) == {"notes.txt", "indices.json", "outcome.json", "result.json"}


@pytest.mark.parametrize("survived", range(len(FILES) + 1))
def test_a_run_killed_while_it_fills_its_folder_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    rename, done = Path.rename, list[Path]()

    def dying(self: Path, target: Path) -> Path:
        if len(done) == survived:
            raise KeyboardInterrupt
        done.append(target)
        return rename(self, target)

    job_folder.claim(tmp_path, {})
    monkeypatch.setattr(Path, "rename", dying)
    try:
        fill(tmp_path)
    except KeyboardInterrupt:
        assert "result.json" not in names(tmp_path)
    else:
        assert survived == len(FILES)
        assert names(tmp_path) == {*(name.split("/")[0] for name in FILES), "outcome.json"}
    job_folder.claim(tmp_path, {})
    assert names(tmp_path) == {"outcome.json"}


def test_a_file_of_somebody_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "coreset.json").write_text("mine")
    job_folder.claim(tmp_path, {})
    with pytest.raises(GoracsError, match=r"has coreset\.json, which no run of goracs recorded"):
        fill(tmp_path)
    assert (tmp_path / "coreset.json").read_text() == "mine"
    assert names(tmp_path) == {"coreset.json", "outcome.json"}


@pytest.mark.parametrize("text", ["no", "[]", pytest.param("[" * 5000, id="deep"), '{"status": "done"}'])
def test_an_outcome_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "outcome.json").write_text(text)
    with pytest.raises(GoracsError, match="is no record of this version of goracs"):
        job_folder.claim(tmp_path, {})
    assert (tmp_path / "outcome.json").read_text() == text


def test_a_run_that_reads_what_it_would_replace_is_refused(tmp_path: Path) -> None:
    job_folder.claim(tmp_path, {})
    fill(tmp_path)
    for read in ("adapter", "coreset.json", "adapter/../adapter/adapter_model.safetensors"):
        with pytest.raises(InvalidInput, match="it would be replaced"):
            job_folder.claim(tmp_path, {"dataset": {"parts": [str(tmp_path / read)]}})
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    job_folder.claim(
        tmp_path, {"path": str(tmp_path / "elsewhere"), "dataset": {"path": "bundled", "size": 3}}
    )


def test_a_record_never_removes_what_lies_outside_its_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "job"
    outside.mkdir()
    folder.mkdir()
    (folder / "outcome.json").write_text(
        '{"status": "done", "left": ["../outside", ".", "", "..", 3, "a\\u0000", "\\ud800"]}'
    )
    job_folder.claim(folder, {})
    assert outside.is_dir()
    assert names(folder) == {"outcome.json"}


def test_a_new_run_forgets_the_steps_of_one_that_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "live.jsonl").write_text("{}")
    job_folder.claim(tmp_path, {})
    assert names(tmp_path) == {"outcome.json"}
