"""One command of goracs in a process of its own, on the tiny backbone, that a fault can be brought into.

Fork    the frameworks are imported once and each command is a fork of that, so that it takes a second or two
        and a random moment falls into its work; what it prints comes by a pipe, which a full disk lets be.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from experiments import imported  # noqa: F401  # before the forks, to be paid for once
from experiments.tiny import WORDS
from goracs import cli

DEFECT = ("Traceback", "defect of goracs")
WAIT = 600.0  # seconds after which a command hangs
Before = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, that of a signal below 0, what it printed, its seconds."""

    code: int
    text: str
    seconds: float

    @property
    def untidy(self) -> bool:
        """Whether its user saw more than a message."""
        return any(word in self.text for word in DEFECT)

    @property
    def said(self) -> str:
        """The line that says what was wrong."""
        lines = [line for line in self.text.splitlines() if line.startswith(("error:", "interrupted:"))]
        return lines[-1] if lines else f"exit code {self.code}"


class Command:
    """A command at work."""

    def __init__(self, store: Path, folder: Path, before: Before = lambda: None) -> None:
        self.printed, (self.pipe, mouth) = b"", os.pipe()
        self.began, self.pid = time.monotonic(), os.fork()
        if self.pid == 0:
            _become([*WORDS, f"store.root={store}", f"hydra.run.dir={folder}"], mouth, before)
        os.close(mouth)
        os.set_blocking(self.pipe, False)

    def told(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        os.kill(self.pid, number)  # not waited for: its id is still its own

    def left(self, seconds: float) -> bool:
        """Wait for so long at most; whether it is still at work."""
        until = time.monotonic() + seconds
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                return True
            self._hear()
            time.sleep(0.002)
        return False

    def ended(self) -> Ended:
        """Wait for its end; a command that hangs is killed, and by that no survivor."""
        if self.left(WAIT):
            self.told(signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._hear()
        os.close(self.pipe)
        return Ended(code, self.printed.decode(errors="replace"), time.monotonic() - self.began)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while part := os.read(self.pipe, 65536):
                self.printed += part


class Fresh(Command):
    """A command from its first import on, in a session of its own."""

    def __init__(self, store: Path, folder: Path) -> None:
        self.printed, (self.pipe, mouth) = b"", os.pipe()
        words = [*WORDS, f"store.root={store}", f"hydra.run.dir={folder}"]
        self.began = time.monotonic()
        started = subprocess.Popen(
            [sys.executable, "-m", "goracs.cli", *words], stdout=mouth, stderr=mouth, start_new_session=True
        )
        self.pid = started.pid
        started.returncode = 0  # waited for below
        os.close(mouth)
        os.set_blocking(self.pipe, False)

    def processes(self) -> list[int]:
        """All that it has started, and itself."""
        found = [int(place.name) for place in Path("/proc").iterdir() if place.name.isdecimal()]
        return [pid for pid in found if _session(pid) == self.pid]


def _session(pid: int) -> int | None:
    with suppress(OSError):
        return os.getsid(pid)
    return None


def run(store: Path, folder: Path, before: Before = lambda: None) -> Ended:
    """The command, to its end."""
    return Command(store, folder, before).ended()


def _become(words: list[str], out: int, before: Before) -> NoReturn:
    """Be the command."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["goracs", *words]
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in the background
        before()
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
