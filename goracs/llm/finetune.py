"""LoRA fine-tuning: AdamW over a fixed schedule of batches.

Order and dropout are functions of (seed, step) alone. One optimiser step takes the mean loss over
`batch_size` examples, in passes of bounded size.
After training, the saved adapter is loaded again and must answer as the trained model does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from peft import PeftModel
from torch import Tensor

from goracs.data.tokens import batches
from goracs.llm import adapter
from goracs.llm.batch import Batch, Texts
from goracs.llm.diverged import diverged
from goracs.llm.early_stop import BestLook
from goracs.llm.forecast import Forecast
from goracs.llm.jobs import Job, make_trainer, train
from goracs.llm.losses import Loss
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Finetune, Training, WarmupAdapter
from goracs.types import Example, GoracsError, IndexArray, InvalidInput

RELOAD_TOLERANCE = 1e-4  # the same weights by the same kernels: anything above rounding is a lost weight


@dataclass(frozen=True)
class Plan:
    """The rows of each optimiser step, and the tokens read up to its end."""

    steps: tuple[IndexArray, ...]
    tokens: tuple[int, ...]

    def forecast(self, job: Job) -> Forecast:
        """What tells how long a job by this plan takes."""
        examples, work = sum(map(len, self.steps)), np.diff(self.tokens, prepend=0)
        return Forecast(job.name, job.shorter, examples, self.tokens[-1], work)


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
    """For each optimiser step the padded batches that make it up, none above `batch_tokens`."""

    texts: Texts
    schedule: Plan
    batch_tokens: int

    def __len__(self) -> int:
        return len(self.schedule.steps)

    def __getitem__(self, step: int) -> list[Batch]:
        rows = self.schedule.steps[step]
        return [self.texts.batch(rows[part]) for part in batches(self.texts.lengths[rows], self.batch_tokens)]


class FinetuneModule(pl.LightningModule):
    """Trains the LoRA weights of a peft model; `curve` keeps loss and learning rate of every step.

    `texts` are what its steps read.
    """

    def __init__(
        self, model: Any, loss: Loss, settings: Training, total_steps: int, seed: int, texts: Texts
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.loss, self.settings = model, loss, settings
        self.total_steps, self.seed, self.texts = total_steps, seed, texts
        self.curve: list[dict[str, float]] = []

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and linear decay."""
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self.settings.lr, weight_decay=self.settings.weight_decay)
        rise = max(1, round(self.settings.warmup_share * self.total_steps))
        fall = self.total_steps - rise + 1
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / rise, (self.total_steps - step) / fall)
        )
        return [optimizer], [schedule]

    def training_step(self, parts: list[Batch], step: int) -> None:
        """One optimiser step over all its parts.

        Raises:
            GoracsError: a loss or the gradient is not finite; no weight has changed then.
        """
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        optimizer.zero_grad()
        examples = sum(len(part.rows) for part in parts)
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.default_rng([self.seed, 1, step]).integers(2**62)))
            losses = [self._backward(part, examples) for part in parts]
        loss = float(sum(part.sum() / examples for part in losses))
        if not isfinite(loss) or not isfinite(self._gradient_norm()):
            raise self._diverged(step, torch.cat([part.rows for part in parts]), torch.cat(losses))
        self.clip_gradients(optimizer, self.settings.max_grad_norm, "norm")
        self.curve.append({"step": step + 1, "loss": loss, "lr": optimizer.param_groups[0]["lr"]})
        optimizer.step()
        schedule.step()
        self.log("loss", loss, prog_bar=True, batch_size=examples)

    def _backward(self, part: Batch, examples: int) -> Tensor:
        """The part of the step's gradient; [B] losses."""
        losses = self.loss(self.model, part).losses
        self.manual_backward(losses.sum() / examples)
        return losses.detach()

    def _diverged(self, step: int, rows: Tensor, losses: Tensor) -> GoracsError:
        told = f"step {step + 1} of {self.total_steps}"
        return diverged(self.model, self.settings, told, self.texts, self.settings.examples, rows, losses)

    def _gradient_norm(self) -> float:
        """L2, over all that is trained."""
        grads = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        return float(torch.nn.utils.get_total_norm(grads))


