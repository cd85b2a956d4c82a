"""How kernels are compiled: numba on first use, the machine code cached on disk.

Sums keep their order (no reassociation), so a kernel gives the same number wherever it runs.
`smaller` is the minimum as one instruction with the flags that let LLVM vectorise a loop of it; the builtin
`min` compiles to a branch that it does not, three times slower in the loops that matter.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba.core import event, types
from numba.extending import intrinsic

log = logging.getLogger("goracs")
FLAGS = ("nnan", "ninf", "nsz")  # costs are finite, checked at the door


def kernel(function: Any) -> Any:
    """A function on arrays, compiled on its first call."""
    return numba.njit(cache=True, fastmath=set(FLAGS), error_model="numpy")(function)


def inlined(function: Any) -> Any:
    """A part of a kernel, in a place of its own: a call would cost as much as what it does."""
    return numba.njit(inline="always")(function)


@intrinsic  # type: ignore[untyped-decorator]
def smaller(context: Any, first: Any, second: Any) -> Any:  # noqa: ARG001
    """The smaller of two float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        below = builder.fcmp_ordered("<", *arguments, flags=FLAGS)
        return builder.select(below, *arguments, flags=FLAGS)

    return types.float64(types.float64, types.float64), generate


class _Listener(event.Listener):  # type: ignore[misc]
    """Says once that kernels are being compiled."""

    said = False

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        if not self.said:
            log.warning("  compiling the transport kernels: once on this machine, about half a minute ...")
            self.said = True

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def announced() -> Iterator[None]:
    """Within it, the first kernel that is compiled is announced; one from the cache is not."""
    listener = _Listener()
    with event.install_listener("numba:compile", listener):
        yield
