"""A backbone opened for a task: how it reads examples, what its loss is, how its models are loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from peft import PeftModel

from goracs.data.prepare import read_blocks, read_titles
from goracs.data.tasks import Task
from goracs.data.tokens import encode_blocks, marks_in_front
from goracs.llm import adapter
from goracs.llm.backbone import load_model, load_tokenizer
from goracs.llm.batch import Texts
from goracs.llm.jobs import Job
from goracs.llm.kept_texts import once
from goracs.llm.losses import AnswerLoss, Loss, loss_of, pair_of, read
from goracs.llm.packed import Packed
from goracs.llm.settings import Backbone, Lora, Runtime
from goracs.types import Example

log = logging.getLogger("goracs")


class Recommender:
    """The files of a backbone with a task's loss; models are loaded anew each time they are asked for.

    `prepared` is the folder of the examples that are read, None where none are; `prompts` counts those that
    were read, and those of them that were shortened; a job adds `batch_tokens` where it had to take less.

    Raises:
        GoracsError: the task's answers are not single distinct tokens of this backbone.
    """

    def __init__(
        self, weights: Path, backbone: Backbone, task: Task, runtime: Runtime, prepared: Path | None
    ) -> None:
        self.weights, self.backbone, self.task, self.runtime = weights, backbone, task, runtime
        self.prepared, self.prompts = prepared, {"read": 0, "shortened": 0}
        self.loss: Loss = loss_of(task, self.tokenizer)

    @cached_property
    def tokenizer(self) -> Any:
        """The backbone's tokenizer."""
        return load_tokenizer(self.weights, self.backbone.trust_remote_code)

    def read(self, examples: Sequence[Example]) -> Texts:
        """The examples as token ids, as the task's loss reads them; what is too long loses old history items.

        Raises:
            GoracsError: a prompt is too long without any history.
        """
        return replace(self._told(Texts.joined(self._blocks([examples]))), examples=examples)

    def read_part(self, part: str, kept: Path | None) -> Texts:
        """As `read`, all of a part of the prepared set; its examples are not held.

        Where a folder is given the ids are kept there, for all who read them (`goracs.llm.kept_texts`).

        Raises:
            GoracsError: as `read`.
        """
        assert self.prepared is not None
        blocks = self._blocks(read_blocks(self.prepared, part))
        task, longest = self.task, self.backbone.max_length
        of = {"part": part, "template": task.template, "loss": task.loss, "max_length": longest}
        return self._told(once(kept, part, of, blocks))

    def _blocks(self, blocks: Iterable[Sequence[Example]]) -> Iterator[Texts]:
        assert self.prepared is not None
        titles, longest = read_titles(self.prepared), self.backbone.max_length
        for examples, encoded, shortened in encode_blocks(blocks, self.task, titles, self.tokenizer, longest):
            yield replace(read(encoded, examples, self.task, self.tokenizer), shortened=shortened)

    def _told(self, texts: Texts) -> Texts:
        """The same texts, counted."""
        self.prompts["read"] += len(texts)
        self.prompts["shortened"] += texts.shortened
        if texts.shortened:
            longest = self.backbone.max_length
            log.info("  %d of %d prompts shortened to %d tokens", texts.shortened, len(texts), longest)
        return texts

    @property
    def pair(self) -> AnswerLoss:
        """What asks Yes or No, of a task that has them, and reads no answer."""
        return pair_of(self.loss)

    def asked(self, examples: Sequence[Example]) -> Texts:
        """As `read`, the prompts alone."""
        return self.read(examples).without_answers()

    def alone(self, texts: Texts) -> Texts:
        """The answers of texts with nothing before them but the tokenizer's own marks."""
        return replace(texts, prompts=Packed.repeated(marks_in_front(self.tokenizer), len(texts)))

    def bare(self) -> Any:
        """The backbone itself, untuned."""
        return load_model(self.weights, self.backbone)

    def fresh(self, lora: Lora, seed: int) -> PeftModel:
        """The backbone with a new LoRA."""
        return adapter.fresh(self.bare(), lora, seed)

    def adapted(self, folder: Path, trainable: bool = False) -> PeftModel:
        """The backbone with a saved adapter."""
        return adapter.load(self.bare(), folder, trainable)

    def job(self, name: str, shorter: str) -> Job:
        """How a job of this backbone runs; `shorter` names what in the configuration makes it shorter."""
        backbone = self.backbone
        return Job(name, backbone.precision, backbone.batch_tokens, self.runtime, shorter, self.prompts)
