"""The command.

The first word is looked at before Hydra parses anything: it names a file of `goracs.commands`; an override,
a flag or no word at all means a run, help is answered without importing a framework. Exit code 0, 1 after
an error, or the shell's where a signal ended it (`goracs.signals`).
"""

from __future__ import annotations

import ast
import importlib
import io
import os
import select
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from goracs import __version__, near, progress, signals
from goracs.config import conf_dir
from goracs.llm import launched
from goracs.types import InvalidInput

COMMANDS = Path(__file__).parent / "commands"
MISUSED = 2  # argparse's own exit code
UNREAD = signals.SHELL + signal.SIGPIPE  # what a shell says of who is ended by it
HELP = """\
goracs chooses a small coreset of the training data of an LLM recommender, fine-tunes on it and evaluates.

  goracs                                   the quickstart: goracs and random side by side
  goracs experiment=movielens_ctr          another experiment
  goracs selector=kcenter budget=32        one run of the defaults of conf/config.yaml, with overrides
  goracs -m selector=goracs,random seed=0,1,2 budget=32,64      a sweep; the same again resumes it
  goracs until=select                      stop after a stage: prepare embed adapter score select finetune
{words}
  goracs --cfg job                         show the configuration, run nothing

Choices (a file each under conf/; any value in them is an override, as in finetune.lr=1e-4):
{choices}
A path with =, brackets, commas or quotes in it: 'dataset.path="/a b/c=d"' (double quotes within single ones).
Results lie under multirun/, finished stages in store.root. hydra.verbose=goracs shows the stages of a sweep's
jobs too, HYDRA_FULL_ERROR=1 tracebacks.
"""


def main() -> None:
    """Run the command line; exits with 0, or 1 after a user's mistake or ours.

    Of several processes that torchrun has started only rank 0 does: the others serve it (`goracs.llm.group`).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of one library slow the other's down
    for mouth in (sys.stdout, sys.stderr):
        if isinstance(mouth, io.TextIOWrapper):  # what a file holds may be no text, or none of this terminal
            mouth.reconfigure(errors="backslashreplace")
    progress.hush_others()
    with signals.listening(), _as_long_as_somebody_reads():
        try:
            launch = launched.claim()
        except InvalidInput as error:
            sys.exit(f"error: {error}")
        if launch is None:
            _command()
        else:
            from goracs.llm import group

            group.take_part(launch, _command)


@contextmanager
def _as_long_as_somebody_reads() -> Iterator[None]:
    """End without a word where what is printed goes into a pipe whose reader has ended."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        sys.exit(UNREAD)


def _unread() -> bool:
    """Whether it is that pipe which is broken, not one of our own."""
    asked = select.poll()
    asked.register(sys.stdout.fileno(), 0)
    return bool(asked.poll(0))


def _command() -> None:
    words = sys.argv[1:]
    if words and words[0] in ("-h", "--help", "help"):
        print(help_text())
        return
    if words == ["--version"]:
        print(f"goracs {__version__}")
        return
    word, rest = (words[0], words[1:]) if words and words[0] in commands() else ("run", words)
    if word == "run" and rest and "=" not in rest[0] and not rest[0].startswith(("-", "~")):
        meant = near.meant(rest[0], commands(), "goracs ")
        sys.exit(
            f"error: '{rest[0]}' is neither an override (name=value), nor a flag, nor one of the words "
            f"{', '.join(commands())}.{meant} For a sweep: goracs -m name=value,value. Help: goracs --help"
        )
    if word == "run" or any("=" in given for given in rest):  # a configuration: it takes a while
        print(f"goracs: {_course(word, rest)}", file=sys.stderr, flush=True)
    try:
        sys.exit(importlib.import_module(f"goracs.commands.{word}").run(rest))
    except SystemExit as end:
        sys.exit(1 if end.code == MISUSED else end.code)


def _course(word: str, rest: list[str]) -> str:
    """What is about to run, in words."""
    if word == "run" and not rest:
        return "the quickstart (experiment=quickstart; goracs --help shows the rest)"
    return shlex.join([word, *rest])


def commands() -> list[str]:
    """The words: a file each."""
    return sorted(file.stem for file in COMMANDS.glob("*.py") if file.stem != "__init__")


def help_text() -> str:
    """What goracs --help prints: the forms of the command and the choices that conf/ holds."""
    lines = [_choices(folder) for folder in sorted(conf_dir().iterdir()) if folder.name != "hydra"]
    words = "\n".join(f"  {f'goracs {word} ...':<41}{_told(word)}" for word in commands() if word != "run")
    return HELP.format(words=words, choices="\n".join(filter(None, lines)))


def _told(word: str) -> str:
    """What the first line of its file says of a word, read without importing it."""
    said = ast.get_docstring(ast.parse((COMMANDS / f"{word}.py").read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].partition(": ")[2].rstrip(".")


def _choices(folder: Path) -> str:
    names = sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
    return f"  {folder.name + '=':<12}{', '.join(names)}" if names else ""


if __name__ == "__main__":
    main()
