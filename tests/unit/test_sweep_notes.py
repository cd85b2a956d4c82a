"""What a sweep's folder says of its jobs, without running any."""

from __future__ import annotations

import io
import json
import math
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig

from goracs import cli, sweep_line
from goracs.commands import sweep as word
from goracs.jobs import folder_lock, plan, sweep
from goracs.jobs.plan import Plan, Planned
from goracs.types import InvalidInput

CODE = {"goracs": "1", "digest": "a"}


def planned(*keys: str, code: dict[str, str] = CODE) -> Plan:
    jobs = [Planned(["task=ctr", f"seed={key}"], key, str(number)) for number, key in enumerate(keys)]
    return Plan("goracs -m", code, ["seed"], jobs)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    for found in (planned("a", "b"), Plan("goracs", CODE, [], None)):
        plan.write(tmp_path, found)
        assert plan.read(tmp_path) == found
    assert plan.read(tmp_path / "elsewhere") is None


def test_what_a_plan_changes_is_told_by_the_words_that_differ() -> None:
    assert plan.changes(None, planned("a")) == []
    assert plan.changes(planned("a", "b"), planned("b", "a")) == []
    assert plan.changes(planned("a", "b"), planned("b", "c")) == [
        "adds 1 jobs: seed=c",
        "drops 1 jobs: seed=a",
    ]
    many = planned(*"abcdefgh")
    assert plan.changes(planned("a"), many) == [
        "adds 7 jobs: seed=b; seed=c; seed=d; seed=e; seed=f; and 2 more"
    ]
    (line,) = plan.changes(planned("a"), planned("a", code={"goracs": "2", "digest": "b"}))
    assert "goracs 1 (a) before, 2 (b) now" in line


def test_the_code_has_one_digest_that_a_changed_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan.code()
    assert plan.code() == before
    monkeypatch.setattr(
        plan, "file_digest", lambda file: str(file.stat().st_size + (file.name == "sweep.py"))
    )
    assert plan.code() != before


NOTE = {"job": 0, "key": "a", "status": "done", "folder": "0", "words": "", "message": "", "since": 0.0}


def noted(folder: Path, number: int, key: str, status: str) -> None:
    told = {"job": number, "key": key, "status": status, "folder": str(folder / str(number)), "since": 0.0}
    sweep.note(folder, {**told, "overrides": "", "words": "", "message": "", "seconds": 8.0})


def test_a_job_nobody_holds_was_interrupted_and_a_process_of_another_plan_says_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / sweep.NOTES).mkdir()
    plan.write(tmp_path, planned(*"abcd"))
    noted(tmp_path, 0, "a", "started")
    noted(tmp_path, 1, "b", "started")
    noted(tmp_path, 2, "other", "done")
    with sweep.at_work(tmp_path, 1):
        states = [job["status"] for job in sweep.states(tmp_path)]
    assert states == ["interrupted", "running", "waiting", "waiting"]
    assert sweep.number(tmp_path, (tmp_path / "3").resolve(), 0) == 3
    assert sweep.number(tmp_path, (tmp_path / "7").resolve(), 5) == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        pytest.param("[" * 5000, id="deep"),
        '{"status": "done"}',
        json.dumps({**NOTE, "job": "0"}),
        json.dumps({**NOTE, "status": "x"}),
    ],
)
def test_a_note_that_no_job_wrote_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / sweep.NOTES).mkdir()
    plan.write(tmp_path, planned("a"))
    (tmp_path / sweep.NOTES / "job0.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"job0\.json is no note of a job .* remove it"):
        sweep.states(tmp_path)


@pytest.mark.parametrize("name", ["\ud800", "a\0"])
def test_a_plan_whose_folder_has_no_name_is_refused(tmp_path: Path, name: str) -> None:
    plan.write(tmp_path, planned("a"))
    file = tmp_path / plan.PLAN
    told = json.loads(file.read_text())
    told["jobs"][0]["folder"] = name
    file.write_text(json.dumps(told))
    with pytest.raises(InvalidInput, match="cannot be read as a plan"):
        sweep.states(tmp_path)


def test_what_a_terminal_cannot_show_is_shown_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan.write(tmp_path, replace(planned("a"), command="goracs caf\u00e9"))
    monkeypatch.setattr("sys.argv", ["goracs", "sweep", "status", str(tmp_path)])
    terminal = io.TextIOWrapper(said := io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    with suppress(SystemExit):
        cli.main()
    terminal.flush()
    assert said.getvalue().startswith(rb"goracs caf\xe9")


def test_a_job_that_will_be_refused_has_a_key_of_its_own_in_the_plan() -> None:
    odd = [{"budget": math.nan}, {"grid": {1: 2, "a": 3}}, {"seed": "${nowhere}"}]
    assert len({sweep_line._key(DictConfig(one)) for one in odd}) == len(odd)


def test_a_job_waits_for_the_process_that_an_earlier_command_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "LOOKED", 0)
    (tmp_path / sweep.NOTES).mkdir()
    order = list[str]()

    def later() -> None:
        with sweep.at_work(tmp_path, 0):
            order.append("second")

    second = threading.Thread(target=later)
    with sweep.at_work(tmp_path, 0):
        second.start()
        second.join(0.3)
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_a_new_command_forgets_what_an_earlier_one_noted_and_keeps_who_is_at_work(tmp_path: Path) -> None:
    (tmp_path / sweep.NOTES).mkdir()
    plan.write(tmp_path, planned("a", "b"))
    noted(tmp_path, 0, "a", "failed")
    assert sweep.first_to_say(tmp_path, "terms")
    with sweep.at_work(tmp_path, 1):
        sweep.start(tmp_path)
        folder_lock.release()
        assert sweep.is_held(tmp_path / sweep.NOTES / "job1.lock")
    assert [job["status"] for job in sweep.states(tmp_path)] == [
        "failed",
        "waiting",
    ]  # its jobs are not known yet
    sweep.begin(tmp_path, planned("a", "b"))
    assert [job["status"] for job in sweep.states(tmp_path)] == ["waiting", "waiting"]
    assert sweep.first_to_say(tmp_path, "terms")


@pytest.mark.parametrize(
    ("states", "at_work", "left"),
    [
        ([("done", 10), ("done", 30), ("done", 20)], False, 0),
        ([("done", 10), ("waiting", None), ("failed", None)], False, 20),
        ([("done", 10), ("waiting", None), ("failed", None)], True, 10),
        ([("done", 10), ("running", 4), ("running", 99), ("waiting", None)], True, (6 + 0 + 10) / 2),
        ([("waiting", None)], True, None),
    ],
)
def test_the_time_left_is_what_finished_jobs_took(
    states: list[tuple[str, float | None]], at_work: bool, left: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word, "time", lambda: 1000.0)
    jobs = [
        {"status": status, "seconds": took if status == "done" else None, "since": 1000.0 - (took or 0)}
        for status, took in states
    ]
    assert word._left(jobs, at_work) == left


@pytest.mark.parametrize(
    "words", [[], ["status"], ["state", "x"], ["status", "x", "y"], ["status", "x", "output=png"]]
)
def test_other_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert word.run(words) == 1
    assert "error: goracs sweep takes: status FOLDER" in capsys.readouterr().err


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has no plan\.json, which every sweep writes"):
        sweep.planned(tmp_path)
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
