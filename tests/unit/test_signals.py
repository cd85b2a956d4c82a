"""A command that is told to end: which way it leaves, by which code, and that nothing of it stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goracs import signals
from goracs.lab.workers import Workers
from goracs.signals import Interrupted
from goracs.store import Stage, Store

LONG, SOON = 300.0, 30.0  # seconds: nobody waits for as long; in which a process must be gone
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NAMES}
    for number in NAMES:  # in the background a shell has them ignored
        signal.signal(number, signal.default_int_handler)
    yield
    signals.heard.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def code_of(command: Callable[[], object]) -> Any:
    """The exit code with which a command leaves."""
    with pytest.raises(SystemExit) as end, signals.listening():
        command()
    return end.value.code


@pytest.mark.parametrize("number", NAMES)
def test_a_command_leaves_with_one_paragraph_and_the_shells_code(
    number: signal.Signals, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def build(folder: Path, _: Any) -> None:
        (folder / "half").touch()
        signal.raise_signal(number)

    assert code_of(lambda: Store(tmp_path).get(Stage("select", 1, {}, {}, build))) == 128 + number
    by = f"({NAMES[number]} at the stage select)"
    assert capfd.readouterr().out == f"interrupted: the same command goes on where this one stopped {by}\n"
    assert all(file.name.endswith(".lock") for file in tmp_path.rglob("*") if file.is_file())


def test_a_signal_that_the_starter_had_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.listening():
        signal.raise_signal(signal.SIGHUP)
    assert not signals.heard
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_model_at_a_step_ends_it_but_for_ctrl_c() -> None:
    done, lightning = list[int](), list[int]()

    def step(number: int) -> None:
        ours: Any = signal.getsignal(signal.SIGTERM)

        def both(number: int, frame: Any) -> None:
            lightning.append(number)
            ours(number, frame)

        signal.signal(signal.SIGTERM, both)
        with signals.at_a_step():
            signal.raise_signal(number)
            done.append(number)
        done.append(0)

    assert [code_of(partial(step, number)) - 128 for number in NAMES] == [*NAMES]
    assert done == [signal.SIGTERM, signal.SIGHUP]
    assert lightning == [signal.SIGTERM, signal.SIGTERM]


def test_what_becomes_of_an_interrupt_is_no_defect() -> None:
    def command() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("as some libraries do") from None

    assert code_of(command) == 143
    with pytest.raises(ImportError), signals.listening():
        raise ImportError("of our own")


def test_a_second_signal_is_the_first_again_or_later_the_end_of_all(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LONG,), daemon=True)
    child.start()
    monkeypatch.setattr(os, "_exit", lambda code: sys.exit(code + 1000))

    def command() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)  # within a second
            assert child.is_alive()
            monkeypatch.setattr(signals, "SAME", -1.0)
            signal.raise_signal(signal.SIGTERM)

    assert code_of(command) == 1130
    child.join(SOON)
    assert child.exitcode == -signal.SIGKILL
    assert capfd.readouterr().out.count("interrupted: ") == 1


def test_a_terminal_that_is_gone_hears_nothing_and_changes_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert code_of(lambda: signal.raise_signal(signal.SIGHUP)) == 129
        gone.flush()  # as Python does at its end


def starter(folder: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=serving, args=(folder,))
    child.start()
    time.sleep(LONG)


def serving(folder: Path) -> None:
    signals.end_with_the_starter()
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGHUP)
    (folder / "written").write_text(str(os.getpid()))
    (folder / "written").rename(folder / "pid")
    time.sleep(LONG)


def test_a_process_of_a_command_ends_with_it_however_that_ended(tmp_path: Path) -> None:
    command = multiprocessing.get_context("fork").Process(target=starter, args=(tmp_path,))
    command.start()
    wait_until((tmp_path / "pid").exists)
    command.kill()
    command.join()
    child = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    wait_until(lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z")


def test_an_interrupted_lab_ends_its_workers() -> None:
    workers: Any = Workers(SimpleNamespace(), 2)  # type: ignore[arg-type]
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LONG,), daemon=True)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked child has it, as a spawned one would
    child.start()
    signal.signal(signal.SIGTERM, before)
    workers._pool = SimpleNamespace(shutdown=lambda **_: child.join(SOON))
    with pytest.raises(Interrupted), workers:
        raise Interrupted("tried")
    assert child.exitcode == -signal.SIGTERM


def wait_until(so: Any) -> None:
    end = time.monotonic() + SOON
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)
