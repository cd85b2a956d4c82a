"""The loss of each task, one number per example: what is scored is what is trained.

answer (CTR)      the prompt ends where the answer begins; cross-entropy over the logits of {No, Yes} there.
text (SeqRec)     mean negative log-likelihood of every token of prompt and answer but the first, or of the
                  answer's tokens alone.
spelled (CTR)     the same of a prompt and its Yes or No, one token without an end mark, where `task.loss` is
                  not `pair`.
figures           of the chances (`goracs.llm.chances`): at the answer over {No, Yes}; mean over the answer's
                  tokens.
Source            GORACS, loss block of its gradient pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from goracs.data.tasks import Ctr, Task
from goracs.data.tokens import Encoded, answer_tokens
from goracs.llm.batch import IGNORED, Batch, Texts
from goracs.llm.blocked import token_figures, token_losses
from goracs.llm.cache import Beginning
from goracs.llm.chances import Figure
from goracs.llm.output_layer import exact_head, plain_head, states_alone, watched_head
from goracs.types import Example, GoracsError


@dataclass(frozen=True)
class Outcome:
    """Per example: `losses` [B] in nats, and what is computed only when asked for, which training never does.

    `answer_losses()` [B], of the answer alone; `figures(those)` [B] each; `hidden()` [B, d] float32, what
    the output layer saw at the answer, or the mean over a text answer's tokens; `margin()` [B], logit yes
    - logit no.
    """

    losses: Tensor
    answer_losses: Callable[[], Tensor]
    figures: Callable[[Mapping[str, Figure]], dict[str, Tensor]]
    hidden: Callable[[], Tensor]
    margin: Callable[[], Tensor]


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
        pair, states = self.asked(model, batch)
        losses, chance = answer_losses(pair, batch.labels), pair.detach().softmax(1)
        return Outcome(
            losses,
            answer_losses=lambda: losses,
            figures=lambda asked: {name: figure(chance, batch.labels) for name, figure in asked.items()},
            hidden=lambda: states,
            margin=lambda: pair[:, 1] - pair[:, 0],
        )

    def pair_logits(self, model: Any, batch: Batch, before: Beginning | None = None) -> Tensor:
        """[B, 2] float32; the logits of No and Yes after the last token of each row, read behind `before`."""
        return self.asked(model, batch, before)[0]

    def asked(self, model: Any, batch: Batch, before: Beginning | None = None) -> tuple[Tensor, Tensor]:
        """`pair_logits`, and what the output layer saw there: [B, d] float32, without a graph."""
        inputs = before.inputs(batch) if before else batch.inputs
        width = batch.ids.shape[1]
        keep = width - int(batch.last.min())
        with exact_head(model, [self.no_id, self.yes_id]) as seen:
            logits = model(**inputs, logits_to_keep=keep).logits
        at_answer = torch.arange(len(batch.ids)), batch.last - (width - keep)
        return logits[at_answer].float(), seen[0][at_answer].float()


@dataclass(frozen=True)
class TextLoss:
    """Mean negative log-likelihood over prompt and answer, or over the answer alone."""

    answer_alone: bool = False

    def __call__(self, model: Any, batch: Batch) -> Outcome:
        """One forward pass; where the model leaves its logits alone they exist for a block at a time."""
        head = plain_head(model, batch.inputs)
        if head is not None:
            with states_alone(model) as seen:
                model(**batch.inputs)
            return _by_blocks(seen[0], head, batch, self.answer_alone)
        with watched_head(model) as seen:
            logits = model(**batch.inputs).logits
        return _by_logits(seen[0], logits, batch, self.answer_alone)


@dataclass(frozen=True)
class SpelledLoss:
    """Yes or No as a text: its losses are those of `text`, all else is what `pair` has at the prompt's end.

    What is asked beside the losses costs a forward pass of its own; training asks nothing.
    """

    pair: AnswerLoss
    text: TextLoss

    def __call__(self, model: Any, batch: Batch) -> Outcome:
        """One forward pass, and one more where more than losses is asked for."""
        chosen = cache(lambda: self._choice(model, batch))
        return replace(
            self.text(model, batch),
            figures=lambda asked: chosen().figures(asked),
            hidden=lambda: chosen().hidden(),
            margin=lambda: chosen().margin(),
        )

    @torch.no_grad()
    def _choice(self, model: Any, batch: Batch) -> Outcome:
        """What a causal model has read where the answer begins says nothing of the answer."""
        return self.pair(model, replace(batch, last=batch.answer.int().argmax(1) - 1))


def _by_blocks(states: Tensor, head: torch.nn.Linear, batch: Batch, answer_alone: bool) -> Outcome:
    """From hidden states [B, T, d] with their graph."""
    tokens, before, labels = batch.ids[:, 1:], states[:, :-1], next_tokens(batch)
    real = labels != IGNORED
    answer = batch.answer[:, 1:] & real  # with nothing before it an answer's first token is not predicted
    counted = answer if answer_alone else real
    losses = token_losses(before[counted], head, labels[counted])
    return Outcome(
        row_means(losses, counted),
        answer_losses=lambda: row_means(losses.detach()[answer[counted]], answer),
        figures=lambda asked: _answer_means(
            token_figures(before[answer].detach(), head, tokens[answer], asked), answer
        ),
        hidden=lambda: answer_mean(states.detach(), batch.answer),
        margin=no_margin,
    )


def _by_logits(states: Tensor, logits: Tensor, batch: Batch, answer_alone: bool) -> Outcome:
    """From hidden states [B, T, d] and all logits [B, T, V], as a model that changes them gives them."""
    logits = logits[:, :-1].float()
    tokens, labels = batch.ids[:, 1:], next_tokens(batch)
    answer = batch.answer[:, 1:] & (labels != IGNORED)
    of_answer = labels.masked_fill(~answer, IGNORED)

    def figures(asked: Mapping[str, Figure]) -> dict[str, Tensor]:
        chance, right = logits[answer].detach().softmax(1), tokens[answer]
        return _answer_means({name: figure(chance, right) for name, figure in asked.items()}, answer)

    return Outcome(
        text_losses(logits, of_answer if answer_alone else labels),
        answer_losses=lambda: text_losses(logits.detach(), of_answer),
        figures=figures,
        hidden=lambda: answer_mean(states, batch.answer),
        margin=no_margin,
    )


def row_means(values: Tensor, mask: Tensor) -> Tensor:
    """[B] the mean over a row of values [K] that stand, in order, where mask [B, T] is true."""
    placed = torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)
    return placed.sum(1) / mask.sum(1)


def _answer_means(values: Mapping[str, Tensor], answer: Tensor) -> dict[str, Tensor]:
    """name -> [B] the mean over the answer [B, T] of values [K] that stand, in order, at its tokens."""
    return {name: row_means(value, answer) for name, value in values.items()}


def no_margin() -> Tensor:
    """Raise GoracsError: a text has none."""
    raise GoracsError("Margins are of tasks with two answers; these answers are texts.")


def answer_mean(states: Tensor, answer: Tensor) -> Tensor:
    """[B, d] float32; the mean of hidden states [B, T, d] over the tokens that `answer` [B, T] marks."""
    weight = answer.unsqueeze(2)
    return (states.float() * weight).sum(1) / weight.sum(1)


def answer_losses(pair_logits: Tensor, labels: Tensor) -> Tensor:
    """[B] cross-entropy in nats of [B, 2] logits (no, yes) against labels [B] (1 = yes)."""
    return functional.cross_entropy(pair_logits, labels, reduction="none")


def text_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[B] mean cross-entropy in nats of logits [B, T, V] where the label [B, T] is not IGNORED."""
    return each_loss(logits, labels).sum(1) / (labels != IGNORED).sum(1)


