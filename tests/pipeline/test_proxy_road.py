"""Another LLM asked in the backbone's place before the selection: its coreset, the backbone's fine-tune."""

from __future__ import annotations

from pathlib import Path

import pytest

from goracs.commands import lab, verify
from goracs.report.blocks import blocks
from goracs.report.results import read_results
from tests import backbones
from tests.pipeline.conftest import Command
from tests.pipeline.test_plan import ALL, planned


@pytest.fixture
def other(tiny_weights: Path, tmp_path: Path) -> list[str]:
    """The settings of another backbone, without a prefix."""
    return [f"model={backbones.write(tmp_path / 'other', 'llama', tiny_weights)}", "precision=float32"]


def proxied(other: list[str]) -> list[str]:
    """Words that make it the proxy."""
    return ["backbone@proxy=hf", *(f"proxy.{word}" for word in other)]


def test_a_proxy_chooses_what_it_would_choose_for_itself_and_the_backbone_is_tuned_on_it(
    goracs: Command, other: list[str], store_root: Path
) -> None:
    asked = ("selector=goracs", "features=hidden")
    own = goracs(*asked)
    itself = goracs(*asked, "backbone=hf", *(f"backbone.{word}" for word in other), "until=select")
    ended = goracs(*asked, *proxied(other))
    assert ended.code == 0, ended.text
    found, theirs = ended.result["digests"], itself.result["digests"]
    assert found["proxy_adapter"] == theirs["adapter"]
    assert all(found[name] == theirs[name] for name in ("score", "features", "select"))
    assert found["proxy_weights"] != found["weights"]  # prune keeps both, and a result tells both
    assert all(found[name] == own.result["digests"][name] for name in ("adapter", "evaluate_untuned"))
    assert all(found[name] != own.result["digests"][name] for name in ("score", "finetune", "evaluate"))
    chosen = [(one.folder / "indices.json").read_text() for one in (ended, itself, own)]
    assert chosen[0] == chosen[1] != chosen[2]
    (block,) = blocks(read_results([own.folder, ended.folder]))
    assert {entry.method for entry in block.entries} == {"goracs", "goracs proxy=hf"}
    assert verify.run([str(ended.folder), "--store", str(store_root)]) == 0


def test_a_proxy_that_nothing_asks_is_not_looked_for(goracs: Command) -> None:
    words = ("selector=random", "backbone@proxy=hf", "proxy.model=nowhere/to-be-had")
    ended = goracs(*words)
    assert ended.code == 0, ended.text
    assert not {"score", "proxy_fits", "proxy_adapter"} & set(ended.result["digests"])
    asked = goracs(*words, "assess=true")
    assert asked.code == 1
    assert "nowhere/to-be-had" in asked.text


def test_a_coreset_by_a_proxy_does_not_ask_for_the_backbone(goracs: Command, other: list[str]) -> None:
    words = ("backbone=hf", "backbone.model=nowhere/to-be-had", "selector=grand", "until=select")
    ended = goracs(*words, *proxied(other))
    assert ended.code == 0, ended.text
    assert "adapter" not in ended.result["digests"]


def test_what_auto_comes_to_is_told_of_each(goracs: Command, tiny_weights: Path, tmp_path: Path) -> None:
    model = backbones.write(tmp_path / "gpt2", "gpt2", tiny_weights)
    words = ("adapter.lora.targets=auto", "score.layer=auto", "selector=grand", "until=finetune")
    ended = goracs(*words, *proxied([f"model={model}", "precision=float32"]))
    assert ended.result["chosen"] == {
        "adapter.lora.targets": ["q_proj", "v_proj"],
        "proxy adapter.lora.targets": ["c_attn"],
        "proxy score.layer": "c_attn",
    }
    assert "proxy score.layer=auto: c_attn\n" in ended.text


def test_a_plan_tells_what_the_proxy_reads(goracs: Command, other: list[str], tmp_path: Path) -> None:
    words = ["selector=grand", "adapter.rows=8", "budget=8", "until=select", *proxied(other)]
    words.append("proxy.max_length=150")
    told = planned([*ALL, *words], tmp_path / "store")
    done = goracs(*words, store=tmp_path / "store").result
    assert told["score"][1] == f"{done['prompts']['score']['read']:,}"
    assert done["prompts"]["score"]["shortened"] > 0
    assert f"{done['prompts']['score']['shortened']} of 60 train prompts will be shortened" in told[""][0]
    assert (told["proxy_adapter"][:2], told["score"][0]) == (["0 of 1", "8"], "0 of 1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetune=head", "selector=goracs"], "finetune=head is fitted on the hidden states that the s"),
        (["adapter=path", "adapter.path=/x"], "adapter=path is trained for one backbone, and backbone@pr"),
    ],
)
def test_what_a_proxy_cannot_serve_is_refused(goracs: Command, words: list[str], message: str) -> None:
    ended = goracs("backbone@proxy=tiny", *words, without=["finetune.epochs"])
    assert ended.code == 1
    assert message in ended.text
    assert "Traceback" not in ended.text


def test_a_lab_has_no_proxy(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert lab.run([*ALL, "backbone@proxy=tiny", f"store.root={tmp_path}"]) == 1
    assert "a lab tries and judges coresets by one LLM: leave out backbone@proxy." in capfd.readouterr().err
