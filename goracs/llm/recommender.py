"""A backbone opened for a task: how it reads examples, what its loss is, how its models are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from peft import PeftModel

from goracs.data.tasks import Task
from goracs.llm import adapter
from goracs.llm.backbone import load_model, load_tokenizer
from goracs.llm.batch import Texts
from goracs.llm.jobs import Job
from goracs.llm.losses import Loss, loss_of, read
from goracs.llm.settings import Backbone, Lora, Runtime
from goracs.types import Example


class Recommender:
    """The files of a backbone with a task's loss; models are loaded anew each time they are asked for.

    Raises:
        GoracsError: the task's answers are not single distinct tokens of this backbone.
    """

    def __init__(self, weights: Path, backbone: Backbone, task: Task, runtime: Runtime) -> None:
        self.weights, self.backbone, self.task, self.runtime = weights, backbone, task, runtime
        self.loss: Loss = loss_of(task, self.tokenizer)

    @cached_property
    def tokenizer(self) -> Any:
        """The backbone's tokenizer."""
        return load_tokenizer(self.weights)

    def read(self, examples: Sequence[Example]) -> Texts:
        """The examples as token ids, as the task's loss reads them."""
        return read(examples, self.task, self.tokenizer, self.backbone.max_length)

    def bare(self) -> Any:
        """The backbone itself, untuned."""
        return load_model(self.weights, self.backbone)

    def fresh(self, lora: Lora, seed: int) -> PeftModel:
        """The backbone with a new LoRA."""
        return adapter.fresh(self.bare(), lora, seed)

    def adapted(self, folder: Path, trainable: bool = False) -> PeftModel:
        """The backbone with a saved adapter."""
        return adapter.load(self.bare(), folder, trainable)

    def job(self, name: str) -> Job:
        """How a job of this backbone runs."""
        return Job(name, self.backbone.precision, self.backbone.batch_tokens, self.runtime)
