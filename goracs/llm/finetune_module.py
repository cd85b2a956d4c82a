"""The training of LoRA weights, a step at a time, and the adapters it passes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from peft import PeftModel
from torch import Tensor

from goracs.llm import adam, adapter
from goracs.llm.batch import Batch, Texts
from goracs.llm.diverged import diverged
from goracs.llm.halving import Halving
from goracs.llm.losses import Loss
from goracs.llm.ranks import here
from goracs.llm.resume import State
from goracs.llm.settings import Training
from goracs.types import GoracsError


class FinetuneModule(pl.LightningModule):
    """Trains the LoRA weights of a peft model; `curve` keeps loss and learning rate of every step.

    `texts` are what its steps read, `halving` cuts them where they do not fit into memory.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        settings: Training,
        total_steps: int,
        seed: int,
        texts: Texts,
        halving: Halving,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.loss, self.settings = model, loss, settings
        self.total_steps, self.seed, self.texts, self.halving = total_steps, seed, texts, halving
        self.curve: list[dict[str, float]] = []
        self.moments: dict[int, dict[str, Tensor]] = {}  # of AdamW, where a training goes on
        self.scaled: dict[str, Any] | None = None  # of fp16's scaler, likewise

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and linear decay, as it is after the steps in `curve`."""
        lr = self.settings.lr
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        group = {"params": trained, "initial_lr": lr}
        optimizer = torch.optim.AdamW([group], lr=lr, weight_decay=self.settings.weight_decay)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": self.moments})
        rise = max(1, round(self.settings.warmup_share * self.total_steps))
        fall = self.total_steps - rise + 1
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min((step + 1) / rise, (self.total_steps - step) / fall),
            last_epoch=len(self.curve) - 1,
        )
        return [optimizer], [schedule]

    def on_train_start(self) -> None:
        """Scale as an interrupted training did."""
        if self.scaled is not None:
            self._scaler().load_state_dict(self.scaled)

    def training_step(self, parts: list[Batch], _place: int) -> None:
        """One optimiser step over all its parts.

        Raises:
            GoracsError: a loss or the gradient is not finite; no weight has changed then.
        """
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        step, rank = len(self.curve), here()
        examples = sum(rank.gather([len(part.rows) for part in parts]))
        largest = max((len(part.rows) for part in parts), default=0)
        mine = self.halving.fitting(lambda: self._gradient(parts, step, examples), largest)
        rank.total([weight for weight in self.model.parameters() if weight.requires_grad])
        losses = rank.gather(mine)
        loss = float(sum(part.sum() / examples for part in losses))
        scale = self._scale()  # the gradients are those of so many times the loss, and so is their bound
        if not isfinite(loss) or (scale == 1 and not isfinite(self._gradient_norm())):
            rows = rank.gather([part.rows.cpu() for part in parts])
            raise self._diverged(step, torch.cat(rows), torch.cat(losses))
        self.clip_gradients(optimizer, self.settings.max_grad_norm * scale, "norm")
        self.curve.append({"step": step + 1, "loss": loss, "lr": optimizer.param_groups[0]["lr"]})
        optimizer.step()
        if self._scale() < scale:  # a gradient was beyond fp16: nothing was changed, the next is scaled less
            self.curve[-1]["skipped"] = True
        schedule.step()
        self.log("loss", loss, prog_bar=True, batch_size=examples)

    def state(self) -> State:
        """Weights, moments and curve."""
        weights = {f"weight/{name}": weight for name, weight in adapter.weights(self.model).items()}
        moments = self.optimizers().state_dict()["state"]
        named = {f"moment/{k}/{name}": value for k, of in moments.items() for name, value in of.items()}
        scaler = self._scaler()
        plain = {
            "curve": self.curve,
            "parts": self.halving.parts,
            "scaler": None if scaler is None else scaler.state_dict(),
        }
        return State(plain, {**weights, **named})

    @property
    def named_moments(self) -> dict[str, Tensor]:
        """A copy of AdamW's moments, as `goracs.llm.adam` has them."""
        names = [name for name, weight in self.model.named_parameters() if weight.requires_grad]
        return {
            f"{names[place]}/{which}": of[which].detach().cpu().clone()
            for place, of in self.optimizers().state_dict()["state"].items()
            for which in (adam.FIRST, adam.SECOND)
        }

    def go_on(self, state: State) -> None:
        """Be as when `state` was taken."""
        self.curve, weights = list(state.plain["curve"]), dict[str, Tensor]()
        self.halving.go_on(state.plain["parts"])
        self.scaled = state.plain["scaler"]
        for key, value in state.tensors.items():
            kind, _, name = key.partition("/")
            if kind == "weight":
                weights[name] = value
            else:
                index, _, moment = name.partition("/")
                self.moments.setdefault(int(index), {})[moment] = value
        adapter.put(self.model, weights)

    def _scale(self) -> float:
        """By what fp16 has the loss multiplied, lest small gradients vanish; 1 in every other precision."""
        scaler = self._scaler()
        return 1.0 if scaler is None else float(scaler.get_scale())

    def _scaler(self) -> Any:
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def _gradient(self, parts: list[Batch], step: int, examples: int) -> list[Tensor]:
        """Leave this rank's part of a step's gradient at the weights; the losses of its parts."""
        self.optimizers().zero_grad()  # what a part left that did not fit into memory
        seeds = [self.seed, 1, step, *([here().number] if here().count > 1 else [])]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.default_rng(seeds).integers(2**62)))
            cut = [smaller for part in parts for smaller in self.halving.cut(part)]
            return [self._backward(part, examples) for part in cut]

    def _backward(self, part: Batch, examples: int) -> Tensor:
        """The part of the step's gradient; [B] losses."""
        losses = self.loss(self.model, part).losses
        self.manual_backward(losses.sum() / examples)
        return losses.detach().cpu()

    def _diverged(self, step: int, rows: Tensor, losses: Tensor) -> GoracsError:
        told = f"step {step + 1} of {self.total_steps}"
        return diverged(self.model, self.settings, told, self.texts, self.settings.examples, rows, losses)

    def _gradient_norm(self) -> float:
        """L2, over all that is trained."""
        grads = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        return float(torch.nn.utils.get_total_norm(grads))


