"""Adapters: a model has the weights of its file and no others, or there is no model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from goracs.llm import adapter, saved_adapter
from goracs.llm.backbone import load_model
from goracs.llm.gradient import chosen_matrices
from goracs.llm.settings import Lora, Score
from goracs.types import GoracsError, InvalidInput
from tests.conftest import LORA, TINY
from tests.saved_adapters import (
    MISFITS,
    OTHER_KIND_MESSAGES,
    OTHER_KINDS,
    TAKEN,
    UNUSABLE,
    WEIGHTS,
    answers,
    as_bin,
    with_config,
    with_weights,
    write,
)

IDS = torch.tensor([[5, 7, 300, 9, 41, 6]])


@pytest.mark.parametrize("name", [*UNUSABLE, *MISFITS])
def test_an_adapter_that_does_not_fit_is_refused(tiny_weights: Path, tmp_path: Path, name: str) -> None:
    spoil, message = {**UNUSABLE, **MISFITS}[name]
    spoil(write(tmp_path / "given", tiny_weights))
    with pytest.raises(GoracsError, match=message):
        adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=False)


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_an_adapter_of_another_kind_is_refused(tiny_weights: Path, tmp_path: Path, name: str) -> None:
    write(tmp_path / "given", tiny_weights, **OTHER_KINDS[name])
    with pytest.raises(GoracsError, match=OTHER_KIND_MESSAGES[name]):
        adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=False)


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("trainable", [False, True])
def test_a_loaded_adapter_answers_as_with_plain_peft(
    tiny_weights: Path, tmp_path: Path, name: str, trainable: bool
) -> None:
    settings, change = TAKEN[name]
    change(write(tmp_path / "given", tiny_weights, **settings))
    ours = adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable)
    theirs = answers(tiny_weights, tmp_path / "given", IDS)
    assert torch.equal(ours(input_ids=IDS).logits.detach(), theirs)
    assert not torch.allclose(answers(tiny_weights, None, IDS), theirs, atol=0.01)
    trained = {name for name, weight in ours.named_parameters() if weight.requires_grad}
    assert trained == (set(adapter.weights(ours)) if trainable else set())


def test_an_adapter_on_a_bf16_backbone_keeps_its_digits(tiny_weights: Path, tmp_path: Path) -> None:
    write(tmp_path / "given", tiny_weights)
    model = adapter.load(load_model(tiny_weights, replace(TINY, precision="bf16")), tmp_path / "given", True)
    adapter.save(model, tmp_path / "again")
    first, again = (load_file(tmp_path / folder / WEIGHTS) for folder in ("given", "again"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}


def test_weights_that_did_not_reach_the_model_are_refused(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and shapes are then those of the file; only the values tell."""
    write(tmp_path / "given", tiny_weights)
    monkeypatch.setattr(adapter, "set_peft_model_state_dict", lambda *_: None)
    with pytest.raises(GoracsError, match="of other values"):
        adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=False)


def test_loading_draws_nothing(tiny_weights: Path, tmp_path: Path) -> None:
    write(tmp_path / "given", tiny_weights)
    before = torch.get_rng_state()
    adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=True)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", TAKEN)
def test_an_adapter_that_is_taken_is_saved_as_it_was(tiny_weights: Path, tmp_path: Path, name: str) -> None:
    settings, change = TAKEN[name]
    change(write(tmp_path / "given", tiny_weights, **settings))
    adapter.save(
        adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=False), tmp_path / "again"
    )
    first, again = (saved_adapter.read(tmp_path / folder).weights for folder in ("given", "again"))
    assert saved_adapter.differences(first, again) == ""
    by_both = [answers(tiny_weights, tmp_path / folder, IDS) for folder in ("given", "again")]
    assert torch.equal(*by_both)


def test_the_linears_of_an_adapter_are_read_from_its_weights(tiny_weights: Path, tmp_path: Path) -> None:
    write(tmp_path / "given", tiny_weights, target_modules=["q_proj", "down_proj"])
    assert saved_adapter.linears(tmp_path / "given") == {"q_proj", "down_proj"}
    as_bin()(tmp_path / "given")
    assert saved_adapter.linears(tmp_path / "given") == {"q_proj", "down_proj"}


@pytest.mark.parametrize(("base", "doubted"), [("tiny", False), (None, False), ("other/model", True)])
def test_a_base_of_another_name_is_doubted(
    tiny_weights: Path, tmp_path: Path, base: str | None, doubted: bool
) -> None:
    with_config(base_model_name_or_path=base)(write(tmp_path / "given", tiny_weights))
    said = saved_adapter.doubts(tmp_path / "given", "tiny")
    assert bool(said) == doubted
    assert all("trained on 'other/model'; here it is used on backbone.model=tiny" in one for one in said)


WRONGLY_SAVED = {
    "a weight less": (lambda weights: dict(list(weights.items())[1:]), "1 missing"),
    "a weight more": (lambda weights: {**weights, "more": torch.ones(1)}, r"1 unexpected \(more\)"),
    "a row less": (lambda weights: {name: w[1:].contiguous() for name, w in weights.items()}, "8 of another"),
    "rounded": (lambda weights: {name: w + 1e-7 for name, w in weights.items()}, "of other values"),
}


@pytest.mark.parametrize("name", WRONGLY_SAVED)
def test_what_is_saved_is_what_the_model_has(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def wrongly(self: Any, folder: str, **kwargs: Any) -> None:
        save(self, folder, **kwargs)
        with_weights(change)(Path(folder))

    (change, message), save = WRONGLY_SAVED[name], PeftModel.save_pretrained
    monkeypatch.setattr(PeftModel, "save_pretrained", wrongly)
    made = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0)
    with pytest.raises(GoracsError, match=rf"is not that of the model; of its weights: .*{message}"):
        adapter.save(made, tmp_path / "adapter")


