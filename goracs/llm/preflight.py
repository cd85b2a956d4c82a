"""What a job of the LLM will cost, from a few batches of its own texts that are run and timed.

Time     grows with the padded tokens of a batch, of a training with the tokens of a step. Of the batches that
         are run the first is not counted.
Memory   the peak while they run. The first batch has the longest texts, and none has more padded tokens than
         batch_tokens, so the rest of the job needs about as much.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from goracs import memory
from goracs.data.tokens import batches, title_ids
from goracs.llm import constrained
from goracs.llm.batch import Texts
from goracs.llm.finetune import thrifty
from goracs.llm.finetune_module import FinetuneModule
from goracs.llm.jobs import Batches, Job, in_parts, loader, make_trainer, train
from goracs.llm.likelihood import LikelihoodModule
from goracs.llm.losses import Loss
from goracs.llm.recommender import Recommender
from goracs.llm.schedule import Plan, Steps, plan
from goracs.llm.settings import Evaluate, Training
from goracs.llm.writing import TitleModule, WritingModule, decoding, read_titles
from goracs.types import IndexArray

TIMED = 3  # batches or steps that are run


@dataclass(frozen=True)
class Cost:
    """Of one job: what it reads, about how many seconds it takes, its peak memory in MB (None: untold)."""

    examples: int
    tokens: int
    seconds: float
    peak_mb: float | None


class Clock(pl.Callback):
    """Keeps the seconds of each batch or step."""

    def __init__(self) -> None:
        self.began, self.seconds = 0.0, list[float]()

    def on_predict_batch_start(self, *_: Any) -> None:
        """Begin one."""
        _wait()
        self.began = time.perf_counter()

    def on_predict_batch_end(self, *_: Any) -> None:
        """End it."""
        _wait()
        self.seconds.append(time.perf_counter() - self.began)

    on_train_batch_start, on_train_batch_end = on_predict_batch_start, on_predict_batch_end


def of_prediction(module: pl.LightningModule, texts: Texts, job: Job) -> Cost:
    """What it costs to predict all of some texts.

    Args:
        module: what predicts a batch of them.
        texts: as the module reads them; at least one.
        job: how it will run.
    """
    groups = batches(texts.lengths, job.batch_tokens)
    padded = np.array([len(group) * texts.lengths[group].max() for group in groups])
    few = np.unique(np.linspace(0, len(groups) - 1, TIMED).astype(int))
    clock, job = Clock(), _unseen(job)
    _forget()
    asked = Batches(texts, [groups[place] for place in few])
    make_trainer(job, [clock]).predict(in_parts(module, job), loader(asked), return_predictions=False)
    return Cost(
        len(texts), int(texts.lengths.sum()), _whole(clock.seconds, padded[few], padded.sum()), _peak_mb()
    )


def of_training(model: Any, loss: Loss, texts: Texts, settings: Training, job: Job) -> Cost:
    """What it costs to train an adapter on some texts.

    Args:
        model: the backbone with the adapter; it is trained for a few steps.
        loss: of the task.
        texts: as many and about as long as those that will be trained on.
        settings: of the training.
        job: how it will run.
    """
    schedule = plan(texts.lengths, settings, 0)
    few = Plan(schedule.steps[:TIMED], schedule.tokens[:TIMED])
    clock, job, total = Clock(), _unseen(job), len(few.steps)
    module = FinetuneModule(model.train(), loss, settings, total, 0, texts, job.halving)
    _forget()
    with thrifty(model) if job.runtime.gradient_checkpointing else nullcontext():
        train(module, Steps(texts, few, job.batch_tokens), make_trainer(job, [clock], max_steps=total))
    seconds = _whole(clock.seconds, np.diff(few.tokens, prepend=0), schedule.tokens[-1])
    return Cost(sum(map(len, schedule.steps)), schedule.tokens[-1], seconds, _peak_mb())


def of_ranking(
    llm: Recommender, model: Any, texts: Texts, titles: Sequence[str], settings: Evaluate, job: Job
) -> tuple[Cost, ...]:
    """What it costs to rank for each of some prompts, by the method of the settings.

    Args:
        llm: the backbone.
        model: of it.
        texts: the prompts.
        titles: of the catalogue.
        settings: of the ranking.
        job: how it will run.
    """
    asked, each = texts.without_answers(), titles[: settings.negatives + 1]
    if settings.method == "ground":
        read = read_titles(llm.tokenizer, titles)
        places = typical(read, min(len(read), len(asked) * len(each)))
        writing = WritingModule(model, llm.tokenizer, decoding(model, llm.tokenizer, settings))
        return of_prediction(writing, asked, job), of_prediction(TitleModule(model), places, job)
    candidates = [list(title_ids(each, llm.task.template, llm.tokenizer).values())] * len(asked)
    if settings.method == "likelihood":
        return (of_prediction(LikelihoodModule(model, candidates, job.halving), asked, job),)
    longest = max(map(len, candidates[0]))
    how = constrained.decoding(llm.tokenizer, settings.beams, longest, settings.likelihood == "mean")
    return (of_prediction(constrained.ConstrainedModule(model, candidates, how), asked, job),)


def typical(texts: Texts, count: int) -> Texts:
    """`count` of some texts, spread evenly over their lengths: a coreset that is not chosen yet."""
    by_length = np.argsort(texts.lengths, kind="stable")
    return texts.of_rows(by_length[np.linspace(0, len(texts) - 1, count).astype(int)])


def _whole(seconds: Sequence[float], work: IndexArray, all_work: float) -> float:
    """Seconds of all the work, from those of some of it; the first counts only where there is no other."""
    counted = slice(1, None) if len(seconds) > 1 else slice(None)
    return float(sum(seconds[counted]) / work[counted].sum() * all_work)


def _unseen(job: Job) -> Job:
    """Without a bar: there is nothing to wait for."""
    return replace(job, runtime=replace(job.runtime, progress=False))


def _wait() -> None:
    """Until the accelerator has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _forget() -> None:
    memory.forget_peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> float | None:
    """Of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return memory.peak_mb()