class Checkpoints(pl.Callback):
    """Saves the adapter to folder/<step>/ after each of the given optimiser steps."""

    def __init__(self, steps: Sequence[int], folder: Path) -> None:
        self.steps, self.folder = set(steps), folder

    def on_train_batch_end(self, _trainer: Any, module: Any, _outputs: Any, _batch: Any, step: int) -> None:
        """Save if this step is one of them, and training has not diverged."""
        if step + 1 in self.steps:
            adapter.refuse_diverged(adapter.weights(module.model), module.settings.at)
            adapter.save(module.model, self.folder / str(step + 1))


def finetune(
    model: PeftModel,
    loss: Loss,
    texts: Texts,
    settings: Training,
    seed: int,
    job: Job,
    folder: Path,
    checkpoints: int = 0,
    judging: Texts | None = None,
) -> None:
    """Train an adapter; write folder/{adapter,curve.json} and, evenly spaced, folder/checkpoints/<step>.

    `judging` are the validation examples of a training that may end early.

    Raises:
        GoracsError: training changed nothing, a number in it is not finite, or the saved adapter does not
            answer as the trained model does.
    """
    schedule = plan(texts.lengths, settings, seed)
    total = len(schedule.steps)
    module = FinetuneModule(model, loss, settings, total, seed, texts)
    before = adapter.weights(model)
    saving = Checkpoints(
        [round(total * (k + 1) / checkpoints) for k in range(checkpoints)], folder / "checkpoints"
    )
    looks = _looks(settings, judging, total, job)
    model.train()
    trainer = make_trainer(job, [saving, schedule.forecast(job), *looks], max_steps=total)
    train(module, Steps(texts, schedule, job.batch_tokens), trainer)
    model.eval()
    for look in looks:
        look.restore(model)
    after = adapter.weights(model)
    adapter.refuse_unchanged(before, after, settings.at)
    adapter.refuse_diverged(after, settings.at)
    adapter.save(model, folder / "adapter")
    refuse_unfaithful(model, folder / "adapter", texts)
    curve = [{**row, "tokens": tokens} for row, tokens in zip(module.curve, schedule.tokens, strict=False)]
    (folder / "curve.json").write_text(json.dumps(curve, indent=0))


def _looks(settings: Training, judging: Texts | None, total: int, job: Job) -> list[BestLook]:
    """What ends a training early, where something may."""
    if not isinstance(settings, Finetune) or settings.patience is None:
        return []
    assert judging is not None
    return [BestLook(judging, settings, total, job.batch_tokens)]


def refuse_unfaithful(model: PeftModel, saved: Path, texts: Texts) -> None:
    """Raise GoracsError unless the adapter in `saved` gives the trained model's logits on a few examples."""
    batch = texts.batch(np.arange(min(4, len(texts)), dtype=np.int64)).to(model.device)
    trained = _logits(model, batch)
    model.load_adapter(str(saved), adapter_name="saved")
    model.set_adapter("saved")
    reloaded = _logits(model, batch)
    model.set_adapter("default")
    model.delete_adapter("saved")
    if not torch.allclose(trained, reloaded, rtol=RELOAD_TOLERANCE, atol=RELOAD_TOLERANCE):
        worst = float((trained - reloaded).abs().max())
        raise GoracsError(
            f"The adapter saved in {saved} differs from the trained model by {worst:.2g} in its logits."
        )


@torch.no_grad()
def _logits(model: PeftModel, batch: Batch) -> Tensor:
    read = {"input_ids": batch.ids, "attention_mask": batch.mask, "position_ids": batch.positions}
    return model(**read, logits_to_keep=1).logits.float()


def warm_up(llm: Recommender, pool: Sequence[Example], settings: WarmupAdapter, folder: Path) -> None:
    """Train a fresh LoRA on `rows` random pool examples; write the adapter to `folder`, checkpoints below it.

    Raises:
        InvalidInput: more rows asked for than the pool has.
        GoracsError: as `finetune`.
    """
    if settings.rows > len(pool):
        raise InvalidInput(f"adapter.rows={settings.rows} is more than the pool has: {len(pool)} examples.")
    rows = np.random.default_rng([settings.seed, 2]).choice(len(pool), settings.rows, replace=False)
    texts = llm.read([pool[row] for row in np.sort(rows)])
    model = llm.fresh(settings.lora, settings.seed)
    finetune(
        model,
        llm.loss,
        texts,
        settings.training,
        settings.seed,
        llm.job("warm up", "adapter.rows or adapter.training.epochs"),
        folder,
        settings.checkpoints,
    )
