"""The promise of marks and intervals, on a few simulated studies; and that a broken one would be seen."""

from __future__ import annotations

import pytest

from experiments import calibration
from goracs.report import comparison


def test_a_best_among_equals_is_rare_and_intervals_have_the_truth() -> None:
    marked, covered = calibration.shares((2, 5, 1.0, 5.0, 5.0), 200, 0)
    assert marked <= 0.09  # of 200: .05, and three standard errors
    assert 0.9 <= covered <= 0.995


def test_marks_without_a_test_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_sure", lambda p: p is not None and p <= 0.5)
    assert calibration.shares((2, 5, 1.0, 5.0, 5.0), 50, 0)[0] > 0.2
