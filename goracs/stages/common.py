"""What the stages share: their kinds of source, the hashed form of settings, examples, the opened LLM."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goracs.cluster.settings import Cluster, Local, refuse_devices
from goracs.data.tasks import Task
from goracs.llm import launched
from goracs.llm.settings import Backbone, Runtime
from goracs.store import CHECKPOINT, External, Stage
from goracs.types import Example, IndexArray

if TYPE_CHECKING:
    from goracs.llm.recommender import Recommender
    from goracs.llm.rows import Pass

Source = Stage | External
Build = Callable[[Path, Mapping[str, Path]], None]
Passes = Callable[[Path, Mapping[str, Path]], "Iterator[Pass]"]
SIDES = {"pool": "train", "target": "valid"}
READ_BY = ("precision", "max_length", "batch_tokens", "attention", "quantize", "trust_remote_code")
PROMPTS = "prompts.json"  # how many prompts a stage of the LLM read, and how many of them it shortened


@dataclass(frozen=True)
class Llm:
    """What every LLM stage starts from: examples, the backbone with its files, the task, the machines."""

    prepared: Stage
    files: Source
    backbone: Backbone
    task: Task
    runtime: Runtime
    cluster: Cluster

    @property
    def inputs(self) -> dict[str, Source]:
        """The artifacts that every LLM stage reads."""
        return {"prepare": self.prepared, "weights": self.files}

    @property
    def params(self) -> dict[str, Any]:
        """How the backbone reads, and of which tokens it has a loss: hashed with every LLM stage."""
        loss = {} if self.task.loss == "pair" else {"loss": self.task.loss}
        return {name: getattr(self.backbone, name) for name in READ_BY} | loss

    def open(self, inputs: Mapping[str, Path]) -> Recommender:
        """The backbone, ready to load."""
        from goracs.llm.recommender import Recommender

        return Recommender(inputs["weights"], self.backbone, self.task, self.runtime, inputs.get("prepare"))


def spread(runtime: Runtime, build: Build) -> Build:
    """The same work by as many processes as the runtime has devices."""
    if runtime.ranks == 1 and not launched.current:
        return build

    def by_ranks(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import starter

        starter.run(build, folder, inputs, runtime)

    return by_ranks


def passed(runtime: Runtime, cluster: Cluster, passes: Passes) -> Build:
    """The work of a stage that yields passes, each made before it goes on, and writes files after the last.

    They are made by as many processes as the runtime has devices, or by the workers of a cluster; of these
    several yield the passes, and one goes on after the last.

    Raises:
        InvalidInput: a cluster whose workers would not have the device that the runtime asks for.
    """
    refuse_devices(cluster, runtime.accelerator)

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.rows import fill

        for _ in map(fill, passes(folder, inputs)):  # none is held any more when the next is made
            pass

    def by_workers(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import workers

        assert not isinstance(cluster, Local)
        workers.run(passes, folder, inputs, cluster, runtime)

    return spread(runtime, build) if isinstance(cluster, Local) else by_workers


def trained_by(runtime: Runtime) -> dict[str, int]:
    """What is hashed of the devices that train: several sum in another order, and drop out otherwise."""
    return {} if runtime.ranks == 1 else {"devices": runtime.ranks}


def spec(settings: Any) -> dict[str, Any]:
    """The hashed form of a settings object: its class and its fields, settings among them likewise."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    plain = {name: spec(value) if is_dataclass(value) else value for name, value in values.items()}
    return {"kind": type(settings).__name__, **plain}


def without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A mapping but for those names."""
    return {name: value for name, value in fields.items() if name not in names}


def examples(inputs: Mapping[str, Path], part: Any) -> Any:
    """The examples of a part of the prepared set among the inputs."""
    from goracs.data.prepare import read_examples

    return read_examples(inputs["prepare"], part)


def checkpoint(folder: Path) -> Path:
    """Where a stage may keep what it has done: beside its artifact's place, until the store removes it."""
    return folder.with_suffix(CHECKPOINT)


def take_arrays(kept: Path, folder: Path) -> None:
    """Copy the arrays of a checkpoint to the artifact; a run that is killed before the end still has them."""
    for file in sorted(kept.glob("*.npy")):
        shutil.copyfile(file, folder / file.name)


def labels(read: Sequence[Example]) -> IndexArray | None:
    """[len] int64; None where the examples have none."""
    if read[0].label is None:
        return None
    return np.array([example.label for example in read], dtype=np.int64)


def write_json(file: Path, value: Any) -> None:
    """Write plain values; NaN is refused."""
    file.write_text(json.dumps(value, indent=1, allow_nan=False))
