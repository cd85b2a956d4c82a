"""Arrays and states that goracs keeps, for `experiments.fuzz`: what is read must be what was kept.

A reader that takes something else for it raises `Misread`, which the harness counts as a crash.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from experiments.fuzz_target import Target
from goracs.report import trace
from goracs.search.kept import whole
from goracs.search.watch import Watch
from goracs.store import MANIFEST, Stage, Store
from goracs.types import GoracsError

ARRAYS = {
    **{name: np.arange(5) for name in ("rows", "best", "generated")},
    "found": np.array([0.5, 0.25, 1.0]),
    "counts": np.array([3, 0]),
    "sweeps": np.arange(6),
    "trace": np.array("[]"),
}
KEY = "e" * 64


class Misread(Exception):
    """What was read is not what was kept, and nobody said so."""


def _same(found: Any, kept: Any) -> None:
    if found is not None and not (
        found.keys() == kept.keys() and all(map(_equal, found.values(), kept.values()))
    ):
        raise Misread(f"{found}")


def _equal(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and np.array_equal(one, other))


def checkpoint() -> Target:
    """What an interrupted search kept."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        file = Path(folder) / "search.npz"
        Watch(file).save(ARRAYS)
        content = file.read_bytes()

    def read(folder: Path) -> None:
        found = whole(Watch(folder / "search.npz").load(), None)
        if found is None:
            raise GoracsError("told in the log, and not used")
        _same({name: found[name] for name in sorted(found)}, {name: ARRAYS[name] for name in sorted(ARRAYS)})

    return Target({"search.npz": content}, read)


def artifact() -> Target:
    """An artifact of arrays, its manifest as it was."""

    def build(folder: Path, _: Any) -> None:
        for name, array in ARRAYS.items():
            np.save(folder / f"{name}.npy", array)

    with tempfile.TemporaryDirectory(prefix="fuzz") as root:
        stage = Stage("weights", 1, {"a": 1}, {}, build)
        made = Store(Path(root)).get(stage).path
        files = {f"weights/{made.name}/{file.name}": file.read_bytes() for file in made.iterdir()}

    def read(folder: Path) -> None:
        found = Store(folder).kept("weights", stage.key)
        if found is None:
            raise GoracsError("not there")
        _same({name: np.load(found.path / f"{name}.npy") for name in ARRAYS}, ARRAYS)

    return Target(files, read, [name for name in files if not name.endswith(MANIFEST)])


def pictured() -> Target:
    """What `goracs trace` draws: the rows of a job among features, whose manifest it does not ask."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        files = {"indices.json": json.dumps([0, 3]).encode()}
        for side, rows in (("pool", 6), ("target", 3)):
            np.save(Path(folder) / "side.npy", draw.random((rows, 3), dtype=np.float32))
            files[f"store/features/{KEY[:24]}/{side}.npy"] = (Path(folder) / "side.npy").read_bytes()
    result: Any = {"digests": {"features": KEY}, "coreset": {"indices_file": "indices.json"}}

    def read(folder: Path) -> None:
        sides = trace.projected(result, folder, folder / "store")
        if sides is not None and not all(np.isfinite(side).all() for side in sides.values()):
            raise Misread(f"{sides}")

    return Target(files, read)


def training() -> Target:
    """What an interrupted training kept."""
    import torch

    from goracs.llm.resume import FILE, Keeper, State

    state = State({"step": 3, "curve": [0.5]}, {"w": torch.arange(4.0)})
    job: Any = SimpleNamespace(name="finetune", runtime=SimpleNamespace(keep_every=0))

    class Part:
        told: State | None = None

        def state(self) -> State:
            return state

        def go_on(self, told: State) -> None:
            self.told = told

    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        Keeper(Path(folder) / "kept", "a", job, {"part": Part()}).keep()
        content = (Path(folder) / "kept" / FILE).read_bytes()

    def read(folder: Path) -> None:
        part = Part()
        Keeper(folder, "a", job, {"part": part}).go_on()
        if part.told is None:
            raise GoracsError("told in the log, and not used")
        if part.told.plain != state.plain or not torch.equal(part.told.tensors["w"], state.tensors["w"]):
            raise Misread(f"{part.told}")

    return Target({FILE: content}, read)


TARGETS = {"checkpoint": checkpoint(), "artifact": artifact(), "arrays of a picture": pictured()}
LATE: dict[str, Callable[[], Target]] = {
    "state of a training": training
}  # whose libraries take long to import
