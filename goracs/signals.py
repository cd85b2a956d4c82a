"""What a command does that is told to end: by Ctrl-C, by SIGTERM, by SIGHUP as of a terminal that is closed.

First      the work is left as by Ctrl-C, with everything on the way put in order, one paragraph told, and the
           shell's exit code, 128 and the number of the signal. Where a model is at work (`at_a_step`) it
           ends with its step, which can be kept; but at once by Ctrl-C.
Again      within a second it is the same one: a closed terminal and its shell both tell. Later it ends the
           process and its children on the spot, which the store takes as it takes a kill.
Not ours   a signal that whoever started the process had it ignore, as nohup does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHELL = 128  # and the number of a signal: the exit code of what it ended
SAME = 1.0  # seconds
heard: list[tuple[int, float]] = []  # the signals by which this command was told to end, and when
_at_a_step: list[bool] = []


class Interrupted(KeyboardInterrupt):
    """In the midst of a stage, which is its only argument."""


@contextmanager
def listening() -> Iterator[None]:
    """Leave as told while this runs, and exit. Of the main thread."""
    heard.clear()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in ours:
            signal.signal(number, _hear)
        yield
        if heard:  # where Python drops what is raised
            _leave(KeyboardInterrupt())
    except KeyboardInterrupt as end:
        _leave(end)
    except Exception as error:
        if not heard:  # else it only is what became of the interrupt
            raise
        _leave(error)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL if heard else before[number])


def note(number: int) -> bool:
    """Remember a signal; whether it is the first."""
    heard.append((number, time.monotonic()))
    return len(heard) == 1


def _hear(number: int, _: FrameType | None) -> None:
    if not note(number):
        if heard[-1][1] - heard[0][1] > SAME:
            _leave_at_once()
    elif not _at_a_step or number == signal.SIGINT:
        raise KeyboardInterrupt
    elif number != signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)  # which Lightning listens to


def end_with_the_starter() -> None:
    """Be a process of a command: what a terminal tells is that one's to hear, and with it this one ends.

    However it ended; of its main thread.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    starter = multiprocessing.parent_process()
    assert starter is not None

    def watch() -> None:
        wait([starter.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def at_a_step() -> Iterator[None]:
    """Have a model end its step before it is left, which it has to see to itself."""
    _at_a_step.append(True)
    try:
        yield
    finally:
        _at_a_step.pop()
    if heard:  # too late for it to see
        raise KeyboardInterrupt


def _leave(end: BaseException) -> NoReturn:
    """Tell what was interrupted, and exit."""
    _tell(how(end))
    sys.exit(code())


def _leave_at_once() -> NoReturn:
    for child in multiprocessing.active_children():
        child.kill()
    _tell(how(None))
    os._exit(code())


def code() -> int:
    """The exit code of a command that was told to end; of one that was not, as if by Ctrl-C."""
    return SHELL + (heard[0][0] if heard else signal.SIGINT)


def how(end: BaseException | None) -> str:
    """By what a command was interrupted and, where its exception knows, at which stage."""
    number = code() - SHELL
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    return f"{name} at the stage {end}" if isinstance(end, Interrupted) else name


def _tell(by: str) -> None:
    try:
        sys.stdout.write(f"interrupted: the same command goes on where this one stopped ({by})\n")
        sys.stdout.flush()
    except OSError:  # the terminal is gone; Python would try again, and exit with a code of its own
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
