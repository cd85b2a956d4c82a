"""How kernels are compiled: numba on first use, the machine code cached on disk.

Sums keep their order (no reassociation), so a kernel gives the same number wherever it runs.
`smaller` is the minimum as one instruction with the flags that let LLVM vectorise a loop of it; the builtin
`min` compiles to a branch that it does not, three times slower in the loops that matter.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.extending import intrinsic

log = logging.getLogger("goracs")


def _place_of_machine_code() -> None:
    """Keep it beside the sources, one folder for each state of them.

    numba notices a change in a kernel's own file alone, and kernels call those of other files.
    """
    package = Path(__file__).parents[1]
    sources = [path for room in ("ot", "search") for path in sorted((package / room).glob("*.py"))]
    texts = [
        text for text in (path.read_bytes() for path in sources) if b"@kernel" in text or b"numba" in text
    ]
    state = hashlib.sha256(b"".join(texts)).hexdigest()
    folder = package / "__pycache__" / f"kernels-{state[:12]}"
    if "NUMBA_CACHE_DIR" not in os.environ and os.access(package, os.W_OK):
        folder.mkdir(parents=True, exist_ok=True)
        numba.config.CACHE_DIR = str(folder)


_place_of_machine_code()
FLAGS = ("nnan", "ninf", "nsz")  # costs are finite, checked at the door


def kernel(function: Any) -> Any:
    """A function on arrays, compiled on its first call."""
    return numba.njit(cache=True, fastmath=set(FLAGS), error_model="numpy")(function)


def inlined(function: Any) -> Any:
    """A part of a kernel, in a place of its own: a call would cost as much as what it does."""
    return numba.njit(inline="always")(function)


@intrinsic  # type: ignore[untyped-decorator]
def smaller(context: Any, first: Any, second: Any) -> Any:  # noqa: ARG001
    """The smaller of two numbers, of the first one's type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        below = builder.fcmp_ordered("<", *arguments, flags=FLAGS)
        return builder.select(below, *arguments, flags=FLAGS)

    return first(first, first), generate


class _Listener(event.Listener):  # type: ignore[misc]
    """Says once in a process that kernels are being compiled."""

    said = False

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        if not _Listener.said:
            log.warning("  compiling the transport kernels: once on this machine, about a minute ...")
            _Listener.said = True

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def announced() -> Iterator[None]:
    """Within it, the first kernel that is compiled is announced; one from the cache is not."""
    listener = _Listener()
    with event.install_listener("numba:compile", listener):
        yield
