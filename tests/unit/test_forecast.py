"""A job tells once how long it takes, from the batches it has timed."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from goracs.llm import forecast
from goracs.llm.batch import Texts
from goracs.llm.forecast import Forecast
from goracs.llm.jobs import Batches, Job
from goracs.llm.schedule import Plan
from tests.conftest import RUNTIME

JOB = Job("score pool", "float32", 40, RUNTIME, "dataset.size")


def told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: float, work: list[int]
) -> list[str]:
    """What is said of a job whose every unit of work takes so many seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(forecast, "time", SimpleNamespace(monotonic=lambda: clock.now))
    caplog.set_level(logging.INFO, "goracs")
    caplog.clear()
    callback = Forecast("score pool", "dataset.size", 1200, 34567, np.array(work))
    callback.on_predict_start(None, None)
    for place, cost in enumerate(work):
        clock.now += cost * seconds
        callback.on_predict_batch_end(None, None, None, None, place)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("seconds", "work", "said"),
    [
        (0.5, [2, 2, 4], ["less than a minute"]),
        (1.0, [4, 4, 32], ["less than a minute; less with a smaller dataset.size"]),
        (1.0, [10, 10, 50], ["about a minute; less with a smaller dataset.size"]),
        (60.0, [10, 10, 20], ["about 40 minutes; less with a smaller dataset.size"]),
        (3600.0, [1, 1, 2, 1], ["about 5.0 hours; less with a smaller dataset.size"]),
        (0.125, [4, 4, 4, 20], ["less than a minute"]),
        (0.01, [2, 2, 4], []),
        (60.0, [10], []),
        (0.5, [1, 1], []),
    ],
    ids=[
        "short",
        "a hint",
        "a minute",
        "minutes",
        "hours",
        "measured late",
        "over at once",
        "one",
        "at the end",
    ],
)
def test_a_forecast_is_told_once_from_the_work_that_was_timed(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    work: list[int],
    said: list[str],
) -> None:
    wanted = [f"  score pool: 1,200 examples, 34,567 tokens, {time}" for time in said]
    assert told(monkeypatch, caplog, seconds, work) == wanted


def test_a_job_on_batches_counts_what_it_reads_and_what_padding_costs() -> None:
    texts = Texts.of([(1,) * 5, (1,) * 3, (1,) * 9], [(1,), (), ()], [-1] * 3, pad_id=0)
    found = Batches(texts, [np.array([2]), np.array([0, 1])]).forecast(JOB)
    assert found.job == "score pool: 3 examples, 18 tokens"
    assert found.work.tolist() == [9, 12]


def test_a_training_counts_every_time_it_reads_an_example() -> None:
    found = Plan((np.array([0, 1]), np.array([1, 0])), (7, 14)).forecast(JOB)
    assert found.job == "score pool: 4 examples, 14 tokens"
    assert found.work.tolist() == [7, 7]
