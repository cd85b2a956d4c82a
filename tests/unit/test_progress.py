"""How far a job is, in a log: a line at the start, few between, one at the end, and nothing redrawn."""

from __future__ import annotations

import os
import sys

import pytest
from tqdm import tqdm

from goracs import progress


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_job_is_a_line_at_the_start_one_each_half_minute_and_one_at_the_end(
    clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress.bar("score pool", "batches", 100) as shown:
        for _ in range(100):
            clock.now += 1.0
            shown.update()
    assert capfd.readouterr().err.splitlines() == [
        "  score pool: 0 of 100 batches",
        "  score pool: 30 of 100 batches (30%), about a minute left",
        "  score pool: 60 of 100 batches (60%), less than a minute left",
        "  score pool: 90 of 100 batches (90%), less than a minute left",
        "  score pool: 100 batches, done in 100 s",
    ]


def test_a_job_whose_length_nobody_knows_tells_what_it_has_done(
    clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress.bar("select", "steps") as shown:
        clock.now = 31.0
        shown.set_postfix_str("exchange: objective 0.5", refresh=False)
        shown.update(3)
    assert capfd.readouterr().err.splitlines() == [
        "  select: begins",
        "  select: 3 steps, exchange: objective 0.5",
        "  select: 3 steps, exchange: objective 0.5, done in 31 s",
    ]


def test_no_end_is_told_of_what_broke_off(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), progress.bar("lab", "coresets", 2):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == "  lab: 0 of 2 coresets\n"


def test_a_bar_that_is_not_to_be_shown_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.bar("lab", "coresets", 2, shown=False) as bar:
        bar.update()
    assert capfd.readouterr() == ("", "")


def test_what_a_library_counts_is_told_in_lines_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress.over(["a", "b"], desc="Converting tensors...")) == ["a", "b"]
    said = capfd.readouterr().err.splitlines()
    assert said == ["  Converting tensors: 0 of 2 items", "  Converting tensors: 2 items, done in 0 s"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_terminal_has_bars_and_one_redirected_stream_ends_that(
    monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "")  # so that it is put back as it was
    monkeypatch.delenv("TQDM_DISABLE")
    for one in (sys.stdout, sys.stderr):
        monkeypatch.setattr(one, "isatty", lambda: True, raising=False)
    with progress.bar("lab", "coresets", 2) as bar:
        assert isinstance(bar, tqdm)
    progress.hush_others()
    assert "TQDM_DISABLE" not in os.environ
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: False, raising=False)
    assert isinstance(progress.bar("lab", "coresets", 2), progress.Lines)
    progress.hush_others()
    assert os.environ["TQDM_DISABLE"] == "1"
