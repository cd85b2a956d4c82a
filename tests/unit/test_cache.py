"""Prompts that begin alike are answered as each is alone, and their beginning is read once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goracs.llm.answers import answer, answer_alike
from goracs.llm.batch import Texts
from goracs.llm.cache import common_beginning
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss
from tests import backbones
from tests.conftest import RUNTIME
from tests.unit.test_likelihood import models

LOSS = AnswerLoss(no_id=7, yes_id=8)
BEGINNING = tuple(range(40, 61))


def job(batch_tokens: int) -> Job:
    return Job("recommend", "float32", batch_tokens, RUNTIME)


def texts(beginning: tuple[int, ...] = BEGINNING) -> Texts:
    rng = np.random.default_rng(0)
    tails = [(3 + row, *rng.integers(5, 900, size).tolist()) for row, size in enumerate((1, 9, 4, 0, 14))]
    return Texts.of([beginning + tail for tail in tails], [()] * 5, [1] * 5, pad_id=0)


@pytest.mark.parametrize("kind", ["bare", "adapter", "sliding"])
@pytest.mark.parametrize("batch_tokens", [1, 70, 4096])
def test_prompts_behind_one_beginning_are_answered_as_alone(
    tiny_weights: Any, kind: str, batch_tokens: int
) -> None:
    model = models(tiny_weights)[kind]
    alone = answer(model, LOSS, texts(), job(1))
    np.testing.assert_allclose(
        answer_alike(model, LOSS, texts(), job(batch_tokens)), alone, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("family", backbones.SIZES)
def test_every_family_answers_them_so_or_reads_them_whole(family: str) -> None:
    model = backbones.model(family)
    alone = answer(model, LOSS, texts(), job(1))
    np.testing.assert_allclose(answer_alike(model, LOSS, texts(), job(256)), alone, rtol=1e-4, atol=1e-5)


def test_the_beginning_is_read_once(tiny_weights: Any) -> None:
    model, seen = models(tiny_weights)["bare"], list[torch.Size]()
    model.register_forward_pre_hook(
        lambda _model, _args, given: seen.append(given["input_ids"].shape), with_kwargs=True
    )
    answer_alike(model, LOSS, texts(), job(70))
    first, *others = seen
    assert first == (1, len(BEGINNING))
    assert sum(rows for rows, _ in others) == 5
    assert max(width for _, width in others) == 15


@pytest.mark.parametrize("beginning", [(), BEGINNING])
def test_prompts_that_share_nothing_or_all_but_a_token_are_asked(
    tiny_weights: Any, beginning: tuple[int, ...]
) -> None:
    model = models(tiny_weights)["bare"]
    for asked in (texts(beginning), Texts.of([(*beginning, 9)], [()], [1], pad_id=0)):
        alone = answer(model, LOSS, asked, job(256))
        np.testing.assert_allclose(answer_alike(model, LOSS, asked, job(256)), alone, rtol=1e-4, atol=1e-5)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple), min_size=1, max_size=5))
def test_the_common_beginning_is_the_longest_that_leaves_a_token_of_each(
    prompts: list[tuple[int, ...]],
) -> None:
    found = common_beginning(prompts)
    longest = max(size for size in range(min(map(len, prompts))) if len({ids[:size] for ids in prompts}) == 1)
    assert found == prompts[0][:longest]
