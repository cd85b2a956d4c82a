"""Losses by blocks of the vocabulary's logits equal those of all logits at once, gradients too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from goracs.llm import blocked, losses
from goracs.llm.adapter import fresh
from goracs.llm.batch import Batch, Texts
from goracs.llm.blocked import token_figures, token_losses
from goracs.llm.chances import FIGURES
from goracs.llm.losses import TextLoss
from goracs.llm.output_layer import plain_head
from goracs.llm.settings import Lora

SINGLE = 2e-5  # float32 sums in another order
SMALL: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
FAMILIES: dict[str, Any] = {  # the last two change the logits of their output layer
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=True)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**{**SMALL, "num_key_value_heads": 2})),  # its head has a bias
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SMALL, final_logit_softcapping=0.05)),
    "cohere": lambda: CohereForCausalLM(CohereConfig(**SMALL, logit_scale=0.0625)),
}
CHANGED = ("gemma2", "cohere")
Given = tuple[torch.Tensor, torch.nn.Linear, torch.Tensor]


def linear(rows: int, width: int, words: int, bias: bool) -> Given:
    torch.manual_seed(0)
    head = torch.nn.Linear(width, words, bias=bias).requires_grad_(False)
    return torch.randn(rows, width) * 3, head, torch.randint(words, (rows,))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, blocked.BLOCK, 2 * blocked.BLOCK + 3])
def test_losses_and_gradients_equal_those_of_all_logits(rows: int, bias: bool) -> None:
    states, head, tokens = linear(rows, 12, 50, bias)
    above = torch.randn(rows)
    found = []

    def whole(states: torch.Tensor, head: torch.nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(states), tokens, reduction="none")

    for loss in (token_losses, whole):
        leaf = states.clone().requires_grad_(True)
        values = loss(leaf, head, tokens)
        found.append((values.detach(), torch.autograd.grad((values * above).sum(), leaf)[0]))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=SINGLE, atol=SINGLE)


def test_a_second_derivative_is_refused() -> None:
    """It would leave out what the gradient's own chances change."""
    states, head, tokens = linear(3, 12, 50, False)
    leaf = states.clone().requires_grad_(True)
    total = token_losses(leaf, head, tokens).square().sum()
    (first,) = torch.autograd.grad(total, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.autograd.backward(first.sum())


def test_figures_equal_those_of_all_chances_at_once() -> None:
    states, head, tokens = linear(blocked.BLOCK + 5, 12, 50, True)
    chance = head(states).softmax(1)
    for name, found in token_figures(states, head, tokens, FIGURES).items():
        torch.testing.assert_close(found, FIGURES[name](chance, tokens), rtol=SINGLE, atol=SINGLE)


def test_nothing_is_worked_out_for_a_gradient_that_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    states, head, tokens = linear(9, 12, 50, False)
    monkeypatch.setattr(torch.Tensor, "scatter_add_", lambda *_: pytest.fail("a gradient was made"))
    assert token_losses(states, head, tokens).grad_fn is None


@pytest.fixture(params=[*FAMILIES])
def family(request: pytest.FixtureRequest) -> tuple[str, Any]:
    torch.manual_seed(1)
    lora = Lora(r=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj"), rslora=False, dora=False)
    model = fresh(FAMILIES[request.param]().requires_grad_(False).eval(), lora, 0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return request.param, model


def batch(side: str) -> Batch:
    prompts, answers = [tuple(range(10, 30)), (40, 41, 42), tuple(range(50, 61))], [(7,), (8, 9), (3, 4, 5)]
    return Texts.of(prompts, answers, [-1, -1, -1], pad_id=0, side=side).batch(np.arange(3))


def outcome(model: Any, side: str, answer_alone: bool) -> dict[str, torch.Tensor]:
    """Losses, numbers and the gradients of the LoRA weights."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    found = TextLoss(answer_alone)(model, batch(side))
    mixed = (found.losses * torch.tensor([1.0, 2.0, 3.0])).sum()
    slopes = dict(zip(trained, torch.autograd.grad(mixed, list(trained.values())), strict=True))
    numbers = {"losses": found.losses.detach(), "answer": found.answer_losses(), "hidden": found.hidden()}
    numbers |= found.figures(FIGURES)
    return numbers | slopes


@pytest.mark.parametrize("answer_alone", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_texts_loss_is_the_same_by_blocks_and_by_logits(
    family: tuple[str, Any], side: str, answer_alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = family
    with monkeypatch.context() as patch:
        other = "_by_blocks" if name in CHANGED else "_by_logits"
        patch.setattr(losses, other, lambda *_: pytest.fail(f"{name} went {other}"))
        found = outcome(model, side, answer_alone)
    monkeypatch.setattr(losses, "plain_head", lambda *_: None)
    whole = outcome(model, side, answer_alone)
    assert found.keys() == whole.keys()
    for key, value in whole.items():
        assert float(value.abs().max()) > 0, key
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=SINGLE, msg=key)


def read(side: str = "left") -> dict[str, torch.Tensor]:
    given = batch(side)
    return {"input_ids": given.ids, "attention_mask": given.mask, "position_ids": given.positions}


def test_a_head_that_is_trained_adapted_or_replaced_is_not_plain() -> None:
    torch.manual_seed(0)
    model = FAMILIES["phi"]().requires_grad_(False)
    assert plain_head(model, read()) is model.lm_head
    lora = Lora(r=2, alpha=4, dropout=0.0, targets=("v_proj", "lm_head"), rslora=False, dora=False)
    assert plain_head(fresh(model, lora, 0), read()) is None
    assert plain_head(FAMILIES["phi"](), read()) is None
    replaced = FAMILIES["phi"]().requires_grad_(False)
    replaced.lm_head.forward = lambda states: states
    assert plain_head(replaced, read()) is None


def test_a_model_that_cuts_its_logits_is_not_plain() -> None:
    """Some pad their vocabulary and give the words alone."""
    model = FAMILIES["llama"]().requires_grad_(False)
    forward = model.forward

    def cut(**given: Any) -> Any:
        found = forward(**given)
        found.logits = found.logits[..., :390]
        return found

    model.forward = cut
    assert plain_head(model, read()) is None


def test_a_model_is_asked_once_what_it_does_to_its_logits(
    family: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = family
    TextLoss()(model, batch("left"))
    inner, passes = model.get_base_model().model, []
    inner.register_forward_hook(lambda *_: passes.append(1))
    TextLoss()(model, batch("left"))
    assert len(passes) == 1, name


def test_in_bf16_blocks_are_as_near_the_exact_losses_as_all_logits_are() -> None:
    states, head, tokens = linear(300, 64, 500, True)
    exact = functional.cross_entropy(head(states), tokens, reduction="none")
    narrow = head.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mine = token_losses(states.bfloat16(), narrow, tokens)
        theirs = functional.cross_entropy(narrow(states.bfloat16()).float(), tokens, reduction="none")
    assert mine.dtype == torch.float32
    assert float((mine - exact).abs().max()) <= 1.01 * float((theirs - exact).abs().max()) + 1e-6
