"""Where passes over a large pool are made; never part of a key, since the same is found everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from goracs.data.numbers import check_memory, check_whole, is_number
from goracs.types import InvalidInput, Selector


@dataclass(frozen=True)
class Local:
    """By this process."""


@dataclass(frozen=True)
class Ray:
    """By workers on a Ray cluster, a core each; those that ask a model take `gpus_per_worker` too.

    `address` is HOST:PORT of its head, auto for the cluster of this machine, or None: one of this machine's
    cores is started, and ends with the selection. For each of `workers` Ray sets `memory` GB aside. What
    workers read, beside features that lie in files, is written below `folder` and removed at the end; None:
    below the store, in Python the system's folder for temporary files.
    """

    address: str | None
    workers: int
    memory: float
    gpus_per_worker: float
    folder: str | None

    def __post_init__(self) -> None:
        check_whole("cluster.workers", self.workers, 1)
        check_memory("cluster", self.memory)
        if not is_number(self.gpus_per_worker) or not 0 <= self.gpus_per_worker <= 1:
            raise InvalidInput(
                "cluster.gpus_per_worker must be 1, a share of one that workers have in common, or 0; "
                f"got {self.gpus_per_worker!r}."
            )
        if not isinstance(self.folder, str | None):
            raise InvalidInput(f"cluster.folder must be the path of a folder or null, got {self.folder!r}.")
        if self.address is not None and not _is_address(self.address):
            raise InvalidInput(
                f"cluster.address must be null, auto or HOST:PORT, got {self.address!r}; `ray start --head` "
                "says its own. Instead of ray:// run the command on a machine of the cluster, with auto."
            )


Cluster = Local | Ray


def _is_address(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return address == "auto" or (bool(host) and "/" not in host and port.isdecimal())


def works(selector: Selector) -> bool:
    """Whether a method works on a cluster: it makes its passes by workers, or reads no features."""
    return getattr(selector, "spread", False) or "features" not in selector.needs


def refuse(cluster: Cluster, selector: Selector, name: str) -> None:
    """Raise InvalidInput where a selection cannot be made on a cluster, before anything is computed."""
    if isinstance(cluster, Local):
        return
    if not works(selector):
        raise InvalidInput(
            f"selector {name} holds all features in one process and does not work on cluster=ray: take "
            "cluster=local, or a method that `goracs methods` marks with ray."
        )
    refuse_no_ray(cluster)


def refuse_no_ray(cluster: Cluster) -> None:
    """Raise InvalidInput where a cluster is asked for and its package is not there."""
    if isinstance(cluster, Ray) and find_spec("ray") is None:
        raise InvalidInput("cluster=ray needs a package that is not there: pip install 'goracs[ray]'.")


def refuse_devices(cluster: Cluster, accelerator: str) -> None:
    """Raise InvalidInput where workers that ask a model would not have the device that is asked for."""
    if isinstance(cluster, Local):
        return
    if accelerator == "gpu" and not cluster.gpus_per_worker:
        raise InvalidInput(
            "runtime.accelerator=gpu, and cluster.gpus_per_worker=0 gives the workers of the cluster none: "
            "take cluster.gpus_per_worker=1, or runtime.accelerator=auto."
        )
    if accelerator == "cpu" and cluster.gpus_per_worker:
        raise InvalidInput(
            f"cluster.gpus_per_worker={cluster.gpus_per_worker}, and with runtime.accelerator=cpu no worker "
            "would use it: take runtime.accelerator=auto, or cluster.gpus_per_worker=0."
        )