class Checkpoints(pl.Callback):
    """Puts aside the LoRA weights, and what AdamW knows of them, after each of the given optimiser steps."""

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps = set(steps)
        self.passed, self.moments = dict[int, dict[str, Tensor]](), dict[int, dict[str, Tensor]]()

    def on_train_batch_end(self, _trainer: Any, module: Any, *_: Any) -> None:
        """Copy them, if this step is one of those."""
        if (step := len(module.curve)) in self.steps:
            self.passed[step], self.moments[step] = adapter.weights(module.model), module.named_moments

    def save(self, model: PeftModel, folder: Path) -> None:
        """Write each to folder/<step>; the model ends with its own weights."""
        own = adapter.weights(model)
        for step, weights in self.passed.items():
            adapter.put(model, weights)
            adapter.save(model, folder / str(step))
            if len(self.steps) > 1:  # a course, which somebody may follow
                adam.write(self.moments[step], folder / str(step))
        adapter.put(model, own)

    def state(self) -> State:
        """What was put aside so far."""
        kinds = {"weight": self.passed, "moment": self.moments}
        return State(
            {},
            {
                f"{kind}/{step}/{name}": tensor
                for kind, of in kinds.items()
                for step, tensors in of.items()
                for name, tensor in tensors.items()
            },
        )

    def go_on(self, state: State) -> None:
        """Be as when `state` was taken."""
        kinds = {"weight": self.passed, "moment": self.moments}
        for key, tensor in state.tensors.items():
            kind, step, name = key.split("/", 2)
            kinds[kind].setdefault(int(step), {})[name] = tensor
