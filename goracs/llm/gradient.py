"""Per-example numbers from one pass of the LLM: losses, figures of its chances, hidden state, gradient.

Gradient     of the example's loss with respect to one matrix, lora_B of the last layer's `layer` linear,
             taken with dropout off:  G = sum_t dL/dy_t x_t'  for input x_t and output y_t of lora_B.
Cost         everything below that matrix runs without a graph, so a pass costs little more than a forward;
             where no gradient is asked for it is a forward.
Law          the same numbers as one backward pass per example, for either padding side; and the same bits
             whatever else is asked for in the same pass.
Source       GORACS, section on gradient norms; departures: docs/method.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.llm.batch import Batch, Texts
from goracs.llm.chances import FIGURES
from goracs.llm.jobs import Job
from goracs.llm.losses import Loss, Outcome
from goracs.llm.rows import fill
from goracs.llm.settings import Score

WITH_GRADIENTS = frozenset({"gradient_norm", "sketch"})


@dataclass
class Seen:
    """What passed through lora_B in one forward: its input [B, T, r] and its output [B, T, out], a leaf."""

    input: Tensor = field(default_factory=lambda: torch.empty(0))
    output: Tensor = field(default_factory=lambda: torch.empty(0))


class ScoreModule(pl.LightningModule):
    """Predicts the numbers `names` of each example: [B], hidden [B, d], sketch [B, k].

    Names: loss, answer_loss, margin, hidden, gradient_norm, sketch, and those of `goracs.llm.chances`.

    `matrix` is where gradients are taken, `projection` [k, out * r] what sketches them; None where no name
    asks for that.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        names: frozenset[str],
        matrix: torch.nn.Module | None,
        projection: Tensor | None,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.names = model, loss, names
        self.matrix, self.projection = matrix, projection

    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Score one batch."""
        values: dict[str, Tensor] = {}
        if self.matrix is None:
            with torch.no_grad():
                outcome = self.loss(self.model, batch)
        else:
            outcome, values = self._with_gradients(batch, self.matrix)
        others = {
            "loss": lambda: outcome.losses,
            "answer_loss": outcome.answer_losses,
            "margin": outcome.margin,
            "hidden": outcome.hidden,
        }
        values |= {name: tell().detach() for name, tell in others.items() if name in self.names}
        values |= outcome.figures({name: FIGURES[name] for name in sorted(self.names & FIGURES.keys())})
        return batch.rows, values

    def _with_gradients(self, batch: Batch, matrix: torch.nn.Module) -> tuple[Outcome, dict[str, Tensor]]:
        with torch.enable_grad(), watched(matrix) as seen:
            outcome = self.loss(self.model, batch)
            (slope,) = torch.autograd.grad(outcome.losses.sum(), seen.output)
        with torch.autocast(batch.ids.device.type, enabled=False):  # it would round the sums to bf16
            gradients = torch.einsum("bto,bti->boi", slope.float(), seen.input.float()).flatten(1)
            values = {"gradient_norm": gradients.norm(dim=1)} if "gradient_norm" in self.names else {}
            if self.projection is not None:
                values["sketch"] = gradients @ self.projection.to(gradients.device).T
        return outcome, values


@contextmanager
def watched(matrix: torch.nn.Module) -> Iterator[Seen]:
    """Record what passes through a linear layer, and start the graph at its output."""
    seen = Seen()

    def record(_module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.input, seen.output = inputs[0].detach(), output.detach().requires_grad_(True)
        return seen.output

    handle = matrix.register_forward_hook(record)
    try:
        yield seen
    finally:
        handle.remove()


def last_lora_b(model: torch.nn.Module, settings: Score) -> torch.nn.Linear:
    """lora_B of the last linear called `settings.layer`.

    Raises:
        InvalidInput: the adapter has none there; the message names the linears it adapts.
    """
    last: dict[str, torch.nn.Linear] = {
        name.rpartition(".")[2]: module.lora_B["default"]
        for name, module in model.named_modules()
        if "default" in getattr(module, "lora_B", {})
    }
    settings.refuse_absent_layer(last)
    return last[settings.layer]


def gaussian_projection(rows: int, columns: int, seed: int) -> Tensor:
    """[rows, columns] float32 standard normal / sqrt(rows): it keeps squared norms on average."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) / rows**0.5


def module(model: Any, loss: Loss, settings: Score | None, names: frozenset[str]) -> ScoreModule:
    """What predicts the numbers `names`; `settings` may be None where no name asks for a gradient.

    Raises:
        InvalidInput: the adapter has no LoRA where gradients are taken.
    """
    matrix, projection = None, None
    if names & WITH_GRADIENTS:
        assert settings is not None
        matrix = last_lora_b(model, settings)
        if "sketch" in names:
            projection = gaussian_projection(settings.sketch_dim, matrix.weight.numel(), settings.sketch_seed)
    return ScoreModule(model, loss, names, matrix, projection)


def score(
    model: Any,
    loss: Loss,
    texts: Texts,
    settings: Score | None,
    names: frozenset[str],
    job: Job,
    folder: Path,
    side: str,
) -> None:
    """Write folder/<side>_<name>.npy, float32 [count], hidden [count, d], sketch [count, k].

    What an interrupted call left in the folder is not scored again. `settings` as for `module`.

    Raises:
        GoracsError: a number is not finite; the rows are named.
    """
    scoring = module(model, loss, settings, names)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(sorted(names), ())
    if "hidden" in names:
        shapes["hidden"] = (model.config.get_text_config().hidden_size,)
    if scoring.projection is not None:
        shapes["sketch"] = (len(scoring.projection),)
    fill(scoring, texts, shapes, job, folder, side)
