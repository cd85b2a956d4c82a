"""The command itself: its version, and what becomes of it where nobody reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from goracs import __version__, cli


def test_the_version_is_our_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["goracs", "--version"])
    cli.main()
    assert capsys.readouterr().out == f"goracs {__version__}\n"


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [(["--help"], ""), (["--help"], "1"), (["sweep", "--help"], ""), (["--cfg", "job"], "")],
)
def test_a_reader_that_has_ended_is_no_error(tmp_path: Path, words: list[str], unbuffered: str) -> None:

    reads, writes = os.pipe()
    os.close(reads)
    code = "from goracs.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert ended.returncode == cli.UNREAD
    assert b"rror" not in ended.stderr
