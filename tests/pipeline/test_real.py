"""The real backbone and encoder: the facts about them that the road rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goracs.data.tokens import answer_tokens
from goracs.llm.backbone import load_model, load_tokenizer
from goracs.llm.embedding import embedding, read
from goracs.llm.rows import fill
from goracs.llm.settings import Encoder
from goracs.stages import weights as weights_of
from goracs.store import External, Store
from tests.conftest import RUNTIME, TINY
from tests.unit.test_tokens import TEMPLATE, follows_one_rule

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]

SMOLLM2 = replace(TINY, name="smollm2", model="HuggingFaceTB/SmolLM2-135M-Instruct")
MINILM = Encoder("minilm", "sentence-transformers/all-MiniLM-L6-v2", 256, 4096)


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    stage: Any = weights_of.stage(SMOLLM2.model)
    return Store(shared / "store").get(stage).path


def test_smollm2_is_converted_to_safetensors_and_answers_in_words(weights: Path) -> None:
    assert (weights / "model.safetensors").stat().st_size > 500_000_000
    tokenizer, model = load_tokenizer(weights), load_model(weights, SMOLLM2)
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(134.5e6, rel=1e-3)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        following = int(model(input_ids=ids).logits[0, -1].argmax())
    assert tokenizer.decode(following) == " Paris"


def test_smollm2_has_one_token_for_each_answer(weights: Path) -> None:
    tokenizer = load_tokenizer(weights)
    pair = answer_tokens("No", "Yes", TEMPLATE, tokenizer)
    assert tokenizer.convert_ids_to_tokens(pair) == ["No", "Yes"]


@pytest.mark.parametrize("template", ["own", "chat"])
@pytest.mark.parametrize("name", ["ctr", "seqrec"])
def test_smollm2_is_asked_the_beginning_of_what_it_is_trained_on(
    weights: Path, name: str, template: str
) -> None:
    follows_one_rule(load_tokenizer(weights), name, template)


def test_minilm_puts_like_beside_like(tmp_path: Path) -> None:
    source: Any = weights_of.stage(MINILM.model)
    assert isinstance(source, External)
    texts = ["a film about space travel", "a movie of astronauts in orbit", "a recipe for onion soup"]
    asked = read([texts[:2], texts[2:]], source.path, MINILM, "pool", None)
    fill(embedding(asked, source.path, MINILM, RUNTIME, tmp_path, "pool"))
    found = np.load(tmp_path / "pool_embedding.npy")
    assert found.shape == (3, 384)
    near, far = np.linalg.norm(found[0] - found[1]), np.linalg.norm(found[0] - found[2])
    assert near < 0.8 * far
