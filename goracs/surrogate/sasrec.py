"""SASRec: which item comes next, from the items before, by self-attention.

Input    sequences of items as whole numbers from 1, padded with 0 on the right.
Loss     at each position -log s(x) - log s(-x'), x and x' the inner products of the state there with the next
         item and with one that is not in the sequence, s the logistic function; of a row the mean over its
         positions.
Source   Kang & McAuley 2018, with the blocks of BERT and the sizes that DEALRec (Lin et al. 2024) takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from goracs.llm.jobs import Job, make_trainer, train
from goracs.surrogate.settings import Surrogate
from goracs.types import IndexArray, InvalidInput

SPREAD = 0.02  # of new weights


@dataclass(frozen=True)
class Rows:
    """Some sequences, [B, T] each: items `before`, those that came right `after` each, and `other` ones."""

    before: Tensor
    after: Tensor
    other: Tensor

    def __len__(self) -> int:
        return len(self.before)

    def __getitem__(self, rows: Tensor | slice) -> Rows:
        return Rows(self.before[rows], self.after[rows], self.other[rows])

    def to(self, device: torch.device) -> Rows:
        """The same on a device."""
        return Rows(self.before.to(device), self.after.to(device), self.other.to(device))


class SASRec(nn.Module):
    """Its output is the loss of each row."""

    def __init__(self, items: int, longest: int, settings: Surrogate) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, settings.width, padding_idx=0)
        self.places = nn.Embedding(longest, settings.width)
        self.norm, self.dropout = nn.LayerNorm(settings.width), nn.Dropout(settings.dropout)
        block = nn.TransformerEncoderLayer(
            settings.width,
            settings.heads,
            4 * settings.width,
            settings.dropout,
            activation="gelu",
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(block, settings.blocks, enable_nested_tensor=False)
        self.apply(_drawn)

    def forward(self, rows: Rows) -> Tensor:
        """[B] losses."""
        states, real = self.states(rows.before), (rows.after > 0).float()
        right, wrong = ((states * self.items(ids)).sum(2) for ids in (rows.after, rows.other))
        each = functional.softplus(-right) + functional.softplus(wrong)
        return (each * real).sum(1) / real.sum(1)

    def states(self, ids: Tensor) -> Tensor:
        """[B, T, width] states of [B, T] items, each of what stands before and at its place."""
        length = ids.shape[1]
        embedded = self.items(ids) + self.places.weight[:length]
        later = torch.ones(length, length, dtype=torch.bool, device=ids.device).triu(1)
        found: Tensor = self.encoder(self.dropout(self.norm(embedded)), mask=later)
        return found


def rows_of(sequences: Sequence[Sequence[int]], items: int, rng: np.random.Generator) -> Rows:
    """Sequences of at least two items, padded, with drawn items that are not in them.

    Raises:
        InvalidInput: a sequence that holds all items: nothing is left to ask beside them.
    """
    fullest = max(len(set(sequence)) for sequence in sequences)
    if fullest >= items:
        raise InvalidInput(
            f"a row of the pool holds all of its {items} items, so the surrogate has none to ask beside "
            "them: give a larger pool, or lower dataset.history."
        )
    width = max(map(len, sequences)) - 1
    padded = np.zeros((len(sequences), width + 1), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    other = _absent(padded, items, rng)[:, 1:] * (padded[:, 1:] > 0)
    return Rows(*(torch.from_numpy(ids.copy()) for ids in (padded[:, :-1], padded[:, 1:], other)))


def _absent(padded: IndexArray, items: int, rng: np.random.Generator) -> IndexArray:
    """For each place an item of 1..items, uniform among those that are not in its row."""
    drawn = rng.integers(1, items + 1, padded.shape)
    while (inside := (drawn[:, :, None] == padded[:, None, :]).any(axis=2)).any():
        drawn[inside] = rng.integers(1, items + 1, int(inside.sum()))
    return drawn


def _drawn(module: nn.Module) -> None:
    """The weights a model starts from."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class SASRecModule(pl.LightningModule):
    """The training of a SASRec: a batch of row numbers a step."""

    def __init__(self, model: SASRec, rows: Rows, lr: float) -> None:
        super().__init__()
        self.model, self.rows, self.lr = model, rows, lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def training_step(self, batch: Tensor, _place: int) -> Tensor:
        """The mean loss of some rows."""
        loss: Tensor = self.model(self.rows[batch.cpu()].to(self.device)).mean()
        return loss


class Order(torch.utils.data.Dataset[IndexArray]):
    """Which rows each step of a training reads: all of them once an epoch, drawn anew for each."""

    def __init__(self, count: int, settings: Surrogate) -> None:
        self.count, self.settings = count, settings
        self.batches = -(-count // settings.batch_size)  # of an epoch
        self.drawn = lru_cache(maxsize=1)(self._drawn)

    def __len__(self) -> int:
        return self.settings.epochs * self.batches

    def __getitem__(self, step: int) -> IndexArray:
        epoch, place = divmod(step, self.batches)
        start = place * self.settings.batch_size
        return self.drawn(epoch)[start : start + self.settings.batch_size]

    def _drawn(self, epoch: int) -> IndexArray:
        return np.random.default_rng([self.settings.seed, 1, epoch]).permutation(self.count)


def trained(rows: Rows, items: int, settings: Surrogate, job: Job) -> SASRec:
    """A SASRec that has learnt some rows."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = SASRec(items, rows.before.shape[1], settings)
        order = Order(len(rows), settings)
        train(SASRecModule(model, rows, settings.lr), order, make_trainer(job, max_steps=len(order)))
    return model.cpu().eval()
