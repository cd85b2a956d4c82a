"""Workers as actors of a Ray cluster: joined, or started for one selection.

Lost       an actor that is gone is started anew by Ray, and what it was asked is asked again; it needs
           nothing that it was told before (`goracs.cluster.shards`).
Silent     Ray tells the log alone how its workers fare, under the name below; its own files lie where it
           keeps them (/tmp/ray).
End        what was started here ends with it, also when this process is killed (two idle agents of Ray's
           then take a minute more); a cluster of others stays.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from goracs.cluster.crew import Hands
from goracs.cluster.questions import Worker
from goracs.cluster.settings import Ray
from goracs.types import GoracsError, InvalidInput

NAME = "goracs.ray"
RESTARTS = 20  # of one worker, and attempts at one question: a worker that dies again and again has a reason
PATIENCE = 30.0  # seconds until a cluster answers
SETTLES = 5.0  # seconds that a cluster may take to tell that workers are gone
ROOM = 300.0  # seconds until workers have begun; who has not by then is done without
STORE_BYTES = 128 * 2**20  # of Ray's memory for objects: ours are small
GB = 2**30
STARTED = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # of a cluster of our own
log = logging.getLogger("goracs")


class OfOneCore(Worker):
    """A worker whose kernels keep to the core that it has."""

    def __init__(self) -> None:
        import numba

        super().__init__()
        numba.set_num_threads(1)


@dataclass(frozen=True)
class Post:
    """What each worker is, and what it takes of a machine beside `cluster.memory`."""

    kind: type
    cores: int
    gpus: float


PASSES = Post(OfOneCore, cores=1, gpus=0)


@contextmanager
def on_ray(settings: Ray, post: Post = PASSES) -> Iterator[Callable[[], Hands]]:
    """What gives the workers, which are looked for when it is first called; in the end they go.

    Raises:
        InvalidInput: when it is called: no cluster at the address, another version of Ray there, no room.
    """
    found: list[Actors] = []

    def hands() -> Actors:
        if not found:
            found.append(Actors(settings, post))
        return found[0]

    try:
        yield hands
    finally:
        for actors in found:
            actors.close()


class Actors:
    """`goracs.cluster.crew.Hands` of a Ray cluster."""

    def __init__(self, settings: Ray, post: Post = PASSES) -> None:
        self.ours = _connect(settings)
        self.actors: list[Any] = []
        try:
            asked = _room(settings, post)
            self.actors += [_actor(settings, post) for _ in range(asked)]
            self._await()
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.actors)

    def _await(self) -> None:
        """Wait until the workers have begun, and go on with those that have."""
        import ray

        begun = {actor.answers.remote("", [], None): actor for actor in self.actors}
        there, late = ray.wait(list(begun), num_returns=len(begun), timeout=ROOM)
        for handle in there:
            self.answers(handle)
        for handle in late:
            ray.kill(begun[handle])
        self.actors = [begun[handle] for handle in there]
        if not there:
            raise InvalidInput(
                f"no worker of the Ray cluster has begun within {ROOM:.0f} s: see that its machines have "
                "this goracs and its packages, or take cluster=local."
            )
        if late:
            _say_fewer(len(begun), len(there), f"{len(late)} have not begun within {ROOM:.0f} s")

    def send(self, worker: int, folder: str, numbers: Sequence[int], question: Any) -> Any:
        """See `goracs.cluster.crew.Hands`."""
        return self.actors[worker].answers.remote(folder, numbers, question)

    def first(self, sent: Collection[Any]) -> Any:
        """See `goracs.cluster.crew.Hands`."""
        import ray

        return ray.wait(list(sent), num_returns=1)[0][0]

    def answers(self, handle: Any) -> list[Any]:
        """See `goracs.cluster.crew.Hands`.

        Raises:
            GoracsError: what a worker found wrong; or a worker was lost too often.
            OSError: a worker's file or disk.
        """
        import ray

        try:
            found: list[Any] = ray.get(handle)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, (GoracsError, OSError)):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise _lost(error) from error
        return found

    def close(self) -> None:
        """Let the workers go, and the cluster if it is ours."""
        import ray

        for actor in self.actors:
            ray.kill(actor)
        if self.ours:
            ray.shutdown()


def _actor(settings: Ray, post: Post) -> Any:
    import ray

    remote = ray.remote(
        num_cpus=post.cores,
        num_gpus=post.gpus,
        memory=int(settings.memory * GB),
        max_restarts=RESTARTS,
        max_task_retries=RESTARTS,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": str(post.cores)}},  # whatever the command has
    )
    return remote(post.kind).remote()


def _connect(settings: Ray) -> bool:
    """Join the cluster, or start one; whether this process has to leave it again."""
    import ray

    if ray.is_initialized():
        return False
    address = settings.address
    if address not in (None, "auto"):
        _refuse_nobody(address)
    own = {"num_cpus": _cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    where: dict[str, Any] = {"address": address} if address else {"address": "local", **own}
    _to_the_log()
    try:
        with _as_before({} if address else STARTED):
            ray.init(**where, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"cluster.address={address or 'null'}: {' '.join(str(error).split())} `ray start --head` starts "
            "a cluster, with the same Ray and Python as here; null starts one of this machine's cores."
        ) from error
    return True


def _refuse_nobody(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise InvalidInput(
            f"cluster.address={address}: nobody answers there ({error}). `ray start --head` starts a cluster "
            "and says its address; auto finds that of this machine, null starts one of its cores."
        ) from error


def _room(settings: Ray, post: Post) -> int:
    """For how many of the workers the cluster has room; what others leave takes a moment."""
    import ray
    from ray._private.state import available_resources_per_node

    def room_in(machines: Collection[Mapping[str, float]]) -> int:
        return min(settings.workers, sum(_fits(one, settings.memory, post) for one in machines))

    deadline = time.monotonic() + SETTLES
    whole = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    while (room := room_in(available_resources_per_node().values())) < room_in(whole):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    free = ray.available_resources()
    if room < 1:
        raise InvalidInput(
            f"the Ray cluster has {_amounts(free, post)} free, and a worker takes {_of_one(post)} and "
            f"cluster.memory={settings.memory} GB of one machine: free some, or ask for less (docs/scale.md)."
        )
    if room < settings.workers:
        _say_fewer(settings.workers, room, f"{_amounts(free, post)} are free")
    if post is not PASSES and not post.gpus and free.get("GPU"):
        log.warning("  the cluster has GPUs, and cluster.gpus_per_worker=0: models are asked on cores")
    return room


def _fits(machine: Mapping[str, float], memory: float, post: Post) -> int:
    """How many workers a machine has room for; what a worker has of GPUs is of one, or of whole ones."""
    rooms = [machine.get("CPU", 0) / post.cores, machine.get("memory", 0) / (memory * GB)]
    if post.gpus:
        rooms.append(machine.get("GPU", 0) * (int(1 / post.gpus) if post.gpus < 1 else 1 / post.gpus))
    return int(min(rooms))


def _amounts(free: Mapping[str, float], post: Post) -> str:
    gpus = f", {free.get('GPU', 0):g} GPUs" if post.gpus else ""
    return f"{free.get('CPU', 0):g} cores{gpus} and {free.get('memory', 0) / GB:.1f} GB"


def _of_one(post: Post) -> str:
    cores = "a core" if post.cores == 1 else f"{post.cores} cores"
    return f"{cores}, cluster.gpus_per_worker={post.gpus:g}" if post.gpus else cores


def _say_fewer(asked: int, there: int, why: str) -> None:
    log.warning("  cluster.workers=%d, and %s: %d work", asked, why, there)


def _lost(error: Exception) -> GoracsError:
    return GoracsError(
        f"a worker of the Ray cluster was lost {RESTARTS} times, or could not begin: "
        f"{' '.join(str(error).split())[:600]} Each machine needs the same goracs and packages; where memory "
        "was short, ask for more by cluster.memory, or for fewer workers."
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _to_the_log() -> None:
    """Have Ray's words about lost workers go to the log; it would print them, whatever it is asked."""
    from ray._private import worker

    told = logging.getLogger(NAME)
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: record.name != NAME)

    def say(data: Mapping[str, Any], **_: Any) -> None:
        told.info("%s", " ".join(map(str, data["lines"])))

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = say


@contextmanager
def _as_before(environment: Mapping[str, str]) -> Iterator[None]:
    """Within it some variables are set; after it they, and the answer to SIGTERM, are as they were."""
    kept = {name: os.environ.get(name) for name in environment}
    main = threading.current_thread() is threading.main_thread()
    answer = signal.getsignal(signal.SIGTERM)
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if main:
            signal.signal(signal.SIGTERM, answer)
