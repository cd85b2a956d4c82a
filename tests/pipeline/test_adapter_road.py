"""`adapter=path` down the whole road: that adapter is used, or the run ends before it costs anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

from goracs.config import conf_dir
from goracs.data.prepare import read_examples
from goracs.llm.recommender import Recommender
from goracs.llm.settings import MARGIN_NOISE
from tests.conftest import RUNTIME, TINY
from tests.pipeline.conftest import Command
from tests.saved_adapters import (
    MISFITS,
    OTHER_KIND_MESSAGES,
    OTHER_KINDS,
    UNUSABLE,
    WEIGHTS,
    loaded,
    with_config,
    write,
)

ROWS = 4  # examples whose scores are worked out anew
RELATIVE = 1e-4  # float32, sums in another order


@pytest.fixture
def given(tiny_weights: Path, tmp_path: Path) -> Path:
    """An adapter that plain peft saved, far from a fresh one."""
    return write(tmp_path / "given", tiny_weights)


def refused(goracs: Command, folder: Path, message: str, store: Path) -> set[str]:
    """One paragraph that names the folder, no result, nothing half-written; the stages that were built."""
    ended = goracs("adapter=path", f"adapter.path={folder}", store=store)
    assert ended.code == 1
    assert "Traceback" not in ended.text
    (told,) = [line for line in ended.text.splitlines() if line.startswith("error: ")]
    assert re.search(message, told), told
    assert str(folder) in told
    assert not (ended.folder / "result.json").exists()
    assert list(store.rglob("*.partial")) == []
    return {file.parent.parent.name for file in store.glob("*/*/manifest.json")}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_adapter_that_cannot_be_used_is_refused_before_anything_is_built(
    goracs: Command, given: Path, tmp_path: Path, name: str
) -> None:
    spoil, message = UNUSABLE[name]
    spoil(given)
    assert refused(goracs, given, message, tmp_path / "store") == set()


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_an_adapter_of_another_kind_is_refused_before_anything_is_built(
    goracs: Command, tiny_weights: Path, tmp_path: Path, name: str
) -> None:
    folder = write(tmp_path / "given", tiny_weights, **OTHER_KINDS[name])
    assert refused(goracs, folder, OTHER_KIND_MESSAGES[name], tmp_path / "store") == set()


@pytest.mark.parametrize("name", ["another prefix", "half of the layers", "a config of fewer modules"])
def test_an_adapter_that_does_not_fit_is_refused_before_anything_is_embedded(
    goracs: Command, given: Path, tmp_path: Path, name: str
) -> None:
    spoil, message = MISFITS[name]
    spoil(given)
    assert refused(goracs, given, message, tmp_path / "store") <= {"prepare", "weights", "fits"}


def test_the_layer_that_is_scored_is_looked_for_before_anything_is_built(
    goracs: Command, tiny_weights: Path, tmp_path: Path
) -> None:
    given = write(tmp_path / "given", tiny_weights, target_modules=["q_proj"])
    by_path = ("adapter=path", f"adapter.path={given}")
    for words in (by_path, ("adapter.lora.targets=q_proj", "adapter.rows=8")):
        ended = goracs(*words, store=tmp_path / "store")
        assert ended.code == 1
        assert "Gradients are taken at the LoRA of 'v_proj', which this adapter does not" in ended.text
        assert "it adapts: q_proj. Set score.layer to one of these" in ended.text
    assert list((tmp_path / "store").glob("*/*/manifest.json")) == []
    for words in (("score.layer=q_proj", "until=score"), ("selector=random", "until=finetune")):
        ended = goracs(*by_path, *words)
        assert ended.code == 0, ended.text


KINDS: dict[str, dict[str, Any]] = {"lora": {}, "dora and rslora": {"use_dora": True, "use_rslora": True}}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_adapter_that_is_given(
    goracs: Command, tiny_weights: Path, tmp_path: Path, store_root: Path, kind: str
) -> None:
    """Against plain peft, one backward pass for each example."""
    given = write(tmp_path / "given", tiny_weights, **KINDS[kind])
    result = goracs("adapter=path", f"adapter.path={given}", "until=score").result
    prepared, scores = (store_root / name / result["digests"][name][:24] for name in ("prepare", "score"))
    task = instantiate(OmegaConf.load(conf_dir() / "task" / "ctr.yaml"))
    texts = Recommender(tiny_weights, TINY, task, RUNTIME, prepared)
    read = texts.read(read_examples(prepared, "train")[:ROWS])
    model: Any = loaded(tiny_weights, given)
    weight = model.base_model.model.model.layers[1].self_attn.v_proj.lora_B["default"].weight
    weight.requires_grad_(True)
    loss: Any = texts.loss
    for row in range(ROWS):
        logits = model(input_ids=torch.tensor([read.prompts[row]])).logits[0, -1, [loss.no_id, loss.yes_id]]
        one = torch.nn.functional.cross_entropy(logits, torch.tensor(read.labels[row]))
        (gradient,) = torch.autograd.grad(one, weight)
        found = {name: np.load(scores / f"pool_{name}.npy")[row] for name in ("loss", "gradient_norm")}
        assert found["loss"] == pytest.approx(float(one.detach()), rel=RELATIVE)
        assert found["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=RELATIVE)


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_starts_from_the_adapter_that_is_given(
    goracs: Command, tiny_weights: Path, tmp_path: Path, kind: str
) -> None:
    given = write(tmp_path / "given", tiny_weights, **KINDS[kind])
    words = ("adapter=path", f"adapter.path={given}", "selector=random", "until=finetune", "finetune.lr=1e-6")
    tuned = load_file(goracs(*words).folder / "adapter" / WEIGHTS)
    start = load_file(given / WEIGHTS)
    assert set(tuned) == set(start)
    for name, weight in start.items():
        assert 0 < float((tuned[name] - weight).abs().max()) < 1e-4, name


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_dora_goes_the_road_from_its_warm_up(goracs: Command, precision: str) -> None:
    ended = goracs("adapter.lora.dora=true", "adapter.rows=8", f"backbone.precision={precision}")
    assert ended.code == 0, ended.text
    tuned = load_file(ended.folder / "adapter" / WEIGHTS)
    assert sum("lora_magnitude_vector" in name for name in tuned) == 4
    assert json.loads((ended.folder / "adapter" / "adapter_config.json").read_text())["use_dora"]
    assert ended.result["metrics"]["tuned"] != ended.result["metrics"]["start"]


def test_two_stores_have_one_result_of_a_given_adapter(goracs: Command, given: Path, tmp_path: Path) -> None:
    results = [
        goracs("adapter=path", f"adapter.path={given}", store=tmp_path / name).result for name in ("a", "b")
    ]
    first, other = ({**result, "stages": None, "command": None} for result in results)
    assert first == other
    assert first["metrics"]["start"] != first["metrics"]["untuned"]


def test_a_base_of_another_name_is_a_warning_in_log_and_result(goracs: Command, given: Path) -> None:
    words = ("adapter=path", f"adapter.path={given}", "selector=random", "until=finetune")
    assert goracs(*words).result["warnings"] == []
    with_config(base_model_name_or_path="some/other-model")(given)
    for ended in (goracs(*words), goracs(*words)):  # built, and found again
        assert ended.code == 0, ended.text
        (warning,) = ended.result["warnings"]
        assert "was trained on 'some/other-model'; here it is used on backbone.model=tiny" in warning
        assert f"warning: {warning}" in ended.text


def test_what_else_lies_beside_an_adapter_is_no_part_of_it(goracs: Command, given: Path) -> None:
    words = ("adapter=path", f"adapter.path={given}", "until=adapter")
    first = goracs(*words).result["digests"]["adapter"]
    (given / "README.md").write_text("a card")
    assert goracs(*words).result["digests"]["adapter"] == first
    with_config(lora_alpha=9)(given)
    assert goracs(*words).result["digests"]["adapter"] != first


def test_a_pickled_adapter_goes_on_as_safetensors(goracs: Command, given: Path, store_root: Path) -> None:
    torch.save(load_file(given / WEIGHTS), given / "adapter_model.bin")
    (given / WEIGHTS).unlink()
    digest = goracs("adapter=path", f"adapter.path={given}", "until=adapter").result["digests"]["adapter"]
    files = {file.name for file in (store_root / "adapter" / digest[:24] / "adapter").iterdir()}
    assert files == {"adapter_config.json", WEIGHTS}


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [
        ("all-linear", ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
        ("v_proj", ["v_proj"]),
    ],
)
def test_targets_in_a_word_go_the_road(goracs: Command, targets: str, adapted: list[str]) -> None:
    ended = goracs(f"adapter.lora.targets={targets}", "adapter.rows=8")
    assert ended.code == 0, ended.text
    config = json.loads((ended.folder / "adapter" / "adapter_config.json").read_text())
    assert sorted({name.rpartition(".")[2] for name in config["target_modules"]}) == adapted
    assert ended.result["metrics"]["tuned"]["auc"]["n"] == 24


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_the_result_says_how_far_rounding_alone_moves_margins(goracs: Command, precision: str) -> None:
    words = (f"backbone.precision={precision}", "backbone.batch_tokens=999", "adapter=init", "until=adapter")
    assert goracs(*words).result["precision"] == {
        "backbone": precision,
        "batch_tokens": 999,
        "attention": "auto",
        "quantize": None,
        "margin_noise": MARGIN_NOISE[precision],
        "measured_on": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }


def test_a_result_without_a_backbone_has_no_precision(goracs: Command) -> None:
    assert goracs("selector=random", "until=select").result["precision"] is None
