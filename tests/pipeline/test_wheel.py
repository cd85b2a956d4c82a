"""The installed wheel: conf and the bundled data travel in it, and it runs in another folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.conftest import TINY

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(REPO)], check=True, capture_output=True)
    return next(folder.glob("goracs-*.whl"))


def test_the_wheel_holds_goracs_and_its_sweeper_with_conf_data_and_terms(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "goracs",
        "hydra_plugins",
    }
    for needed in (
        "conf/config.yaml",
        "bundled/ml-latest-small/ratings.csv",
        "bundled/ml-latest-small/README.txt",
    ):
        assert f"goracs/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_command_runs_shows_a_table_and_draws_a_search(wheel: Path, tmp_path: Path) -> None:
    """Far from the checkout, with the settings in it; `goracs table` and `trace` show what there is."""
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'plots'")
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    folder.mkdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
    ]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)

    def installed(*words: str) -> str:
        command, env = [str(site / "bin" / "goracs"), *words], {**os.environ, "PYTHONPATH": str(site)}
        ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        said = [f"goracs: run {' '.join(words)}"] if "=" in words[0] else []
        assert ended.stderr.splitlines() == said
        return ended.stdout

    tiny = [word for word in TINY if not word.startswith("evaluate.")]
    search = "selector=goracs_released"  # another has kernels to compile anew here, for a minute
    installed(*tiny, search, "adapter=init", "until=select", "hydra.run.dir=job")
    assert len(json.loads((folder / "job" / "coreset.json").read_text())) == 8
    assert re.search(r"^\| goracs_released +\| 8 +\| -?0\.\d+ +\|$", installed("table", "job"), re.MULTILINE)
    assert installed("table", "--help").startswith("usage: goracs table")
    installed("trace", "job")
    assert (folder / "job" / "trace.png").read_bytes().startswith(b"\x89PNG")
    where = subprocess.run(
        [sys.executable, "-c", "import goracs.config as c; print(c.conf_dir())"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(site / "goracs" / "conf")


def test_help_imports_no_framework_and_names_every_choice() -> None:
    code = (
        "import sys; sys.argv = ['goracs', '--help']; from goracs.cli import main; main();"
        "print(sorted({'torch', 'hydra', 'ot', 'polars', 'transformers'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip().splitlines()[-1] == "[]"
    for folder in (REPO / "conf").iterdir():
        if folder.is_dir() and folder.name != "hydra":
            assert f"{folder.name}=" in ended.stdout
