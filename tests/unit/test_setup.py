"""The set-up: it says what it installs while it does, on the error stream alone; it stops where pip fails."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "script"
PIP = """\
#!/usr/bin/env bash
echo "pip got: $*" >>"$(dirname "$0")/../../asked"
echo "Collecting torch"
echo "  Downloading torch-2.13.0.whl (190 MB)"
echo "Requirement already satisfied: numpy"
[ -t 1 ] && echo "a bar"
echo "Successfully installed torch"
exit ${FAILS:-0}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with its environment's Python replaced by one that only says what pip would."""
    shutil.copytree(SCRIPT, tmp_path / "script")
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP)
    python.chmod(0o755)
    return tmp_path


def test_without_a_terminal_every_step_of_the_set_up_has_its_line(checkout: Path) -> None:
    command = [str(checkout / "script" / "bootstrap")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert lines.count("goracs:   Collecting torch") == 2
    assert lines.count("goracs:     Downloading torch-2.13.0.whl (190 MB)") == 2
    assert "already satisfied" not in ended.stderr
    assert "--quiet" not in (checkout / "asked").read_text()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == ("", "")


def test_on_a_terminal_the_set_up_shows_pips_own_progress(checkout: Path) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [str(checkout / "script" / "bootstrap")], stdout=subprocess.DEVNULL, stderr=theirs, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert shown.count("a bar") == 2
    assert "--progress-bar" not in (checkout / "asked").read_text()


def test_a_failed_install_stops_the_set_up(checkout: Path) -> None:
    command = [str(checkout / "script" / "bootstrap")]
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "FAILS": "1"}, check=False
    )
    assert ended.returncode != 0
    assert "goracs: ready" not in ended.stderr
    assert not (checkout / ".venv" / "bootstrapped").exists()
