"""Backbones of other families down the whole road, and what is refused of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import backbones
from tests.pipeline.conftest import Command

AUTO = ("adapter.lora.targets=auto", "score.layer=auto")


@pytest.mark.parametrize(("family", "fused"), [("gpt2", "c_attn"), ("phi3", "qkv_proj")])
def test_auto_takes_another_family_down_the_road(
    goracs: Command, tiny_weights: Path, tmp_path: Path, family: str, fused: str
) -> None:
    folder = backbones.write(tmp_path / family, family, tiny_weights)
    ended = goracs("backbone=hf", f"backbone.model={folder}", "backbone.precision=float32", *AUTO)
    assert ended.code == 0, ended.text
    assert ended.result["chosen"] == {"adapter.lora.targets": [fused], "score.layer": fused}
    assert f"adapter.lora.targets=auto: {fused}\n" in ended.text
    assert f"score.layer=auto: {fused}\n" in ended.text
    saved = json.loads((ended.folder / "adapter" / "adapter_config.json").read_text())
    assert saved["target_modules"] == [fused]
    assert ended.result["metrics"]["tuned"]["auc"]["n"] == 24


def test_auto_has_the_stages_of_a_run_that_names_what_it_comes_to(goracs: Command) -> None:
    named, auto = goracs("until=score").result, goracs("until=score", *AUTO).result
    assert auto["chosen"] == {"adapter.lora.targets": ["q_proj", "v_proj"], "score.layer": "v_proj"}
    assert "chosen" not in named
    assert auto["digests"] == named["digests"]


def test_auto_finds_the_layer_of_an_adapter_that_is_given_by_expression(goracs: Command) -> None:
    words = ("adapter.lora.targets=all-linear", "score.layer=auto", "until=score")
    assert goracs(*words).result["chosen"] == {"score.layer": "v_proj"}


def test_what_no_stage_asks_is_not_chosen(goracs: Command) -> None:
    ended = goracs(*AUTO, "selector=random", "until=finetune")
    assert ended.result["chosen"] == {"adapter.lora.targets": ["q_proj", "v_proj"]}
    assert "score.layer=auto:" not in ended.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbone.quantize=4bit"], "backbone.quantize=4bit needs a CUDA GPU"),
        (["backbone.attention=flash_attention_2"], "backbone.attention=flash_attention_2 needs a CUDA GPU"),
        (["backbone.precision=fp16"], "backbone.precision=fp16 needs a CUDA GPU"),
        (["backbone.attention=fast"], "backbone.attention must be one of auto, eager, sdpa, flash_"),
    ],
)
def test_what_this_machine_cannot_serve_is_refused_before_anything_is_built(
    goracs: Command, tmp_path: Path, words: list[str], message: str
) -> None:
    ended = goracs(*words, store=tmp_path / "store")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    (told,) = [line for line in ended.text.splitlines() if line.startswith("error: ")]
    assert message in told
    assert list((tmp_path / "store").glob("*/*/manifest.json")) == []


def test_a_backbone_with_code_of_its_own_is_refused_in_one_paragraph(
    goracs: Command, tiny_weights: Path, tmp_path: Path
) -> None:
    folder = backbones.with_code(tmp_path / "homemade", tiny_weights, "raise SystemExit('it was run')")
    ended = goracs("backbone=hf", f"backbone.model={folder}", store=tmp_path / "store")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    assert "it was run" not in ended.text
    (told,) = [line for line in ended.text.splitlines() if line.startswith("error: ")]
    assert "backbone.trust_remote_code=true" in told
    assert not (ended.folder / "result.json").exists()


def test_an_attention_that_is_asked_for_goes_the_road_and_is_told(goracs: Command) -> None:
    ended = goracs("backbone.attention=eager", "until=score")
    assert ended.code == 0, ended.text
    assert ended.result["precision"]["attention"] == "eager"
    assert ended.result["precision"]["margin_noise"] is None
