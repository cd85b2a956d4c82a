"""Workers of a pool in this process, and pools that are hard for them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from goracs.cluster.questions import Question, Worker
from goracs.cluster.spread import Joined

Drawn = np.random.Generator


class Here:
    """Workers in this process, who answer in any order and begin anew at any time."""

    def __init__(self, count: int, draw: Drawn) -> None:
        self.count, self.draw, self.asked = count, draw, [0] * count
        self.workers = [Worker() for _ in range(count)]
        self.told: list[Any] = []

    def send(self, worker: int, folder: str, numbers: Sequence[int], question: Question) -> Any:
        self.asked[worker] += len(numbers)
        return (worker, folder, tuple(numbers), question)

    def first(self, sent: Collection[Any]) -> Any:
        handles = list(sent)
        return handles[self.draw.integers(len(handles))]

    def answers(self, handle: Any) -> list[Any]:
        worker, folder, numbers, question = handle
        if self.draw.random() < 0.2:
            self.workers[worker] = Worker()  # it was lost
        found: list[Any] = self.workers[worker].answers(folder, numbers, question)
        self.told += found
        return found


def odd(draw: Drawn, rows: int) -> np.ndarray:
    """Rows that tie, repeat, lie far out, or are plain; float32 or float64."""
    kind = draw.integers(5)
    if kind == 0:
        return draw.integers(0, 2, (rows, 3)).astype(np.float32)
    if kind == 4:  # sums of these tie but for rounding, in one order or another
        lattice: np.ndarray = draw.integers(0, 6, (rows, 3)) * np.array([1, int(draw.integers(2)), 0])
        return lattice
    if kind == 1:
        return np.repeat(draw.normal(size=(1, 3)), rows, axis=0)
    found = draw.normal(size=(rows, 3)).astype(draw.choice(["f4", "f8"]))
    return found * 10.0 ** draw.integers(0, 9, (rows, 1)) if kind == 2 else found


def crew(root: Path, draw: Drawn) -> Joined:
    """Up to four workers, and up to eight shards for each."""
    folder = root / uuid.uuid4().hex
    folder.mkdir()
    hands = Here(int(draw.integers(1, 5)), draw)
    return Joined(lambda: hands, folder, int(draw.integers(1, 9)))
