"""Every command in README and docs: it parses, and the configuration that it asks for is there.

What they do is tested elsewhere: the words by tests of their own, presets in small (`tests/pipeline`).
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import goracs
from goracs import cli, config

ROOT = Path(goracs.__file__).parents[1]
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "multirun/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
START = r"(?:goracs |python -m |torchrun |script/)"
INDENTED = re.compile(rf"^ {{4}}({START}(?:.*\\\n)*.*)", re.M)
INLINE = re.compile(rf"`({START}[^`]*)`")
OVERRIDDEN = ("data", "plan", "lab")  # words behind which a configuration stands
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


def parses(words: list[str]) -> None:
    """A configuration is composed; any other word understands what stands behind it: nothing is there."""
    word, rest = (words[0], words[1:]) if words[0] in cli.commands() else ("run", words)
    if word in ("run", *OVERRIDDEN):
        lab = ["experiment=lab"] if word == "lab" else []
        composes([] if words[0] == "--help" else [*lab, *rest])
    elif word == "reproduce":
        assert (config.conf_dir() / "experiment" / f"{rest[0]}.yaml").is_file()
    elif rest and any(one.isupper() for one in rest):  # a place of the reader's, which is not there
        ended = importlib.import_module(f"goracs.commands.{word}").run([*map(filled, rest)])
        assert ended == int(word != "methods")  # argparse would have exited


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
