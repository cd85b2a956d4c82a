"""Losses of tokens over the whole vocabulary; logits exist for a block of tokens at a time.

Why       the logits of a batch are larger than the model that made them: 2,048 tokens over 49,152 words take
          400 MB, and autograd keeps several such tables.
Gradient  of -log p(token) with respect to a hidden state it is (p - e) W, e the token's one-hot, W the output
          layer: worked out with the loss, while the block's logits are there.
Numbers   logits in the precision of the output layer, as the model gives them; everything after in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from goracs.llm.chances import Figure

BLOCK = 256  # tokens whose logits exist at once


class _Losses(torch.autograd.Function):
    """[K] float32 losses of hidden states [K, d], with their gradient where one is asked for."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor) -> Tensor:
        losses = states.new_empty(len(states), dtype=torch.float32)
        slopes = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for part, logits in _blocks(states, weight, bias):
            whole, mine = logits.logsumexp(1, keepdim=True), tokens[part].unsqueeze(1)
            losses[part] = (whole - logits.gather(1, mine)).squeeze(1)
            if slopes is not None:
                chance = logits.sub_(whole).exp_()
                chance.scatter_add_(1, mine, -torch.ones_like(whole))
                slopes[part] = (chance.to(weight.dtype) @ weight).to(states.dtype)
        ctx.slopes = slopes
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        return (above[0].unsqueeze(1) * ctx.slopes).to(ctx.slopes.dtype), None, None, None


def token_losses(states: Tensor, head: torch.nn.Linear, tokens: Tensor) -> Tensor:
    """[K] float32: -log p(token) in nats, of hidden states [K, d] and tokens [K]; `head` is frozen."""
    losses: Tensor = _Losses.apply(states, head.weight, head.bias, tokens)
    return losses


@torch.no_grad()
def token_figures(
    states: Tensor, head: torch.nn.Linear, tokens: Tensor, figures: Mapping[str, Figure]
) -> dict[str, Tensor]:
    """name -> [K] float32: figures of the chances at hidden states [K, d], tokens [K] being right."""
    found = {name: states.new_empty(len(states), dtype=torch.float32) for name in figures}
    for part, logits in _blocks(states, head.weight, head.bias):
        chance = logits.softmax(1)
        for name, figure in figures.items():
            found[name][part] = figure(chance, tokens[part])
    return found


def _blocks(states: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Each block of rows with its logits in float32, which the caller may overwrite."""
    for first in range(0, len(states), BLOCK):
        part = slice(first, first + BLOCK)
        yield part, functional.linear(states[part], weight, bias).float()
