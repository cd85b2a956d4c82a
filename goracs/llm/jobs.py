"""What every LLM job needs around its module: the data in batches, a Trainer, a forecast, an end when asked.

A job that predicts gives (rows, {name: values}) per batch; they land in arrays at those rows, so the order
of the batches is free (`gathered` in memory, `goracs.llm.rows` on disk).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter, TQDMProgressBar
from torch.utils.data import DataLoader

from goracs import progress, signals
from goracs.llm.available import no_device
from goracs.llm.batch import Batch, Texts
from goracs.llm.forecast import Forecast
from goracs.llm.halving import BOUND, Halving, joined
from goracs.llm.ranks import TERMINATED, here
from goracs.llm.settings import Runtime
from goracs.types import FloatArray, GoracsError, IndexArray

TRAINER_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed", "float32": "32-true"}


@dataclass(frozen=True)
class Job:
    """How one job runs.

    `name` stands on the bar; `precision` and `batch_tokens`, the bound on the padded tokens of a pass, are
    resolved and hashed by the stage; `runtime` is the machine's part; `shorter` names what in the
    configuration makes the job shorter; in `told` it notes what turned out otherwise than asked.
    """

    name: str
    precision: str
    batch_tokens: int
    runtime: Runtime
    shorter: str = ""
    told: dict[str, int] = field(default_factory=dict, compare=False)

    def agree(self) -> None:
        """Have all ranks note the smallest bound that one of them came to."""
        here().agree(self.told, BOUND)

    @cached_property
    def halving(self) -> Halving:
        """What cuts its batches where they do not fit into memory."""
        return Halving(self.name, self.batch_tokens, self.told)


@dataclass(frozen=True)
class Batches(torch.utils.data.Dataset[Batch]):
    """The padded batch of each group of rows, made when it is asked for."""

    texts: Texts
    groups: Sequence[IndexArray]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> Batch:
        return self.texts.batch(self.groups[place])

    def forecast(self, job: Job) -> Forecast:
        """What tells how long a job on these batches takes."""
        lengths = [self.texts.lengths[group] for group in self.groups]
        padded = np.array([len(group) * group.max() for group in lengths], dtype=np.int64)
        read = np.concatenate(lengths)
        name = job.name if here().count == 1 else f"{job.name}, one of {here().count} shares"
        return Forecast(name, job.shorter, len(read), int(read.sum()), padded)


class Stop(pl.Callback):
    """Ends a prediction when the process is told to terminate; Lightning itself asks only in training."""

    def on_predict_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Leave as an interrupted command does."""
        if trainer.received_sigterm or signals.heard:
            raise SystemExit(TERMINATED)

    def on_train_batch_start(self, *_: Any) -> None:
        """Leave by what came before Lightning listened."""
        if signals.heard:
            raise KeyboardInterrupt


