"""The loss of each task, one number per example: what is scored is what is trained.

answer (CTR)      the prompt ends where the answer begins; cross-entropy over the logits of {No, Yes} there.
text (SeqRec)     mean negative log-likelihood of every token of prompt and answer but the first.
EL2N              norm of (softmax - one-hot): at the answer over {No, Yes}; mean over the answer's tokens.
Source            GORACS, loss block of its gradient pass; EL2N: Paul et al. 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from goracs.data.tasks import Ctr, Task
from goracs.data.tokens import Encoded, answer_tokens
from goracs.llm.batch import IGNORED, Batch, Texts
from goracs.types import Example, GoracsError


@dataclass(frozen=True)
class Outcome:
    """Per example: `losses` [B] in nats; `el2n()` [B], computed when asked for, which training never does."""

    losses: Tensor
    el2n: Callable[[], Tensor]


class Loss(Protocol):
    """From a model and a batch to one loss per example; the losses of a batch do not touch each other."""

    def __call__(self, model: Any, batch: Batch) -> Outcome: ...  # noqa: D102


@dataclass(frozen=True)
class AnswerLoss:
    """Cross-entropy over the two answers at the end of the prompt; ids as the tokenizer gives them."""

    no_id: int
    yes_id: int

    def __call__(self, model: Any, batch: Batch) -> Outcome:
        """One forward pass that keeps only the last logits."""
        pair = self.pair_logits(model, batch)
        one_hot = functional.one_hot(batch.labels, 2)
        return Outcome(answer_losses(pair, batch.labels), lambda: (pair.softmax(1) - one_hot).norm(dim=1))

    def pair_logits(self, model: Any, batch: Batch) -> Tensor:
        """[B, 2] float32; the logits of No and Yes after the last token of each prompt."""
        width = batch.ids.shape[1]
        keep = width - int(batch.last.min())
        with exact_head(model, [self.no_id, self.yes_id]):
            logits = model(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                logits_to_keep=keep,
            ).logits
        at_answer: Tensor = logits[torch.arange(len(batch.ids)), batch.last - (width - keep)]
        return at_answer.float()


@dataclass(frozen=True)
class TextLoss:
    """Mean negative log-likelihood over prompt and answer."""

    def __call__(self, model: Any, batch: Batch) -> Outcome:
        """One forward pass with all logits."""
        logits = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions).logits
        logits = logits[:, :-1].float()
        tokens, answer = batch.ids[:, 1:], batch.answer[:, 1:]
        return Outcome(text_losses(logits, next_tokens(batch)), lambda: answer_el2n(logits, tokens, answer))


@contextmanager
def exact_head(model: Any, ids: list[int]) -> Iterator[None]:
    """Have the model give only the logits of the tokens `ids`, computed in float32.

    In bf16, logits near 30 are multiples of 1/8: the difference of two would be all ties. What a model does
    to its logits after the output layer (soft caps, scales) still happens.

    Raises:
        GoracsError: the output layer itself has a LoRA, which this would leave out.
    """
    head = model.get_output_embeddings()
    if hasattr(head, "lora_B"):
        raise GoracsError(
            "The Yes/No task cannot use a LoRA on the output layer: remove it from adapter.lora.targets."
        )

    def recompute(layer: Any, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor:
        bias = None if layer.bias is None else layer.bias[ids].float()
        with torch.autocast(inputs[0].device.type, enabled=False):
            return functional.linear(inputs[0].float(), layer.weight[ids].float(), bias)

    handle = head.register_forward_hook(recompute)
    try:
        yield
    finally:
        handle.remove()


def answer_losses(pair_logits: Tensor, labels: Tensor) -> Tensor:
    """[B] cross-entropy in nats of [B, 2] logits (no, yes) against labels [B] (1 = yes)."""
    return functional.cross_entropy(pair_logits, labels, reduction="none")


def text_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[B] mean cross-entropy in nats of logits [B, T, V] where the label [B, T] is not IGNORED."""
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    return losses.sum(1) / (labels != IGNORED).sum(1)


def next_tokens(batch: Batch) -> Tensor:
    """[B, T-1] the token after each position; IGNORED where either of the two is padding.

    So the first real token of a row is never predicted: not from nothing, nor from the padding before it.
    """
    real = (batch.mask[:, :-1] * batch.mask[:, 1:]).bool()
    return batch.ids[:, 1:].masked_fill(~real, IGNORED)


def answer_el2n(logits: Tensor, tokens: Tensor, answer: Tensor) -> Tensor:
    """[B] mean over the answer's tokens of the norm of (softmax - one-hot).

    ||p - e||^2 = sum p^2 - 2 p_token + 1, so no one-hot of the vocabulary is made.
    """
    chance = logits.detach().softmax(2)
    of_token = chance.gather(2, tokens.unsqueeze(2)).squeeze(2)
    norms = (chance.square().sum(2) - 2 * of_token + 1).clamp(min=0).sqrt()
    return (norms * answer).sum(1) / answer.sum(1)


def loss_of(task: Task, tokenizer: Any) -> Loss:
    """The loss that a task is scored and trained by."""
    if isinstance(task, Ctr):
        return AnswerLoss(*answer_tokens(task.answer_no, task.answer_yes, task.template, tokenizer))
    return TextLoss()


def read(encoded: Sequence[Encoded], examples: Sequence[Example], task: Task, tokenizer: Any) -> Texts:
    """Examples as the task's loss reads them: the text loss with answers, the answer loss up to them."""
    return Texts(
        prompts=[text.prompt for text in encoded],
        answers=[() if isinstance(task, Ctr) else text.answer for text in encoded],
        labels=[-1 if example.label is None else example.label for example in examples],
        pad_id=tokenizer.pad_token_id,
    )
