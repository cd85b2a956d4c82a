"""Likelihoods from a shared cache equal those of whole forward passes, one a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM, MistralConfig, MistralForCausalLM

from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.jobs import Job
from goracs.llm.likelihood import likelihoods
from goracs.types import FloatArray, GoracsError
from tests import backbones
from tests.conftest import LORA, RUNTIME, TINY

ROUNDING = 1e-5  # float32, relative, of sums over tens of tokens
END = 0
Ids = tuple[int, ...]


def job(batch_tokens: int) -> Job:
    return Job("evaluate: likelihood", "float32", batch_tokens, RUNTIME)


def texts(side: str = "left") -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, size).tolist()) for size in (9, 31, 17, 8)]
    return Texts.of(prompts, [()] * 4, [-1] * 4, pad_id=0, side=side)


def candidates() -> list[list[Ids]]:
    """Titles of many lengths, one the beginning of another, one of the end alone; more for some rows."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 14, (4, 9))
    rows = [
        [tuple(rng.integers(5, 900, size).tolist()) for size in own[:count]]
        for own, count in zip(sizes, (7, 1, 4, 9), strict=True)
    ]
    rows[0] += [rows[0][0] + (7, 8), rows[0][0][:1], ()]
    return [[(*ids, END) for ids in row] for row in rows]


def whole(model: Any, prompt: Ids, answer: Ids) -> float:
    """The log-likelihood by one forward pass over prompt and answer."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].double().log_softmax(1)
    return float(sum(logits[len(prompt) + place - 1, token] for place, token in enumerate(answer)))


def models(folder: Path) -> dict[str, Any]:
    """The tiny backbone, one with an adapter, and one of a sliding window shorter than the prompts."""
    tuned = backbones.adapted(load_model(folder, TINY), LORA)
    config = MistralConfig(
        vocab_size=1024,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=6,
        initializer_range=0.2,
    )
    sliding = MistralForCausalLM(config).requires_grad_(False).eval()
    return {"bare": load_model(folder, TINY), "adapter": tuned, "sliding": sliding}


@pytest.fixture(scope="module")
def found(tiny_weights: Path) -> dict[str, tuple[Any, list[FloatArray]]]:
    """Each model with the likelihoods by whole passes."""
    return {
        kind: (model, [np.array([whole(model, p, c) for c in row]) for p, row in zip(*given, strict=True)])
        for kind, model in models(tiny_weights).items()
        for given in [(texts().prompts, candidates())]
    }


@pytest.mark.parametrize("kind", ["bare", "adapter", "sliding"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_tokens", [1, 70, 4096])
def test_a_shared_cache_gives_the_scores_and_ranks_of_whole_passes(
    found: dict[str, tuple[Any, list[FloatArray]]], kind: str, side: str, batch_tokens: int
) -> None:
    model, expected = found[kind]
    got = likelihoods(model, texts(side), candidates(), False, job(batch_tokens))
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=ROUNDING, atol=0)
        assert np.argsort(ours).tolist() == np.argsort(theirs).tolist()


def test_the_mean_divides_by_the_tokens_with_the_end(tiny_weights: Path) -> None:
    model = load_model(tiny_weights, TINY)
    total, mean = (likelihoods(model, texts(), candidates(), per, job(256)) for per in (False, True))
    for row, sums, means in zip(candidates(), total, mean, strict=True):
        np.testing.assert_allclose(means, sums / [len(ids) for ids in row], rtol=ROUNDING)


def test_a_prompt_is_read_once_and_no_pass_is_larger_than_asked(tiny_weights: Path) -> None:
    model, seen = load_model(tiny_weights, TINY), list[tuple[Any, Any]]()
    model.register_forward_pre_hook(
        lambda _model, _args, given: seen.append((given["input_ids"].shape, given["attention_mask"].shape)),
        with_kwargs=True,
    )
    likelihoods(model, texts(), candidates(), True, job(128))
    prompts = [ids for ids, mask in seen if ids == mask]
    blocks = [mask for ids, mask in seen if ids != mask]
    assert sum(rows for rows, _ in prompts) == 4
    assert len(blocks) > len(prompts)
    assert all(rows * width <= 128 for rows, width in blocks)


def test_a_model_without_keys_and_values_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=1024, hidden_size=16, num_hidden_layers=2)).eval()
    with pytest.raises(GoracsError, match=r"a key-value cache in every layer\); this one does not"):
        likelihoods(model, texts(), candidates(), True, job(256))


def test_a_likelihood_that_is_not_finite_is_refused(tiny_weights: Path) -> None:
    model = load_model(tiny_weights, TINY)
    torch.nn.init.constant_(model.get_output_embeddings().weight[3], float("nan"))
    with pytest.raises(GoracsError, match="likelihood of the candidates is not finite for 4 of 4 examples"):
        likelihoods(model, texts(), candidates(), True, job(256))
