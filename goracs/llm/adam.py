"""Gradients as Adam would step by them, from the moments that it had at a checkpoint.

Form     m' / sqrt(v' + eps) with m' = b1 m + (1 - b1) g and v' = b2 v + (1 - b2) g^2, element by element, for
         the gradient g of one example; no correction of the moments' bias.
File     beside a checkpoint, <weight>/exp_avg and <weight>/exp_avg_sq of each LoRA weight, torch's names.
Source   LESS (Xia et al. 2024, section on Adam), with eps within the root, as its authors' code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FILE = "moments.safetensors"
FIRST, SECOND = "exp_avg", "exp_avg_sq"
BETAS, EPS = (0.9, 0.999), 1e-8  # torch's own for AdamW, which trains here


@dataclass(frozen=True)
class Moments:
    """Of one weight matrix, flattened: running means [P] of its gradient and of that squared."""

    first: Tensor
    second: Tensor

    def step(self, gradients: Tensor) -> Tensor:
        """[B, P] what Adam would step by, for each gradient [B, P] alone."""
        first = BETAS[0] * self.first + (1 - BETAS[0]) * gradients
        second = BETAS[1] * self.second + (1 - BETAS[1]) * gradients**2
        return first / (second + EPS).sqrt()

    def to(self, device: torch.device) -> Moments:
        """The same on a device."""
        return Moments(self.first.to(device), self.second.to(device))


def write(moments: Mapping[str, Tensor], folder: Path) -> None:
    """Put moments by name beside a checkpoint."""
    save_file({name: moment.detach().cpu().contiguous() for name, moment in moments.items()}, folder / FILE)


def read(model: torch.nn.Module, matrices: Sequence[torch.nn.Module], folder: Path) -> list[Moments]:
    """Those of some matrices of a model, in their order, float32."""
    names = {id(module): f"{name}.weight" for name, module in model.named_modules()}
    kept = load_file(folder / FILE)
    return [
        Moments(*(kept[f"{names[id(matrix)]}/{which}"].float().flatten() for which in (FIRST, SECOND)))
        for matrix in matrices
    ]
