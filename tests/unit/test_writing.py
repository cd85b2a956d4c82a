"""Titles are written by our settings alone, whatever a model brings; they end where the model ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from goracs.llm import adapter
from goracs.llm.backbone import load_model, load_tokenizer
from goracs.llm.batch import Texts
from goracs.llm.jobs import Job
from goracs.llm.settings import Evaluate
from goracs.llm.writing import decoding, write_titles
from tests.conftest import LORA, RUNTIME, TINY

JOB = Job("evaluate: write", "float32", 256, RUNTIME)
SETTINGS = Evaluate("test", 0, "own", 9, "ground", "mean", 3, 12, 50)
WORD = 400  # any token of a title
HOSTILE: dict[str, Any] = {
    "repetition_penalty": 1.8,
    "encoder_repetition_penalty": 1.5,
    "no_repeat_ngram_size": 1,
    "length_penalty": -5.0,
    "early_stopping": True,
    "num_beams": 7,
    "num_return_sequences": 2,
    "max_new_tokens": 2,
    "max_length": 3,
    "max_time": 0.0,
    "min_new_tokens": 12,
    "suppress_tokens": list(range(200, 1000)),
    "begin_suppress_tokens": list(range(500)),
    "bad_words_ids": [[token] for token in range(300, 900)],
    "sequence_bias": [[[token], 20.0] for token in range(300, 310)],
    "forced_bos_token_id": WORD,
    "forced_eos_token_id": WORD,
    "eos_token_id": list(range(200, 1000)),
    "pad_token_id": WORD,
    "exponential_decay_length_penalty": (1, 9.0),
    "renormalize_logits": True,
    "guidance_scale": 3.0,
    "do_sample": True,
    "temperature": 3.0,
    "top_k": 3,
    "stop_strings": ["e"],
    "return_dict_in_generate": True,
    "cache_implementation": "static",
    "prefill_chunk_size": 3,
    "prompt_lookup_num_tokens": 3,
    "token_healing": True,
}


def texts(count: int = 6) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, size).tolist()) for size in (9, 17, 30, 8, 25, 11)[:count]]
    return Texts.of(prompts, [()] * count, [-1] * count, pad_id=0)


def models(folder: Path) -> dict[str, Any]:
    """The tiny backbone bare and with an adapter that answers otherwise."""
    tuned = adapter.fresh(load_model(folder, TINY), LORA, seed=0).eval()
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return {"bare": load_model(folder, TINY), "tuned": tuned}


def written(folder: Path, kind: str) -> list[str]:
    model, tokenizer = models(folder)[kind], load_tokenizer(folder)
    return write_titles(model, tokenizer, texts(), decoding(model, tokenizer, SETTINGS), JOB)


@pytest.fixture(scope="module")
def plain(tiny_weights: Path) -> dict[str, list[str]]:
    found = {kind: written(tiny_weights, kind) for kind in ("bare", "tuned")}
    assert found["bare"] != found["tuned"]
    return found


@pytest.mark.parametrize(
    ("kind", "name"), [*(("bare", name) for name in HOSTILE), ("tuned", "suppress_tokens")]
)
def test_a_models_own_habits_of_writing_are_left_out(
    tiny_weights: Path, tmp_path: Path, plain: dict[str, list[str]], kind: str, name: str
) -> None:
    shutil.copytree(tiny_weights, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_beams": 7, name: HOSTILE[name]}))
    assert written(tmp_path, kind) == plain[kind]


def test_a_model_keeps_its_own_habits_for_others(tiny_weights: Path) -> None:
    model, tokenizer = load_model(tiny_weights, TINY), load_tokenizer(tiny_weights)
    own = model.generation_config = GenerationConfig(no_repeat_ngram_size=2)
    write_titles(model, tokenizer, texts(1), decoding(model, tokenizer, SETTINGS), JOB)
    assert model.generation_config is own


def test_an_answer_ends_at_the_end_token_and_at_special_ones_that_the_model_declares(
    tiny_weights: Path,
) -> None:
    """Not at a declared end that is an ordinary token, nor at a special token that is no end."""
    model, tokenizer = load_model(tiny_weights, TINY), load_tokenizer(tiny_weights)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|turn|>", "<|other|>"]})
    turn, other = tokenizer.convert_tokens_to_ids(["<|turn|>", "<|other|>"])
    model.generation_config.eos_token_id = [turn, tokenizer.eos_token_id, WORD]
    ends = decoding(model, tokenizer, SETTINGS)["eos_token_id"]
    assert ends == [tokenizer.eos_token_id, turn]
    assert other not in ends


@pytest.mark.parametrize("declared", [None, 0])
def test_a_model_that_declares_one_end_or_none_ends_at_the_tokenizers(
    tiny_weights: Path, declared: int | None
) -> None:
    model, tokenizer = load_model(tiny_weights, TINY), load_tokenizer(tiny_weights)
    model.generation_config.eos_token_id = declared
    assert decoding(model, tokenizer, SETTINGS)["eos_token_id"] == [tokenizer.eos_token_id]
