"""Processes that torchrun has started, on one machine or several: rank 0 leads, the others keep a rank each.

Lead     rank 0 runs the command, which starts a rank of its own for each stage as on one machine, and tells
         the others to (`goracs.llm.starter`).
Serve    the others read no configuration: they wait for work, start a process for it, hand on what that says,
         and end it when they are told to. So a stage that fails, or ends in whatever way, leaves nothing to
         the next one.
End      they end with the command, by its exit code. Who finds the other end gone ends too; a machine that is
         cut off is found gone within minutes.
Trust    as in torch.distributed itself: whoever can read the store can talk to the group.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, wait
from pathlib import Path
from typing import Any

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from goracs import signals
from goracs.llm.launched import Launch
from goracs.llm.ranks import Address, Rank, Work
from goracs.llm.seen import Sign, blind, unseen
from goracs.llm.starter import Group, Keeper, begin, end, group, terminable

JOINING = timedelta(minutes=10)  # for all to come
CUT_OFF = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # seconds, seconds, times


def take_part(launch: Launch, command: Callable[[], None]) -> None:
    """Run the command as rank 0, or serve it as another rank until it ends, and exit."""
    if launch.number:
        sys.exit(serve(launch))
    with _leading(launch), terminable():
        command()


@contextmanager
def _leading(launch: Launch) -> Iterator[None]:
    """Be rank 0 of the group; the others end by the exit code of what is done meanwhile."""
    store = _store(launch)
    keepers = _called(store, launch.count)
    group[:] = [Group(keepers, launch.host, launch.port)]
    code = 1
    try:
        yield
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        raise
    except KeyboardInterrupt:
        code = signals.code()
        raise
    finally:
        group.clear()
        for keeper in keepers:
            with suppress(OSError):
                keeper.pipe.send(("end", code))


def _called(store: Store, count: int) -> list[Keeper]:
    """Those of all other ranks, once they have come."""
    key, keepers = os.urandom(32), list[Keeper]()
    with Listener(("", 0), backlog=count, authkey=key) as listener:
        store.set("key", key.hex())
        store.set("port", str(listener.address[1]))
        while len(keepers) < count - 1:
            with suppress(AuthenticationError, EOFError, ConnectionError):  # of somebody who is none of us
                pipe = listener.accept()
                number, place, host = pipe.recv()
                keepers.append(Keeper(Rank(number, count, place), host, _watched(pipe)))
    return sorted(keepers, key=lambda keeper: keeper.rank.number)


def _store(launch: Launch) -> Store:
    """Of torch, where those of one start of the group find each other; rank 0 has it unless torchrun does."""
    own = launch.number == 0 and not launch.hosted
    store = TCPStore(launch.host, launch.port, None, own, JOINING, wait_for_workers=False)
    return PrefixStore(f"goracs/{launch.attempt}", store)


def serve(launch: Launch) -> int:
    """Do what rank 0 says until it ends; its exit code, 1 where it is gone without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to rank 0 too, which ends the others
    for number in (signal.SIGTERM, signal.SIGHUP):  # without a word: rank 0 says it for all
        signal.signal(number, signal.SIG_DFL)
    rank, store = Rank(launch.number, launch.count, launch.place), _store(launch)
    port, key = int(store.get("port")), bytes.fromhex(store.get("key").decode())
    pipe = _watched(Client((launch.host, port), authkey=key))
    try:
        pipe.send((launch.number, launch.place, socket.gethostname()))
        while True:
            kind, said = pipe.recv()
            if kind == "end":
                return int(said)
            if kind == "work":  # else a rank was to stop that had ended by itself
                _work(pipe, rank, *said)
    except (EOFError, OSError):
        return 1


def _work(pipe: Connection, rank: Rank, work: Work, places: Sequence[Path]) -> None:
    """Have a process do the rank's part of a stage; rank 0 hears of it as of one of its own."""
    assert isinstance(work.meeting, Address)
    if place := unseen(Sign(places[0], work.meeting.name), places[1:]):
        pipe.send(("end", (blind(str(rank), place, "rank 0"), True)))
        pipe.send(("gone", 1))
        return
    started = begin(work, rank)
    try:
        while pipe not in wait([pipe, started.pipe]):  # rank 0 speaks where it is to stop
            try:
                pipe.send_bytes(started.pipe.recv_bytes())
            except EOFError:
                started.gone()
                break
    finally:
        end([started])
    pipe.send(("gone", started.code))


def _watched(pipe: Any) -> Any:
    """A connection that breaks where the other machine is gone without a word."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in CUT_OFF.items():
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return pipe
