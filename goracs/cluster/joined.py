"""Joining a cluster for one selection: the workers are asked for at the first pass, and go at the end."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from goracs.cluster.settings import Cluster, Local
from goracs.types import Spread

log = logging.getLogger("goracs.stages")
SHARDS = 8  # a worker: so that a slow one does not hold up a pass


@contextmanager
def joined(cluster: Cluster, beside: Path) -> Iterator[Spread | None]:
    """What makes passes on a cluster, None for this process.

    Args:
        cluster: where.
        beside: the folder below which workers read, unless the cluster names one.

    Raises:
        InvalidInput: at the first pass, where the cluster cannot be joined.
    """
    if isinstance(cluster, Local):
        yield None
        return
    from goracs.cluster.on_ray import on_ray
    from goracs.cluster.spread import Joined

    root = Path(cluster.folder or beside).resolve()
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="goracs-cluster-", dir=root))
    try:
        with on_ray(cluster) as hands:
            spread = Joined(hands, folder, SHARDS)
            yield spread
            if not spread.pools:
                log.info(
                    "  selected without the cluster: costs fit into selector.memory, or no features are read"
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
