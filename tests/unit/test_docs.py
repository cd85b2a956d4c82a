"""The documentation: a site that builds, in which every page is found and every public name is told of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import goracs

ROOT = Path(goracs.__file__).parents[1]


def test_the_site_builds_without_a_warning_and_tells_of_every_public_name(tmp_path: Path) -> None:
    """A broken link, a page outside the navigation, a name that is not there: each is a warning."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(words, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    api = (tmp_path / "api" / "index.html").read_text()
    for name in set(goracs.__all__) - {"__version__"}:
        assert f'id="goracs.{name}"' in api, name
    assert (tmp_path / "contributing" / "index.html").read_text().count("<h2") >= 5
