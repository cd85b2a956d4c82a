"""Per-example numbers from one pass of the LLM: losses, figures of its chances, hidden state, gradient.

Gradient     of the example's loss with respect to chosen LoRA matrices, taken with dropout off; the usual one
             is lora_B of the last layer's `v_proj`. Of one matrix it is  G = sum_t dL/dy_t x_t'  for input
             x_t and output y_t; its norm is over all that are chosen.
Cost         everything below the lowest chosen matrix runs without a graph, so with the usual one a pass
             costs little more than a forward; where no gradient is asked for it is a forward.
Law          the same numbers as one backward pass per example, for either padding side; and the same bits
             whatever else is asked for in the same pass.
Source       GORACS, section on gradient norms; departures: docs/method.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from goracs.llm import adam
from goracs.llm.adam import Moments
from goracs.llm.batch import Batch, Texts
from goracs.llm.chances import FIGURES
from goracs.llm.jobs import Job
from goracs.llm.losses import Loss, Outcome
from goracs.llm.rows import Pass, fill
from goracs.llm.settings import Score
from goracs.types import InvalidInput

WITH_GRADIENTS = frozenset({"gradient_norm", "sketch"})
MOST_PROJECTED = 2**32  # bytes of a projection
# fp16 loses digits below 6e-5, where slopes of long texts lie; a power of 2 rounds nothing
LOSS_SCALE = {"fp16": 2.0**10}


@dataclass
class Seen:
    """What passed through a matrix in one forward: its input [B, T, in] and its output [B, T, out]."""

    input: Tensor = field(default_factory=lambda: torch.empty(0))
    output: Tensor = field(default_factory=lambda: torch.empty(0))


class ScoreModule(pl.LightningModule):
    """Predicts the numbers `names` of each example: [B], hidden [B, d], sketch [B, k].

    Names: loss, answer_loss, margin, right_margin, hidden, gradient_norm, sketch, and those of
    `goracs.llm.chances`.
    `matrices` are where gradients are taken, `projections` [k, out * in] what sketches that of each; empty
    where no name asks for that. With `moments` of each matrix it is Adam's step that is sketched. Slopes are
    those of `scale` times the loss until they are float32.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        names: frozenset[str],
        matrices: Sequence[torch.nn.Module],
        projections: Sequence[Tensor],
        scale: float,
        moments: Sequence[Moments] = (),
    ) -> None:
        super().__init__()
        self.model, self.loss, self.names, self.scale = model, loss, names, scale
        self.matrices, self.projections, self.moments = list(matrices), projections, moments

    def predict_step(self, batch: Batch, _place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Score one batch."""
        values: dict[str, Tensor] = {}
        if self.matrices:
            outcome, values = self._with_gradients(batch)
        else:
            with torch.no_grad():
                outcome = self.loss(self.model, batch)
        others = {
            "loss": lambda: outcome.losses,
            "answer_loss": outcome.answer_losses,
            "margin": outcome.margin,
            "right_margin": lambda: outcome.margin() * (2 * batch.labels - 1),
            "hidden": outcome.hidden,
        }
        values |= {name: tell().detach() for name, tell in others.items() if name in self.names}
        values |= outcome.figures({name: FIGURES[name] for name in sorted(self.names & FIGURES.keys())})
        return batch.rows, values

    def _with_gradients(self, batch: Batch) -> tuple[Outcome, dict[str, Tensor]]:
        with torch.enable_grad(), ExitStack() as watching:
            seen = [watching.enter_context(watched(matrix)) for matrix in self.matrices]
            outcome = self.loss(self.model, batch)
            slopes = torch.autograd.grad(outcome.losses.sum() * self.scale, [one.output for one in seen])
        with torch.autocast(batch.ids.device.type, enabled=False):  # it would round the sums to bf16
            return outcome, self._of_gradients(seen, slopes)

    def on_predict_start(self) -> None:
        """Projections go to the device once."""
        self.projections = [projection.to(self.device) for projection in self.projections]
        self.moments = [moments.to(self.device) for moments in self.moments]

    def _of_gradients(self, seen: Sequence[Seen], slopes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Norm and sketch, matrix by matrix: the gradient of all is never held."""
        norms, sketches = [], []
        for place, (one, slope) in enumerate(zip(seen, slopes, strict=True)):
            unscaled = slope.float() / self.scale
            gradients = torch.einsum("bto,bti->boi", unscaled, one.input.float()).flatten(1)
            norms.append(gradients.norm(dim=1))
            if self.projections:
                steps = self.moments[place].step(gradients) if self.moments else gradients
                sketches.append(steps @ self.projections[place].T)
        whole = norms[0] if len(norms) == 1 else torch.stack(norms).norm(dim=0)
        values = {"gradient_norm": whole} if "gradient_norm" in self.names else {}
        return values | ({"sketch": torch.stack(sketches).sum(0)} if sketches else {})


@contextmanager
def watched(matrix: torch.nn.Module) -> Iterator[Seen]:
    """Record what passes through a linear layer; start a graph there if none comes from below."""
    seen = Seen()

    def record(_module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        started = output if output.requires_grad else output.detach().requires_grad_(True)
        seen.input, seen.output = inputs[0].detach(), started
        return started

    handle = matrix.register_forward_hook(record)
    try:
        yield seen
    finally:
        handle.remove()


def chosen_matrices(model: torch.nn.Module, settings: Score) -> list[torch.nn.Linear]:
    """The LoRA matrices where gradients are taken, in the order of the model.

    Raises:
        InvalidInput: the adapter has none there; the message names the linears it adapts.
    """
    found: dict[str, list[Any]] = {}
    for name, module in model.named_modules():
        if "default" in getattr(module, "lora_B", {}):
            found.setdefault(name.rpartition(".")[2], []).append(module)
    wanted = settings.among(found)
    deep = {name: modules if settings.depth == "all" else modules[-1:] for name, modules in found.items()}
    chosen = {id(module) for name in wanted for module in deep[name]}
    kinds = ("lora_A", "lora_B") if settings.matrices == "AB" else ("lora_B",)
    return [
        getattr(module, kind)["default"]
        for module in model.modules()
        if id(module) in chosen
        for kind in kinds
    ]


def gaussian_projection(rows: int, columns: int, seed: int) -> Tensor:
    """[rows, columns] float32 standard normal / sqrt(rows): it keeps squared norms on average."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) / rows**0.5


def seed_of(seed: int, place: int) -> int:
    """Of the projection of one matrix: for the first `seed` itself, for others no other seed's."""
    return seed if place == 0 else int(np.random.SeedSequence([seed, place]).generate_state(1)[0])


def projections(matrices: Sequence[torch.nn.Linear], settings: Score) -> list[Tensor]:
    """What sketches the gradient of each matrix; their sum sketches that of all.

    Raises:
        InvalidInput: they would be larger than `MOST_PROJECTED`.
    """
    size = sum(matrix.weight.numel() for matrix in matrices) * settings.sketch_dim * 4
    if size > MOST_PROJECTED:
        raise InvalidInput(
            f"Sketches of {settings.sketch_dim} numbers of these gradients take a projection of "
            f"{size / 2**30:.1f} GB, more than {MOST_PROJECTED / 2**30:.0f}: lower score.sketch_dim, or take "
            "fewer matrices (score.layer, score.depth, score.matrices)."
        )
    return [
        gaussian_projection(settings.sketch_dim, matrix.weight.numel(), seed_of(settings.sketch_seed, place))
        for place, matrix in enumerate(matrices)
    ]


def module(
    model: Any,
    loss: Loss,
    settings: Score | None,
    names: frozenset[str],
    precision: str,
    moments: Path | None = None,
) -> ScoreModule:
    """What predicts the numbers `names`; `settings` may be None where no name asks for a gradient.

    `moments` is the folder of a checkpoint by whose moments sketches are those of Adam's steps; None: they
    are those of gradients.

    Raises:
        InvalidInput: the adapter has no LoRA where gradients are taken; a sketch that takes too much memory.
    """
    if not names & WITH_GRADIENTS:
        return ScoreModule(model, loss, names, [], [], 1.0)
    assert settings is not None
    matrices = chosen_matrices(model, settings)
    sketched = projections(matrices, settings) if "sketch" in names else []
    known = adam.read(model, matrices, moments) if moments else []
    return ScoreModule(model, loss, names, matrices, sketched, LOSS_SCALE.get(precision, 1.0), known)


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
    """Make the pass that `scoring` describes.

    Raises:
        GoracsError: a number is not finite; the rows are named.
    """
    fill(scoring(model, loss, texts, settings, names, job, folder, side))


def scoring(
    model: Any,
    loss: Loss,
    texts: Texts,
    settings: Score | None,
    names: frozenset[str],
    job: Job,
    folder: Path,
    side: str,
    moments: Path | None = None,
) -> Pass:
    """The pass that writes folder/<side>_<name>.npy, float32 [count], hidden [count, d], sketch [count, k].

    `settings` and `moments` as for `module`.

    Raises:
        InvalidInput: as `module`.
    """
    scores = module(model, loss, settings, names, job.precision, moments)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(sorted(names), ())
    if "hidden" in names:
        shapes["hidden"] = (model.config.get_text_config().hidden_size,)
    if scores.projections:
        shapes["sketch"] = (len(scores.projections[0]),)
    return Pass(scores, texts, shapes, job, folder, side)
