"""How far a job is: bars where somebody watches, else lines: one at the start, one at the end, few between.

A bar redraws itself; in a log file each state of it would stay. So where standard output or standard error
is no terminal (nohup, CI, a cluster) every job goes by `Lines`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TypeVar

EVERY = 30.0  # seconds between two lines of a job
Item = TypeVar("Item")


def watched() -> bool:
    """Whether bars are drawn where somebody sees them move."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def hush_others() -> None:
    """Keep the bars of libraries out of logs; to be called before any of them is imported."""
    if not watched():
        os.environ.setdefault("TQDM_DISABLE", "1")


def bar(name: str, unit: str, total: int | None = None, *, shown: bool = True, leave: bool = True) -> Any:
    """What shows a job, as a context: `update(n)`, `set_postfix_str(text, refresh)`, `close()`, its `n`.

    Args:
        name: of the job.
        unit: what it counts, in the plural.
        total: how many; None where nobody knows.
        shown: nothing is shown without.
        leave: whether a bar stays when it has ended.
    """
    if shown and not watched():
        return Lines(name, unit, total)
    from tqdm.auto import tqdm

    return tqdm(desc=name, unit=f" {unit}", total=total, disable=not shown, leave=leave, mininterval=0.5)


def over(items: Iterable[Item], desc: str = "", **_: Any) -> Iterator[Item]:
    """Items, shown as they go: what libraries ask tqdm for."""
    total = len(items) if isinstance(items, Sized) else None
    with bar(desc.rstrip(". "), "items", total) as shown:
        for item in items:
            yield item
            shown.update(1)


class Lines:
    """A job in lines to standard error; see `bar`."""

    def __init__(self, name: str, unit: str, total: int | None) -> None:
        self.name, self.unit, self.total = name, unit, total
        self.n, self.note, self.ended = 0, "", False
        self.started = self.told = time.monotonic()
        self._tell("begins" if total is None else f"0 of {total} {unit}")

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.ended = self.ended or kind is not None  # no end is told of what broke off
        self.close()

    def set_postfix_str(self, note: str, refresh: bool = False) -> None:  # noqa: ARG002
        """What the lines say beside the count."""
        self.note = note

    def update(self, done: int = 1) -> None:
        """So many more are done; a line, if the last is long ago."""
        self.n += done
        now = time.monotonic()
        if now - self.told >= EVERY:
            self.told = now
            self._tell(", ".join(filter(None, (self._share(), self._left(now), self.note))))

    def close(self) -> None:
        """The last line."""
        if not self.ended:
            self.ended = True
            took = f"done in {time.monotonic() - self.started:.0f} s"
            self._tell(", ".join(filter(None, (f"{self.n} {self.unit}", self.note, took))))

    def _share(self) -> str:
        if not self.total:
            return f"{self.n} {self.unit}"
        return f"{self.n} of {self.total} {self.unit} ({self.n / self.total:.0%})"

    def _left(self, now: float) -> str:
        if not self.total or not self.n:
            return ""
        return f"{in_words((now - self.started) / self.n * (self.total - self.n))} left"

    def _tell(self, said: str) -> None:
        sys.stderr.write(f"  {self.name}: {said}\n")
        sys.stderr.flush()


def in_words(seconds: float) -> str:
    """About how long."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return "less than a minute" if seconds < 60 else "about a minute"
    return f"about {minutes} minutes" if minutes < 120 else f"about {seconds / 3600:.1f} hours"
