"""Which examples each optimiser step of a training reads, and in what passes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
import torch

from goracs.data.tokens import batches
from goracs.llm.batch import Batch, Texts
from goracs.llm.forecast import Forecast
from goracs.llm.jobs import Job
from goracs.llm.ranks import here
from goracs.llm.settings import Training
from goracs.types import IndexArray


@dataclass(frozen=True)
class Plan:
    """The rows of each optimiser step, and the tokens read up to its end."""

    steps: tuple[IndexArray, ...]
    tokens: tuple[int, ...]

    @property
    def rows(self) -> list[list[int]]:
        """Those of each step, as plain values."""
        return [step.tolist() for step in self.steps]

    def forecast(self, job: Job) -> Forecast:
        """What tells how long a job by this plan takes."""
        examples, work = sum(map(len, self.steps)), np.diff(self.tokens, prepend=0)
        return Forecast(job.name, job.shorter, examples, self.tokens[-1], work)

    def after(self, done: int) -> Plan:
        """What is left once so many steps are done."""
        read = self.tokens[done - 1] if done else 0
        return Plan(self.steps[done:], tuple(total - read for total in self.tokens[done:]))


def plan(lengths: IndexArray, settings: Training, seed: int) -> Plan:
    """Which examples each step reads: the coreset, reshuffled each time round, cut into batches.

    Laws: every step but the last of `epochs` has min(batch_size, n) examples; no example is read a second
    time before all have been read once; `tokens` stops with the first step that reaches it.
    """
    size, rng = min(settings.batch_size, len(lengths)), np.random.default_rng([seed, 0])
    stream = chain.from_iterable(rng.permutation(len(lengths)) for _ in count())
    to_read = np.inf if settings.epochs is None else settings.epochs * len(lengths)
    most_steps = settings.steps or np.inf
    enough_tokens = settings.tokens or np.inf
    steps: list[IndexArray] = []
    tokens: list[int] = []
    read = total = 0
    while read < to_read and len(steps) < most_steps and total < enough_tokens:
        rows = np.fromiter(islice(stream, int(min(size, to_read - read))), dtype=np.int64)
        read, total = read + len(rows), total + int(lengths[rows].sum())
        steps.append(rows)
        tokens.append(total)
    return Plan(tuple(steps), tuple(tokens))


@dataclass(frozen=True)
class Steps(torch.utils.data.Dataset[list[Batch]]):
    """For each optimiser step the padded batches of this rank's share of it, none above `batch_tokens`."""

    texts: Texts
    schedule: Plan
    batch_tokens: int

    def __len__(self) -> int:
        return len(self.schedule.steps)

    def __getitem__(self, step: int) -> list[Batch]:
        rows = here().part(self.schedule.steps[step])
        return [self.texts.batch(rows[part]) for part in batches(self.texts.lengths[rows], self.batch_tokens)]
