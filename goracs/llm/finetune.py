"""LoRA fine-tuning: AdamW over a fixed schedule of batches.

Order and dropout are functions of (seed, step) alone, so an interrupted training goes on as if nothing had
been (`goracs.llm.resume`). One optimiser step takes the mean loss over
`batch_size` examples, in passes of bounded size.
After training, the saved adapter is loaded again and must answer as the trained model does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from peft import PeftModel
from torch import Tensor

from goracs.llm import adapter
from goracs.llm.batch import Batch, Texts
from goracs.llm.early_stop import BestLook
from goracs.llm.finetune_module import Checkpoints, FinetuneModule
from goracs.llm.halving import OutOfMemory
from goracs.llm.jobs import Job, make_trainer, train
from goracs.llm.live import Live
from goracs.llm.losses import Loss
from goracs.llm.ranks import here
from goracs.llm.recommender import Recommender
from goracs.llm.resume import Keeper, Part
from goracs.llm.schedule import Plan, Steps, plan
from goracs.llm.settings import Finetune, Training, WarmupAdapter, refuse_more_rows
from goracs.types import Example, GoracsError, InvalidInput

RELOAD_TOLERANCE = 1e-4  # the same weights by the same kernels: anything above rounding is a lost weight
STATE = 3  # the version of what is kept of a training
VERSIONS = ("goracs", "torch", "transformers", "peft", "pytorch-lightning")  # of what the numbers follow from
log = logging.getLogger("goracs")


def finetune(
    model: PeftModel,
    loss: Loss,
    texts: Texts,
    settings: Training,
    seed: int,
    job: Job,
    folder: Path,
    kept: Path,
    checkpoints: int = 0,
    judging: Texts | None = None,
) -> None:
    """Train an adapter; write folder/{adapter,curve.json} and, evenly spaced, folder/checkpoints/<step>.

    An interrupted call leaves its state in the folder `kept`, where the next one goes on. `judging` are the
    validation examples of a training that may end early.

    Raises:
        GoracsError: training changed nothing, a number in it is not finite, or the saved adapter does not
            answer as the trained model does; then nothing is kept.
    """
    schedule, before = plan(texts.lengths, settings, seed), adapter.weights(model)
    total, home = len(schedule.steps), model.device
    module = FinetuneModule(model, loss, settings, total, seed, texts, job.halving)
    passed = Checkpoints([round(total * (k + 1) / checkpoints) for k in range(checkpoints)])
    looks = _looks(settings, judging, total, job)
    parts: dict[str, Part] = {"module": module, "checkpoints": passed}
    parts |= {f"look {place}": look for place, look in enumerate(looks)}
    read = [schedule.rows, texts.lengths.tolist(), [] if judging is None else judging.lengths.tolist()]
    how = [STATE, asdict(settings), seed, job.precision, job.batch_tokens, checkpoints]
    keeper = Keeper(kept, _digest(before, read, how), job, parts)
    try:
        keeper.go_on()
        here().meet()  # nobody writes what another is still reading
        _train(module, schedule, job, [passed, *looks], keeper)
        job.agree()
        model.eval().to(home)  # Lightning leaves it on the CPU, where not every quantised weight can be read
        _tell_skipped(module.curve)
        for look in looks:
            look.restore(model)
        passed.save(model, folder / "checkpoints")
        _save(model, before, texts, settings, folder)
    except OutOfMemory:
        raise  # another time it may fit, and go on
    except GoracsError:
        keeper.forget()
        raise
    curve = [{**row, "tokens": tokens} for row, tokens in zip(module.curve, schedule.tokens, strict=False)]
    (folder / "curve.json").write_text(json.dumps(curve, indent=0))


def _train(
    module: FinetuneModule, schedule: Plan, job: Job, callbacks: Sequence[pl.Callback], keeper: Keeper
) -> None:
    """The steps that are not done yet."""
    done, total = len(module.curve), len(schedule.steps)
    if done:
        log.info("  %s: going on after step %d of %d", job.name, done, total)
    if done == total or any(look.over for look in callbacks if isinstance(look, BestLook)):
        return
    rest = schedule.after(done)
    trainer = make_trainer(
        job, [*callbacks, Live(job.name), rest.forecast(job), keeper], max_steps=total - done
    )
    module.model.train()
    with thrifty(module.model) if job.runtime.gradient_checkpointing else nullcontext():
        train(module, Steps(module.texts, rest, job.batch_tokens), trainer)


@contextmanager
def thrifty(model: PeftModel) -> Iterator[None]:
    """Have a model compute the activations within its layers again in the backward pass, dropout and all.

    Raises:
        InvalidInput: it cannot.
    """
    bare = model.get_base_model()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*gradient_checkpointing.*", category=FutureWarning
        )  # renamed
        try:
            bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        except ValueError as error:
            raise InvalidInput(
                "runtime.gradient_checkpointing=true is nothing for this backbone "
                f"({bare.name_or_path}): {error}"
            ) from error
        try:
            yield
        finally:
            bare.gradient_checkpointing_disable()


def _save(
    model: PeftModel, before: dict[str, Tensor], texts: Texts, settings: Training, folder: Path
) -> None:
    """Write folder/adapter, and see that it is what training made of `before`."""
    after = adapter.weights(model)
    adapter.refuse_unchanged(before, after, settings.at)
    adapter.refuse_diverged(after, settings.at)
    adapter.save(model, folder / "adapter")
    refuse_unfaithful(model, folder / "adapter", texts)


def _digest(start: dict[str, Tensor], *parts: Any) -> str:
    """Of what a training's steps follow from: where it starts, plain values, the packages."""
    found = hashlib.sha256()
    for name, weight in sorted(start.items()):
        found.update(name.encode() + weight.numpy().tobytes())
    found.update(json.dumps([*parts, {name: version(name) for name in VERSIONS}]).encode())
    return found.hexdigest()


def _tell_skipped(curve: Sequence[dict[str, float]]) -> None:
    skipped = sum("skipped" in row for row in curve)
    if skipped:
        log.warning(
            "warning: %d of %d steps changed nothing, since a gradient was beyond fp16 (`skipped` in "
            "curve.json); backbone.precision=bf16 or float32 skips none.",
            skipped, len(curve),
        )  # fmt: skip


def _looks(settings: Training, judging: Texts | None, total: int, job: Job) -> list[BestLook]:
    """What ends a training early, where something may."""
    if not isinstance(settings, Finetune) or settings.patience is None:
        return []
    assert judging is not None
    return [BestLook(judging, settings, total, job)]


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
    return model(**batch.inputs, logits_to_keep=1).logits.float()


def warm_up(
    llm: Recommender, pool: Sequence[Example], settings: WarmupAdapter, folder: Path, kept: Path
) -> None:
    """Train a fresh LoRA on `rows` random pool examples; write what `finetune` does, and keep what it keeps.

    Raises:
        InvalidInput: more rows asked for than the pool has.
        GoracsError: as `finetune`.
    """
    refuse_more_rows(settings, len(pool))
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
        kept,
        settings.checkpoints,
    )
