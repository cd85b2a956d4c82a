"""`auto`: which linears are adapted and scored on backbones of other families, and scored right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from goracs.llm import adapter, saved_adapter, targets
from goracs.llm.backbone import load_model, outline
from goracs.llm.gradient import score
from goracs.llm.losses import AnswerLoss, TextLoss
from goracs.llm.packed import Packed
from goracs.llm.settings import ALL_LINEAR, Score
from goracs.types import InvalidInput
from tests import backbones, saved_adapters
from tests.conftest import LORA, TINY
from tests.unit.test_gradient import JOB, NO, PLAIN, RELATIVE, YES, mixed_texts, one_by_one

CHOSEN: dict[str, tuple[str, ...]] = {
    "llama": ("q_proj", "v_proj"),
    "qwen3_moe": ("q_proj", "v_proj"),  # peft names none for it
    "gpt2": ("c_attn",),
    "gpt_neox": ("query_key_value",),
    "phi3": ("qkv_proj",),  # nor for this one
    "bloom": ("query_key_value",),
    "falcon": ("query_key_value",),
    "mpt": ("Wqkv",),
}
SCORED = [family for family in CHOSEN if family != "llama"]  # which has tests of its own
IDS = torch.tensor([[5, 7, 300, 9, 41, 6]])


def score_at(layer: str) -> Score:
    return Score(
        layer=layer,
        depth="last",
        matrices="B",
        course=False,
        adam=False,
        sketch_dim=16,
        sketch_seed=3,
        together=(),
    )


def drawn(family: str, lora_targets: str | tuple[str, ...]) -> Any:
    """A backbone with an adapter whose B is not 0."""
    return backbones.adapted(backbones.model(family), replace(LORA, targets=lora_targets))


@pytest.mark.parametrize("family", CHOSEN)
def test_auto_is_the_projection_of_queries_and_values(family: str) -> None:
    found = targets.chosen_targets(backbones.model(family))
    assert found == CHOSEN[family]
    assert targets.chosen_layer(found) == CHOSEN[family][-1]
    made = adapter.fresh(backbones.model(family), replace(LORA, targets=found), seed=0)
    assert len(made.targeted_module_names) == 2 * len(found)


def test_auto_is_all_linears_where_a_family_has_no_such_projection() -> None:
    model = backbones.model("mamba")
    assert targets.chosen_targets(model) == ALL_LINEAR
    names = targets.adapted(model, ALL_LINEAR)
    assert names == {"dt_proj", "in_proj", "out_proj", "x_proj"}, "the output layer is none of them"
    with pytest.raises(
        InvalidInput, match=r"score\.layer=auto finds no value projection among .* dt_proj, in_proj, out_"
    ):
        targets.chosen_layer(names)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_linears_of_an_expression_are_those_that_peft_adapts(family: str) -> None:
    """So is what the layer is chosen from."""
    model = backbones.model(family)
    for asked in (ALL_LINEAR, r".*\.1\..*proj"):
        expected = targets.adapted(model, asked)
        made = adapter.fresh(backbones.model(family), replace(LORA, targets=asked), seed=0)
        assert {name.rpartition(".")[2] for name in made.targeted_module_names} == expected


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_a_backbone_is_asked_without_its_weights(tiny_weights: Path, tmp_path: Path, family: str) -> None:
    folder = backbones.write(tmp_path / family, family, tiny_weights)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    assert targets.chosen_targets(outline(folder, TINY)) == CHOSEN[family]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("task", ["ctr", "seqrec"])
@pytest.mark.parametrize("family", SCORED)
def test_gradient_norms_of_every_family_equal_one_backward_pass_per_example(
    tmp_path: Path, family: str, task: str, side: str
) -> None:
    model, settings = drawn(family, CHOSEN[family]), score_at(CHOSEN[family][-1])
    texts, ctr = mixed_texts(side), task == "ctr"
    read = replace(texts, answers=Packed.repeated((), len(texts))) if ctr else texts
    score(model, AnswerLoss(NO, YES) if ctr else TextLoss(), read, settings, PLAIN, JOB, tmp_path, "pool")
    expected = [float(one.norm()) for one in one_by_one(model, texts, answers_only=ctr, settings=settings)]
    np.testing.assert_allclose(np.load(tmp_path / "pool_gradient_norm.npy"), expected, rtol=RELATIVE)


@pytest.mark.parametrize("family", ["gpt2", "phi3"])
def test_an_adapter_of_a_fused_projection_is_saved_and_loaded_as_plain_peft_has_it(
    tiny_weights: Path, tmp_path: Path, family: str
) -> None:
    """GPT-2's is a Conv1D, whose weight lies the other way round."""
    folder = backbones.write(tmp_path / family, family, tiny_weights)
    made = backbones.adapted(load_model(folder, TINY), replace(LORA, targets=CHOSEN[family]))
    adapter.save(made, tmp_path / "adapter")
    assert saved_adapter.linears(tmp_path / "adapter") == set(CHOSEN[family])
    again = adapter.load(load_model(folder, TINY), tmp_path / "adapter", trainable=False)
    logits = [model(input_ids=IDS).logits.detach() for model in (made, again)]
    assert torch.equal(*logits)
    assert torch.equal(logits[0], saved_adapters.answers(folder, tmp_path / "adapter", IDS))
    assert not torch.allclose(logits[0], saved_adapters.answers(folder, None, IDS), atol=0.01)
    assert len(load_file(tmp_path / "adapter" / saved_adapters.WEIGHTS)) == 4
