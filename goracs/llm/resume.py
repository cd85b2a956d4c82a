"""What an interrupted training goes on from: its state after a whole step, one file beside its artifact.

File    training.safetensors: the tensors of each part of the training under part/name; in its metadata of
        which training it is, as JSON the plain values of each part, and a digest of all that.
Law     the file is written beside its place, brought to the disk and renamed: it is there whole, or not at
        all. Order and dropout follow from (seed, step), so a training that is killed at any moment and
        started again ends with the weights and the curve of an undisturbed one; on a CPU bit by bit.
Anew    a file that cannot be read, is not what was written, or is of another training, is told and not used:
        nothing but time is lost.
        A training that fails leaves none, since it would fail there again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from goracs.llm.jobs import Job
from goracs.llm.ranks import here

FILE = "training.safetensors"
log = logging.getLogger("goracs")


@dataclass(frozen=True)
class State:
    """Values that JSON can hold, and tensors by name."""

    plain: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class Part(Protocol):
    """Something that changes with the steps of a training."""

    def state(self) -> State:
        """All that the next steps and the end follow from."""
        ...

    def go_on(self, state: State) -> None:
        """Be as when `state` was taken."""
        ...


class Keeper(pl.Callback):
    """Keeps the state of a training now and then, after whole steps; the last of its callbacks.

    Args:
        folder: where the file is, or an interrupted training left it; made when it is needed.
        training: anything that tells this training from others that could have left a file there.
        job: of the training; its runtime says how often.
        parts: by name.
    """

    def __init__(self, folder: Path, training: str, job: Job, parts: Mapping[str, Part]) -> None:
        self.file, self.training, self.job, self.parts = folder / FILE, training, job, parts
        self.kept_at = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep, if it is time."""
        if time.monotonic() - self.kept_at >= self.job.runtime.keep_every:
            self.keep()

    def on_exception(self, _trainer: Any, _module: Any, error: BaseException) -> None:
        """Keep when the process is told to terminate, which Lightning asks between steps.

        Ctrl-C comes anywhere, within a step too.
        """
        if isinstance(error, SIGTERMException):
            self.keep()

    def keep(self) -> None:
        """Write the file at once or not at all; of several ranks, all of one state, the first does."""
        if not here().first:
            return
        states = {name: part.state() for name, part in self.parts.items()}
        plain = json.dumps({name: state.plain for name, state in states.items()})
        tensors = {
            f"{name}/{key}": tensor for name, state in states.items() for key, tensor in state.tensors.items()
        }
        self.file.parent.mkdir(exist_ok=True)
        partial = self.file.with_suffix(".partial")
        told = {"training": self.training, "plain": plain, "digest": _digest(plain, tensors)}
        save_file(tensors, partial, told)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.file)
        self.kept_at = time.monotonic()

    def go_on(self) -> None:
        """Bring the parts to where an interrupted training kept them, if one did."""
        if not self.file.exists():
            return
        try:
            training, states = _read(self.file)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            self._tell_anew(f"cannot be read ({error})")
            return
        if training != self.training or states.keys() != self.parts.keys():
            self._tell_anew("is of other settings, data or versions")
            return
        for name, part in self.parts.items():
            part.go_on(states[name])

    def forget(self) -> None:
        """Leave nothing to go on from."""
        shutil.rmtree(self.file.parent, ignore_errors=True)

    def _tell_anew(self, why: str) -> None:
        log.warning(
            "  %s: what an interrupted run kept in %s %s: it starts anew", self.job.name, self.file, why
        )


def _read(file: Path) -> tuple[str, dict[str, State]]:
    """Of which training a file is, and the states of its parts; ValueError where it was changed."""
    with safe_open(file, "pt") as opened:
        told = opened.metadata() or {}
    tensors = load_file(file)
    if told["digest"] != _digest(told["plain"], tensors):
        raise ValueError("its content is not what was written")
    plain, parts = json.loads(told["plain"]), dict[str, dict[str, Tensor]]()
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = tensor
    return told["training"], {name: State(values, parts.get(name, {})) for name, values in plain.items()}


def _digest(plain: str, tensors: Mapping[str, Tensor]) -> str:
    """Of everything a file is to bring back."""
    found = hashlib.sha256(plain.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