LINEARS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
TARGETS = [
    ("all-linear", LINEARS),
    ("q_proj", {"q_proj"}),
    (["q_proj"], {"q_proj"}),
    (["self_attn.q_proj", "v_proj"], {"q_proj", "v_proj"}),
    (r".*\.(q|v)_proj", {"q_proj", "v_proj"}),
]


@pytest.mark.parametrize(("targets", "adapted"), TARGETS, ids=[str(targets) for targets, _ in TARGETS])
def test_targets_are_names_an_expression_or_all_linear(
    tiny_weights: Path, tmp_path: Path, targets: Any, adapted: set[str]
) -> None:
    lora = replace(LORA, targets=targets)
    assert lora.linears() in (adapted, None)
    adapter.save(adapter.fresh(load_model(tiny_weights, TINY), lora, seed=0), tmp_path / "adapter")
    assert saved_adapter.linears(tmp_path / "adapter") == adapted
    assert len(load_file(tmp_path / "adapter" / WEIGHTS)) == 2 * 2 * len(adapted)  # layers, A and B
    loaded = adapter.load(load_model(tiny_weights, TINY), tmp_path / "adapter", trainable=False)
    for layer in LINEARS:
        settings = Score(
            layer=layer,
            depth="last",
            matrices="B",
            course=False,
            adam=False,
            sketch_dim=1,
            sketch_seed=0,
            together=(),
        )
        if layer in adapted:
            assert chosen_matrices(loaded, settings)[0].weight.shape[1] == LORA.r
        else:
            with pytest.raises(InvalidInput, match=f"it adapts: {', '.join(sorted(adapted))}"):
                chosen_matrices(loaded, settings)


@pytest.mark.parametrize("name", ["rslora", "dora"])
def test_a_kind_of_lora_is_true_or_false(name: str) -> None:
    given: dict[str, Any] = {name: "yes"}
    with pytest.raises(InvalidInput, match=rf"adapter\.lora\.{name} must be true or false; got 'yes'"):
        replace(LORA, **given)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8 / 4), (True, 8 / 4**0.5)])
@pytest.mark.parametrize("dora", [False, True])
def test_a_fresh_adapter_of_every_kind_leaves_the_answers_and_is_saved_as_its_kind(
    tiny_weights: Path, tmp_path: Path, rslora: bool, dora: bool, scale: float
) -> None:
    lora = replace(LORA, rslora=rslora, dora=dora)
    made = adapter.fresh(load_model(tiny_weights, TINY), lora, seed=0).eval()
    torch.testing.assert_close(made(input_ids=IDS).logits, answers(tiny_weights, None, IDS))
    assert made.base_model.model.model.layers[0].self_attn.v_proj.scaling["default"] == scale
    adapter.save(made, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["use_dora"]) == (rslora, dora)
    saved = load_file(tmp_path / "adapter" / WEIGHTS)
    assert any("lora_magnitude_vector" in name for name in saved) == dora


@pytest.mark.parametrize(("said", "wrong"), [(False, "4 unexpected"), (True, "4 missing")])
def test_magnitudes_and_a_config_that_do_not_agree_are_refused(
    tiny_weights: Path, tmp_path: Path, said: bool, wrong: str
) -> None:
    folder = write(tmp_path / "given", tiny_weights, use_dora=not said)
    with_config(use_dora=said)(folder)
    with pytest.raises(GoracsError, match=rf"{wrong} .*q_proj\.lora_magnitude_vector"):
        adapter.load(load_model(tiny_weights, TINY), folder, trainable=False)


def test_a_plain_word_is_the_list_of_it() -> None:
    assert replace(LORA, targets="q_proj") == replace(LORA, targets=("q_proj",))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], r"must be names of linears, as in \[q_proj,v_proj\], or all-linear, or auto; got \[\]"),
        (None, "must be names of linears"),
        (3, "must be names of linears"),
        ([1, 2], "must be names of linears"),
        ("(q_proj", "is no regular expression"),
    ],
)
def test_targets_that_are_none_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Lora(2, 4, 0.0, targets, False, False)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["q_proj", "v_prj"], "it has no v_prj"),
        (["oj"], "does not fit this backbone"),
        ("wq", r"targets=\['wq'\] does not fit"),
        (".*wq", r"targets=\.\*wq does not fit"),
    ],
)
def test_targets_that_the_backbone_lacks_are_refused(tiny_weights: Path, targets: Any, message: str) -> None:
    with pytest.raises(GoracsError, match=message):
        adapter.fresh(load_model(tiny_weights, TINY), replace(LORA, targets=targets), seed=0)


def test_the_config_of_a_saved_adapter_names_this_backbone(tiny_weights: Path, tmp_path: Path) -> None:
    with_config(base_model_name_or_path="other/model")(write(tmp_path / "given", tiny_weights))
    loaded = adapter.load(load_model(tiny_weights, TINY), tmp_path / "given", trainable=False)
    adapter.save(loaded, tmp_path / "again")
    config = json.loads((tmp_path / "again" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"


def test_the_config_of_a_saved_adapter_has_one_order(tiny_weights: Path, tmp_path: Path) -> None:
    """Not that of a set of words, of which each process has its own."""
    names = ("v_proj", "up_proj", "q_proj", "o_proj", "gate_proj", "down_proj", "k_proj")
    model = adapter.fresh(load_model(tiny_weights, TINY), replace(LORA, targets=names), seed=0)
    adapter.save(model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"] == sorted(names)