class NamedBar(TQDMProgressBar):
    """A bar that says which job runs."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def on_predict_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """Name a prediction."""
        super().on_predict_batch_start(*args, **kwargs)
        self.predict_progress_bar.set_description(self.job, refresh=False)  # each batch comes here

    def on_train_epoch_start(self, *args: Any) -> None:
        """Name a training."""
        super().on_train_epoch_start(*args)
        self.train_progress_bar.set_description(self.job)


class InLines(pl.Callback):
    """The same in lines, where nobody watches (`goracs.progress`)."""

    def __init__(self, job: str) -> None:
        self.job = job

    def on_predict_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin to tell of a prediction."""
        self.lines = progress.Lines(self.job, "batches", int(sum(trainer.num_predict_batches)))

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin to tell of a training."""
        self.lines = progress.Lines(self.job, "batches", int(trainer.num_training_batches))

    def on_predict_batch_end(self, *_: Any) -> None:
        """One batch more."""
        self.lines.update()

    def on_predict_end(self, *_: Any) -> None:
        """The last line."""
        self.lines.close()

    on_train_batch_end, on_train_end = on_predict_batch_end, on_predict_end


def predict(module: pl.LightningModule, data: Batches, job: Job) -> list[Any]:
    """Run a prediction job, of several ranks each its share; what the steps of all of them return.

    Raises:
        GoracsError: a batch does not fit into memory, even an eighth of it.
    """
    mine = replace(data, groups=here().share(data.groups))
    answers = here().gather(predict_own(module, mine, job))
    job.agree()
    return answers


def predict_own(
    module: pl.LightningModule,
    data: torch.utils.data.Dataset[Any],
    job: Job,
    writer: BasePredictionWriter | None = None,
) -> list[Any]:
    """Run a prediction job on this rank alone; what its steps return, unless a `writer` takes it.

    Raises:
        GoracsError: as `predict`.
    """
    forecast = []
    if isinstance(data, Batches):
        if not len(data):
            return []
        module, forecast = in_parts(module, job), [data.forecast(job)]
    trainer = make_trainer(job, [*([writer] if writer else []), *forecast])
    with signals.at_a_step():
        answers = trainer.predict(module, loader(data), return_predictions=writer is None)
    return answers or []


def in_parts(module: pl.LightningModule, job: Job) -> pl.LightningModule:
    """A module that predicts a batch in parts where it does not fit into memory."""
    step = partial(type(module).predict_step, module)  # not what an earlier part of a pass made of it
    halving = job.halving

    def predict_step(batch: Batch, batch_idx: int) -> Any:  # a name that Lightning looks for
        def parts() -> Any:
            return joined([step(part, batch_idx) for part in halving.cut(batch)])

        return halving.fitting(parts, len(batch.rows))

    module.predict_step = predict_step
    return module


def gathered(answers: Sequence[Any], name: str, count: int) -> FloatArray:
    """[count, ...] float32; the value `name` of what the steps of a job returned, at their rows."""
    rows = torch.cat([rows for rows, _ in answers]).cpu().numpy()
    values = torch.cat([values[name] for _, values in answers]).float().cpu().numpy()
    placed: FloatArray = np.full((count, *values.shape[1:]), np.nan, dtype=np.float32)
    placed[rows] = values
    return placed


def make_trainer(job: Job, callbacks: Sequence[Any] = (), max_steps: int = -1) -> pl.Trainer:
    """A quiet Trainer for one job: no logger, no checkpoints, no model summary, gradients allowed.

    Raises:
        InvalidInput: a device that is not there.
    """
    _hush()
    runtime = job.runtime
    _refuse_absent(runtime.accelerator)
    shown = runtime.progress and here().first
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    return pl.Trainer(
        accelerator=runtime.accelerator,
        devices=_device(runtime),
        precision=TRAINER_PRECISION[job.precision],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=shown and progress.watched(),
        callbacks=[Stop(), *callbacks, *_shown(job.name, shown)],
        inference_mode=False,
        max_steps=max_steps,
        max_epochs=1,
    )


def _shown(name: str, shown: bool) -> list[pl.Callback]:
    if not shown:
        return []
    return [NamedBar(name) if progress.watched() else InLines(name)]


def _refuse_absent(accelerator: str) -> None:
    there = {"gpu": torch.cuda.is_available() or _mps(), "mps": _mps()}
    if not there.get(accelerator, True):
        raise no_device(accelerator)


def _mps() -> bool:
    """Whether there is a GPU of Apple's."""
    return bool(torch.backends.mps.is_available())


def _device(runtime: Runtime) -> int | list[int]:
    """One, or of several GPUs that of this rank."""
    if here().count > 1 and runtime.accelerator != "cpu" and torch.cuda.is_available():
        return [here().place]
    return 1


def train(module: pl.LightningModule, data: torch.utils.data.Dataset[Any], trainer: pl.Trainer) -> None:
    """Fit a module on batches in the order they come."""
    with signals.at_a_step():
        trainer.fit(module, loader(data))


def refuse_non_finite(values: FloatArray, what: str) -> None:
    """Raise GoracsError naming the rows of a model's output that are not finite."""
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        raise GoracsError(
            f"{what} is not finite for {len(bad)} of {len(values)} examples (rows {shown}). "
            "Try backbone.precision=float32, or look at those examples."
        )


def loader(data: torch.utils.data.Dataset[Any]) -> DataLoader[Any]:
    """Batches as the data set makes them, in its order."""
    return DataLoader(data, batch_size=None, shuffle=False)


def _hush() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*Couldn't infer the batch indices.*")
    warnings.filterwarnings("ignore", message="predict returned None if it was on purpose.*")
    warnings.filterwarnings("ignore", message=".*`isinstance.treespec, LeafSpec.` is deprecated.*")
