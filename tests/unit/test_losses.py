"""Losses: the authors' numbers, hand-made references, and rows that do not touch each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from goracs.llm.backbone import load_model
from goracs.llm.batch import IGNORED, Texts
from goracs.llm.chances import FIGURES, el2n
from goracs.llm.losses import AnswerLoss, SpelledLoss, TextLoss, answer_losses, next_tokens, text_losses
from tests.conftest import TINY


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=SINGLE, atol=SINGLE)


GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "goracs_loss.npz")
DOUBLE = 1e-12  # float64 sums in another order
SINGLE = 2e-5  # float32 through two layers, padded or not
CHOICE = AnswerLoss(no_id=300, yes_id=301)


def test_text_losses_equal_the_authors_values() -> None:
    logits, labels = torch.from_numpy(GOLDEN["seq_logits"]), torch.from_numpy(GOLDEN["seq_labels"])
    found = text_losses(logits[:, :-1], labels[:, 1:])
    np.testing.assert_allclose(found, GOLDEN["seq_loss"], rtol=DOUBLE)


def test_answer_losses_equal_the_authors_values() -> None:
    no_yes = torch.from_numpy(GOLDEN["ctr_yes_no_logits"][:, ::-1].copy())
    found = answer_losses(no_yes, torch.from_numpy(GOLDEN["ctr_is_yes"]).long())
    np.testing.assert_allclose(found, GOLDEN["ctr_loss"], rtol=DOUBLE)


@pytest.mark.parametrize("side", ["left", "right"])
def test_next_tokens_never_predict_padding_or_a_rows_first_token(side: str) -> None:
    batch = Texts.of([(5, 6, 7), (8,)], [(9,), (3,)], [-1, -1], pad_id=0, side=side).batch(np.array([0, 1]))
    labels = [row[row != IGNORED].tolist() for row in next_tokens(batch)]
    assert labels == [[6, 7, 9], [3]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_count_real_tokens_alone(side: str) -> None:
    batch = Texts.of([(5, 6, 7), (8,)], [(9,), (3,)], [-1, -1], pad_id=0, side=side).batch(np.array([0, 1]))
    read = [
        positions[mask.bool()].tolist() for positions, mask in zip(batch.positions, batch.mask, strict=True)
    ]
    assert read == [[0, 1, 2, 3], [0, 1]]


def absolute_positions() -> Any:
    """A backbone that, unlike LLaMA, notices when all positions of a row are shifted."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=400, n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5)
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "loss", [CHOICE, TextLoss(), TextLoss(answer_alone=True), SpelledLoss(CHOICE, TextLoss())]
)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_losses_row_is_unchanged_by_its_neighbours(
    tiny_weights: Path, side: str, loss: Any, family: str
) -> None:
    prompts, answers = [tuple(range(10, 30)), (40, 41, 42), tuple(range(50, 61))], [(7,), (8, 9), (3,)]
    texts = Texts.of(prompts, answers, [1, 0, 1], pad_id=0, side=side)
    model = load_model(tiny_weights, TINY) if family == "llama" else absolute_positions()
    together = loss(model, texts.batch(np.arange(3)))
    for row in range(3):
        alone = loss(model, texts.batch(np.array([row])))
        torch.testing.assert_close(together.losses[row], alone.losses[0], rtol=SINGLE, atol=SINGLE)
        close(together.answer_losses()[row], alone.answer_losses()[0])
        mine, others = together.figures(FIGURES), alone.figures(FIGURES)
        for name in FIGURES:
            close(mine[name][row], others[name][0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_pair_logits_are_those_of_no_and_yes_after_the_prompt(tiny_weights: Path, side: str) -> None:
    prompts = [(10, 11, 12), (20, 21)]
    model = load_model(tiny_weights, TINY)
    batch = Texts.of(prompts, [(), ()], [1, 0], pad_id=0, side=side).batch(np.arange(2))
    pairs = AnswerLoss(no_id=300, yes_id=301).pair_logits(model, batch)
    for row, prompt in enumerate(prompts):
        last = model(input_ids=torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(pairs[row], last[[300, 301]], rtol=SINGLE, atol=SINGLE)


def test_the_answers_logits_are_not_rounded_to_bf16(tiny_weights: Path) -> None:
    model = load_model(tiny_weights, replace(TINY, precision="bf16"))
    batch = Texts.of([(row + 10, 11, 12) for row in range(20)], [()] * 20, [1] * 20, pad_id=0).batch(
        np.arange(20)
    )
    with torch.autocast("cpu", torch.bfloat16):
        pairs = AnswerLoss(300, 301).pair_logits(model, batch)
    assert pairs.dtype == torch.float32
    assert not torch.equal(pairs, pairs.bfloat16().float())


def test_el2n_of_an_answer_equals_its_closed_form(tiny_weights: Path) -> None:
    texts = Texts.of([(10, 11, 12), (20, 21)], [(), ()], [1, 0], pad_id=0)
    found = AnswerLoss(300, 301)(load_model(tiny_weights, TINY), texts.batch(np.arange(2)))
    expected = 2**0.5 * (1 - torch.exp(-found.losses))  # the loss is -log of the answer's chance
    close(found.figures({"el2n": el2n})["el2n"], expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_figures_of_a_text_are_means_over_its_answers_tokens(tiny_weights: Path, side: str) -> None:
    prompts, answers = [tuple(range(10, 30)), (40, 41, 42)], [(7, 5), (8, 9, 300)]
    model = load_model(tiny_weights, TINY)
    found = TextLoss()(model, Texts.of(prompts, answers, [-1, -1], pad_id=0, side=side).batch(np.arange(2)))
    told = found.figures(FIGURES)
    alone = TextLoss(answer_alone=True)(
        model, Texts.of(prompts, answers, [-1, -1], pad_id=0, side=side).batch(np.arange(2))
    )
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        right, chance = torch.tensor(answer), logits.softmax(1)
        close(found.answer_losses()[row], functional.cross_entropy(logits, right))
        close(alone.losses[row], found.answer_losses()[row])
        close(alone.answer_losses()[row], found.answer_losses()[row])
        for name, figure in FIGURES.items():
            close(told[name][row], figure(chance, right).mean())


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_answer_with_nothing_before_it_is_judged_from_its_second_token_on(
    tiny_weights: Path, side: str
) -> None:
    answers = [(7, 5, 300, 12), (8, 9)]
    model = load_model(tiny_weights, TINY)
    found = TextLoss()(model, Texts.of([(), ()], answers, [-1, -1], pad_id=0, side=side).batch(np.arange(2)))
    for row, answer in enumerate(answers):
        logits = model(input_ids=torch.tensor([answer])).logits[0, :-1]
        close(found.answer_losses()[row], functional.cross_entropy(logits, torch.tensor(answer[1:])))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_spelled_choice_has_the_loss_of_its_text_and_all_else_of_the_choice(
    tiny_weights: Path, side: str, alone: bool, family: str
) -> None:
    """By hand: the token among all words, or the mean over the prompt's too; the rest as without answer."""
    prompts, answers, labels = [tuple(range(10, 30)), (40, 41, 42)], [(301,), (300,)], [1, 0]
    model = load_model(tiny_weights, TINY) if family == "llama" else absolute_positions()
    rows = np.arange(2)
    found = SpelledLoss(CHOICE, TextLoss(alone))(
        model, Texts.of(prompts, answers, labels, 0, side).batch(rows)
    )
    choice = CHOICE(model, Texts.of(prompts, [(), ()], labels, 0, side).batch(rows))
    close(found.margin(), choice.margin())
    close(found.hidden(), choice.hidden())
    for name, expected in choice.figures(FIGURES).items():
        close(found.figures(FIGURES)[name], expected)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids = torch.tensor([prompt + answer])
        losses = functional.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
        close(found.losses[row], losses[-1] if alone else losses.mean())
        close(found.answer_losses()[row], losses[-1])
