"""The commands of README and docs that take folders, run as they stand there on a sweep's folder."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from goracs import cli, config
from tests.pipeline.conftest import Command
from tests.unit.test_commands_of_docs import FOUND, ROOT

SHAPES = {  # word -> what its output looks like
    "--help": r"(?s)^goracs chooses .*selector=",
    "methods": r"(?m)^(\| )?goracs",
    "table": r"(?m)^\| selector.*\n\| -.*\n\| \w+ .* \d",
    "report": r"index\.html|report\.html",
    "trace": "",
    "verify": r"found anew: \d+, of which \d+ as stated, \d+ open, 0 DIFFERS",
    "recommend": r"(?m)^ *1\. .+\n *2\. ",
    "export": "",
    "sweep": r"2 done",
    "store": r"(?m)^\| prepare \| \d",
    "store prune": r"(?m)(would remove|removed|nothing)",
}
FILES = {"report": "FOLDER/report/report.html", "trace": "JOB_FOLDER/trace.png", "export": "OUT/README.md"}


BARE = ("--help", "methods", "store")  # what goes without a folder; others stand alone within a sentence
ELSEWHERE = ("mine", "docs/study")  # a method of one's own, and a report of a minute


def said_of(command: str) -> str:
    """The word of a command that is run here, else ""."""
    first, *rest = command.split()[1:] if command.startswith("goracs ") else [""]
    word = "store prune" if rest[:1] == ["prune"] else first
    told = word in SHAPES and (word in BARE or re.search(r"FOLDER|docs/", command))
    return word if told and not any(name in command for name in ELSEWHERE) else ""


def spelt(command: str) -> list[str]:
    """Its words, with folders that are there."""
    words = shlex.split(command.replace("...", "").replace("NAME", "goracs"))
    if words[1] == "export":
        words[3] = "OUT"
    return words


@pytest.fixture
def here(goracs: Command, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: its own store, a sweep as FOLDER, a job of it as JOB_FOLDER."""
    swept, place = goracs("-m", "selector=goracs,random", "dataset.core=50"), tmp_path / "here"
    assert swept.code == 0, swept.text
    shutil.copytree(store_root, place / "multirun" / "store", symlinks=True)
    shutil.copytree(swept.folder, place / "FOLDER")
    shutil.copytree(swept.folder / "0", place / "JOB_FOLDER")
    (place / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(place)
    monkeypatch.setattr(config, "usual_store", lambda: Path("multirun/store"))
    return place


def test_what_the_documents_say_of_folders_goes_on_a_sweep(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tried = set()
    for command, word in ((one, said_of(one)) for one in FOUND):
        if not word:
            continue
        monkeypatch.setattr(sys, "argv", spelt(command))
        capfd.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        assert not code, (command, said)
        assert re.search(SHAPES[word], said.out), (command, said.out)
        if word in FILES:
            assert (here / FILES[word]).stat().st_size
        tried.add(word)
    assert tried == {*SHAPES}
