"""Every command in README and docs: it parses, and the configuration that it asks for is there.

What they do is tested elsewhere: the words by tests of their own, presets in small (`tests/pipeline`).
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from hydra.errors import HydraException

import goracs
from goracs import cli, config
from goracs.types import GoracsError

ROOT = Path(goracs.__file__).parents[1]
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "multirun/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
START = r"(?:goracs |python -m |torchrun |script/)"
INDENTED = re.compile(rf"^ {{4}}({START}(?:.*\\\n)*.*)", re.M)
INLINE = re.compile(rf"`({START}[^`]*)`")
OVERRIDDEN = ("data", "plan", "lab")  # words behind which a configuration stands
OUTPUTS = {"output=text", "output=json", "output=card.png"}  # of data
NOTHING_THERE = "(?:: a finished run| has no plan.json| is not the folder of one job)"  # in an empty folder
STANDS_FOR = {"NAME": "goracs", "mine": "random", "...": ""}  # what a reader puts in


def commands(text: str) -> list[str]:
    """What stands as a command, on its own or within a sentence, without its comment."""
    found = [*INDENTED.findall(text), *INLINE.findall(text)]
    lines = (re.sub(r"\s+#.*", "", one.replace("\\\n", " ")) for one in found)
    return [" ".join(line.split()).replace("$(which goracs)", "goracs") for line in lines]


FOUND = sorted({one for file in TEXTS for one in commands(file.read_text(encoding="utf-8"))})


def test_commands_are_found() -> None:
    assert len(FOUND) > 50
    assert "goracs selector=kcenter budget=32 finetune.lr=1e-4" in FOUND
    assert "script/test" in FOUND


@pytest.mark.parametrize("command", FOUND)
def test_a_command_is_one(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    program, *rest = shlex.split(command)
    if program.startswith("script/"):
        assert (ROOT / program).exists()
    elif program == "python":
        assert importlib.util.find_spec(rest[1]) is not None
    elif program == "torchrun":
        parses(rest[rest.index("goracs") + 1 :])
    else:
        parses(rest)


MISSPELT = (
    "recommend JOB_FOLDER histroy=x",
    "recommend JOB_FOLDER history=Heat top=ten",
    "sweep stat FOLDER",
    "sweep status FOLDER output=jsn",
    "sweep statsu",
    "store prun FOLDER yes=true",
    "store prune FOLDER yse=true",
    "store prune FOLDER yes=treu",
    "store lits",
    "export JOB_FOLDER FOLDER merged=yes",
    "table FOLDER --stroe=x",
    "table docs/results/quikstart",
    "report FOLDER ot=x",
    "trace JOB_FOLDER out=x.png",
    "verify JOB_FOLDER yes=true",
    "methods goarcs",
    "methods output=jsn",
    "reproduce paper/gmes",
    "data dataset=movielens_small output=jsn",
    "plan budgte=8",
    "lab lab.penaltis=[0.03]",
)


@pytest.mark.parametrize("words", MISSPELT)
def test_a_misspelt_command_is_seen(words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, GoracsError, HydraException, SystemExit)):
        parses(shlex.split(words))


def parses(words: list[str]) -> None:
    """A configuration is composed; any other word finds fault with the folders alone, which are empty."""
    word, rest = (words[0], words[1:]) if words[0] in cli.commands() else ("run", words)
    if word in ("run", *OVERRIDDEN):
        lab = ["experiment=lab"] if word == "lab" else []
        composes([] if words[0] == "--help" else [*lab, *rest])
        assert {one for one in rest if one.startswith("output=")} <= OUTPUTS
    elif word == "reproduce":
        assert (config.conf_dir() / "experiment" / f"{rest[0]}.yaml").is_file()
    else:
        answers(word, rest)


def answers(word: str, rest: list[str]) -> None:
    """Where no folder is named the word ends well, or is named alone in a sentence."""
    run = importlib.import_module(f"goracs.commands.{word}")
    places = [one for one in rest if "=" not in one and ("/" in one or one.isupper() or one.endswith("..."))]
    assert all((ROOT / place).exists() for place in places if place.islower())
    for place in (*places, "multirun/store"):
        Path(place).mkdir(parents=True)
    if word == "methods" or (word == "store" and not rest):
        assert run.run([*map(filled, rest)]) == 0
    elif places:
        with redirect_stderr(StringIO()) as told:
            assert run.run(rest) == 1
        assert re.search(rf"^error: (?:no result.json below )?{places[0]}{NOTHING_THERE}", told.getvalue())
    else:
        assert f"goracs {shlex.join([word, *rest])}" in str(run.__doc__)


def composes(words: list[str]) -> None:
    """The jobs that a command asks for, of a sweep the first."""
    if any(word.startswith("--config-dir") for word in words):
        return
    given = [word for word in map(filled, words) if word]
    assert config.composed(config.jobs(given)[0]).selector


def filled(word: str) -> str:
    """A word with what a reader puts in for what stands for it; "" where it is none of the configuration."""
    name, equals, value = word.rpartition("=")
    if value in STANDS_FOR:
        return f"{name}{equals}{STANDS_FOR[value]}" if STANDS_FOR[value] else ""
    return "" if name == "output" else word
