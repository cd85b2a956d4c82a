"""The measurement of large logs, on a small one."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from experiments import speed_log


def test_the_log_has_the_asked_events_and_is_prepared_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_log, "_measured", speed_log.prepare)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    told = speed_log.table([40_000], None, tmp_path).splitlines()
    assert told[0].startswith("| events | seconds | CPU s | peak GB")
    assert told[2].startswith("| 40,000 | ")
    log = pl.read_parquet(tmp_path / "40000" / "log.parquet")
    assert len(log) == 40_000
    assert log["user"].is_sorted()
    train = pl.scan_parquet(tmp_path / "40000" / "prepared" / "train.parquet")
    assert train.select(pl.len()).collect().item() > 20_000
