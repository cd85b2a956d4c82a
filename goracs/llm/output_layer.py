"""A model's output layer: what it sees, or another computation in its place.

What a model does to its logits afterwards (soft caps, scales) still happens to what is put in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from goracs.types import GoracsError

_plain: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # layer -> whether its logits are left alone


@contextmanager
def watched_head(model: Any) -> Iterator[list[Tensor]]:
    """Keep what the output layer sees: [B, T, d] hidden states, one entry a forward pass, without a graph."""
    seen: list[Tensor] = []
    layer = model.get_output_embeddings()
    handle = layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0].detach()))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def exact_head(model: Any, ids: list[int]) -> Iterator[list[Tensor]]:
    """Have the model give only the logits of the tokens `ids`, computed in float32; keep what the head sees.

    In bf16, logits near 30 are multiples of 1/8: the difference of two would be all ties. The other words'
    logits are not computed at all: they cost as much as a third of a small model. What a model does to its
    logits after the output layer (soft caps, scales) still happens.

    Raises:
        GoracsError: the output layer itself has a LoRA, which this would leave out.
    """
    head = model.get_output_embeddings()
    if hasattr(head, "lora_B"):
        raise GoracsError(
            "The Yes/No task cannot use a LoRA on the output layer: remove it from adapter.lora.targets."
        )

    def those_alone(states: Tensor) -> Tensor:
        bias = None if head.bias is None else head.bias[ids].float()
        with torch.autocast(states.device.type, enabled=False):
            return functional.linear(states.float(), head.weight[ids].float(), bias)

    with _in_place_of(head, those_alone), watched_head(model) as seen:
        yield seen


@contextmanager
def states_alone(model: Any) -> Iterator[list[Tensor]]:
    """Keep what the output layer sees, [B, T, d] with its graph; no logits are made, and none can be read."""
    seen: list[Tensor] = []

    def keep(states: Tensor) -> Tensor:
        seen.append(states)
        return states.new_zeros((*states.shape[:-1], 1))

    with _in_place_of(model.get_output_embeddings(), keep):
        yield seen


def plain_head(model: Any, read: Mapping[str, Tensor]) -> torch.nn.Linear | None:
    """The output layer where it is a frozen linear layer, and its output is what the model gives as logits.

    Asked once a model, by one row of what is `read`. None where the layer is trained, has a LoRA, is
    quantised or replaced, or the model changes its logits.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or "forward" in head.__dict__ or head.weight.requires_grad:
        return None
    if head not in _plain:
        _plain[head] = _left_alone(model, head, {name: value[:1] for name, value in read.items()})
    return head if _plain[head] else None


@torch.no_grad()
def _left_alone(model: Any, head: torch.nn.Linear, read: Mapping[str, Tensor]) -> bool:
    devices = [head.weight.device] if head.weight.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        watched_head(model) as seen,
    ):  # a dropout moves no training's
        logits = model(**read).logits
    return torch.equal(logits.float(), functional.linear(seen[0], head.weight, head.bias).float())


@contextmanager
def _in_place_of(head: Any, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    own = head.__dict__.get("forward")  # only where somebody else put one there
    head.forward = forward
    try:
        yield
    finally:
        del head.forward
        if own is not None:
            head.forward = own