def each_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """[B, T] cross-entropy in nats of logits [B, T, V], 0 where the label [B, T] is IGNORED.

    Flat, since a vocabulary that does not lie last takes seven times as long on a CPU.
    """
    losses = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view(labels.shape)


def next_tokens(batch: Batch) -> Tensor:
    """[B, T-1] the token after each position; IGNORED where either of the two is padding.

    So the first real token of a row is never predicted: not from nothing, nor from the padding before it.
    """
    real = (batch.mask[:, :-1] * batch.mask[:, 1:]).bool()
    return batch.ids[:, 1:].masked_fill(~real, IGNORED)


def loss_of(task: Task, tokenizer: Any) -> Loss:
    """The loss that a task is scored and trained by."""
    if not isinstance(task, Ctr):
        return TextLoss(answer_alone=task.loss == "answer")
    pair = AnswerLoss(*answer_tokens(task.answer_no, task.answer_yes, task.template, tokenizer))
    return pair if task.loss == "pair" else SpelledLoss(pair, TextLoss(answer_alone=task.loss == "answer"))


def pair_of(loss: Loss) -> AnswerLoss:
    """What asks for one of two answers, whatever is scored and trained by."""
    pair = loss.pair if isinstance(loss, SpelledLoss) else loss
    assert isinstance(pair, AnswerLoss)
    return pair


def read(encoded: Sequence[Encoded], examples: Sequence[Example], task: Task, tokenizer: Any) -> Texts:
    """Examples as the task's loss reads them: texts with answers, choices without, spelled with one token."""
    tokens = slice(None)
    if isinstance(task, Ctr):
        tokens = slice(0 if task.loss == "pair" else 1)
    prompts, answers = [text.prompt for text in encoded], [text.answer[tokens] for text in encoded]
    labels = [-1 if example.label is None else example.label for example in examples]
    return Texts.of(prompts, answers, labels, tokenizer.pad_token_id)
