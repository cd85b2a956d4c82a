"""Backbones: how attention, precision and quantised weights are asked for, and whose code is run."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers.dynamic_module_utils as dynamic
from pytorch_lightning import Trainer
from pytorch_lightning.plugins import MixedPrecision

from goracs.llm import adapter, available
from goracs.llm.available import refuse_unavailable
from goracs.llm.backbone import explained, load_model, load_tokenizer, outline
from goracs.llm.batch import Texts
from goracs.llm.finetune import refuse_unfaithful
from goracs.llm.finetune_module import FinetuneModule
from goracs.llm.gradient import module, score
from goracs.llm.losses import AnswerLoss, TextLoss
from goracs.llm.schedule import Steps, plan
from goracs.llm.settings import MARGIN_NOISE, Training
from goracs.types import GoracsError, InvalidInput
from tests import backbones
from tests.conftest import LORA, TINY
from tests.unit.test_gradient import JOB, NO, PLAIN, SETTINGS, YES, mixed_texts, one_by_one

IDS = torch.tensor([[5, 7, 300, 9, 41, 6]])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has a GPU; nothing is computed there."""
    monkeypatch.setattr(available, "has_gpu", lambda _: True)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_computed_as_asked(tiny_weights: Path, attention: str) -> None:
    made = load_model(tiny_weights, replace(TINY, attention=attention))
    assert made.config._attn_implementation == attention
    usual = load_model(tiny_weights, TINY)(input_ids=IDS).logits
    torch.testing.assert_close(made(input_ids=IDS).logits, usual)


def test_an_attention_that_a_family_lacks_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    folder = backbones.write(tmp_path / "mpt", "mpt", tiny_weights)
    with pytest.raises(GoracsError, match=r"attention=sdpa does not go with this backbone \(.*\): take auto"):
        load_model(folder, replace(TINY, attention="sdpa"))


@pytest.mark.parametrize(
    ("changes", "needs", "package"),
    [
        ({"attention": "flash_attention_2"}, r"backbone\.attention=flash_attention_2 needs", "flash_attn"),
        ({"quantize": "4bit"}, r"backbone\.quantize=4bit needs", "bitsandbytes"),
        ({"quantize": "8bit"}, r"backbone\.quantize=8bit needs", "bitsandbytes"),
    ],
)
def test_what_the_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], needs: str, package: str
) -> None:
    asked = replace(TINY, precision="bf16", **changes)
    with pytest.raises(InvalidInput, match=rf"{needs} a CUDA GPU, .*runtime\.accelerator=cpu"):
        refuse_unavailable(asked, "cpu")
    there = {package: False}
    monkeypatch.setattr(available, "has_gpu", lambda _: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there[name] or None)
    with pytest.raises(InvalidInput, match=rf"{needs} a package that is not installed: pip install"):
        refuse_unavailable(asked, "gpu")
    there[package] = True
    refuse_unavailable(asked, "gpu")


def test_flash_attention_computes_in_half_precision(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    with pytest.raises(InvalidInput, match=r"in bf16 or fp16 alone; backbone\.precision is float32"):
        refuse_unavailable(replace(TINY, attention="flash_attention_2"), "gpu")


@pytest.mark.parametrize(
    ("name", "value"), [("attention", "fast"), ("quantize", "2bit"), ("trust_remote_code", "yes")]
)
def test_a_setting_that_is_none_is_refused(name: str, value: str) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(InvalidInput, match=rf"backbone\.{name} must be one of .*; got '{value}'"):
        replace(TINY, **given)


@pytest.mark.parametrize(
    ("changes", "noise"),
    [
        ({"precision": "float32"}, MARGIN_NOISE["float32"]),
        ({"precision": "bf16", "attention": "sdpa"}, MARGIN_NOISE["bf16"]),
        ({"precision": "fp16"}, None),
        ({"precision": "bf16", "quantize": "4bit"}, None),
        ({"precision": "bf16", "attention": "eager"}, None),
    ],
)
def test_a_noise_that_nobody_measured_is_not_told(changes: dict[str, Any], noise: float | None) -> None:
    told = replace(TINY, **changes).exactness
    assert told["margin_noise"] == noise
    assert (told["measured_on"] is None) == (noise is None)


# --- whose code is run

CODE = """
import os
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path(os.environ["RAN"]).touch()

class HomemadeConfig(LlamaConfig):
    model_type = "homemade"

class HomemadeForCausalLM(LlamaForCausalLM):
    config_class = HomemadeConfig
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is there once the model's code has run; what transformers copies stays with the test."""
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    before = set(sys.modules)
    yield tmp_path / "ran"
    for name in set(sys.modules) - before:
        if name.startswith("transformers_modules"):
            del sys.modules[name]


def test_code_that_comes_with_a_model_is_run_only_when_trusted(
    tiny_weights: Path, tmp_path: Path, ran: Path
) -> None:
    folder = backbones.with_code(tmp_path / "homemade", tiny_weights, CODE)
    for load in (load_model, outline):
        with pytest.raises(GoracsError, match=r"not run unasked: .* backbone\.trust_remote_code=true"):
            load(folder, TINY)
    assert not ran.exists()
    trusted = replace(TINY, trust_remote_code=True)
    assert type(outline(folder, trusted)).__name__ == "HomemadeForCausalLM"
    made = load_model(folder, trusted)
    assert ran.exists()
    assert torch.equal(made(input_ids=IDS).logits, load_model(tiny_weights, TINY)(input_ids=IDS).logits)


def test_code_that_needs_what_is_not_installed_says_so(tiny_weights: Path, tmp_path: Path, ran: Path) -> None:
    folder = backbones.with_code(tmp_path / "homemade", tiny_weights, f"import nowhere_to_be_had\n{CODE}")
    with pytest.raises(GoracsError, match=r"cannot be loaded: .*nowhere_to_be_had"):
        load_model(folder, replace(TINY, trust_remote_code=True))


# --- fp16, computed on the CPU here: slowly, but as a GPU does it

STILL = replace(LORA, dropout=0.0)
SMALL = 1e-5  # of a loss, whose slopes then lie where fp16 has few digits


def half(weights: Path) -> Any:
    return backbones.adapted(load_model(weights, replace(TINY, precision="fp16")), STILL)


def test_small_gradients_survive_fp16(tiny_weights: Path) -> None:
    def small(model: Any, batch: Any) -> Any:
        outcome = TextLoss()(model, batch)
        return replace(outcome, losses=outcome.losses * SMALL)

    texts, model = mixed_texts("left"), half(tiny_weights)
    scoring = module(model, small, SETTINGS, frozenset({"gradient_norm"}), "fp16")
    with torch.autocast("cpu", torch.float16):
        _, found = scoring.predict_step(texts.batch(np.arange(len(texts))), 0)
    exact = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0).eval()
    exact.load_state_dict({name: weight.float() for name, weight in model.state_dict().items()})
    expected = [SMALL * float(one.norm()) for one in one_by_one(exact, texts, answers_only=False)]
    np.testing.assert_allclose(found["gradient_norm"].numpy(), expected, rtol=0.01)


def trained(model: Any, plugin: Any, max_grad_norm: float) -> tuple[dict[str, torch.Tensor], Any]:
    settings = Training(1e-2, None, 2, None, 6, 0.0, 0.0, max_grad_norm)
    texts = mixed_texts("left")
    schedule = plan(texts.lengths, settings, 0)
    training = FinetuneModule(model.train(), TextLoss(), settings, 2, 0, texts, JOB.halving)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=2, enable_model_summary=False, plugins=plugin, **options)
    data = torch.utils.data.DataLoader(Steps(texts, schedule, 64), batch_size=None)
    trainer.fit(training, data)
    return adapter.weights(model), training.curve


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*")
def test_a_training_in_fp16_is_that_in_float32_but_for_rounding(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SGD, so that the length of a gradient counts: the clip must bound it before it is scaled, not after."""

    def plain(groups: Any, **_: Any) -> torch.optim.SGD:
        return torch.optim.SGD([{**group, "initial_lr": 1.0} for group in groups], lr=1.0)

    monkeypatch.setattr(torch.optim, "AdamW", plain)
    found, exact = half(tiny_weights), adapter.fresh(load_model(tiny_weights, TINY), STILL, seed=0)
    exact.load_state_dict({name: weight.float() for name, weight in found.state_dict().items()})
    before = adapter.weights(exact)
    half_weights, _ = trained(found, MixedPrecision("16-mixed", "cpu"), 0.1)
    weights, _ = trained(exact, None, 0.1)
    moved = max(float((weights[name] - before[name]).norm()) for name in before)
    apart = max(float((weights[name] - half_weights[name]).norm()) for name in before)
    assert moved > 0.01
    assert apart < 0.05 * moved


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*lr_scheduler.step.*"
)
def test_a_step_beyond_fp16_is_told(tiny_weights: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    _, curve = trained(half(tiny_weights), MixedPrecision("16-mixed", "cpu", scaler), 1.0)
    assert [row.get("skipped") for row in curve] == [True, True]


# --- quantised weights, where the package is there: on a CPU too

QUANTISED = {"4bit": 0.9, "8bit": 0.99}  # the least correlation of the logits with those of plain weights


@pytest.mark.parametrize("quantize", QUANTISED)
def test_a_quantised_backbone_answers_nearly_as_it_was_and_is_scored_right(
    tiny_weights: Path, tmp_path: Path, quantize: str
) -> None:
    pytest.importorskip("bitsandbytes")
    folder = backbones.write(tmp_path / "wide", "mistral", tiny_weights)
    model: Any = load_model(folder, replace(TINY, quantize=quantize))
    plain = load_model(folder, TINY)
    for part in model.modules():  # a kernel of CPUs alone, which has no backward pass
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
    assert type(model.get_output_embeddings()) is torch.nn.Linear
    assert type(model.model.layers[0].mlp.down_proj).__name__ in ("Linear4bit", "Linear8bitLt")
    usual = plain(input_ids=IDS).logits
    found = model(input_ids=IDS).logits
    assert not torch.equal(found, usual)
    assert float(torch.corrcoef(torch.stack([found.flatten(), usual.flatten()]))[0, 1]) > QUANTISED[quantize]
    made = backbones.adapted(model, LORA)
    texts = mixed_texts("left")
    read = Texts.of(texts.prompts, [()] * len(texts), texts.labels, 0, "left")
    score(made, AnswerLoss(NO, YES), read, SETTINGS, PLAIN, JOB, tmp_path, "pool")
    expected = [float(one.norm()) for one in one_by_one(made, texts, answers_only=True)]
    np.testing.assert_allclose(np.load(tmp_path / "pool_gradient_norm.npy"), expected, rtol=0.02)
    adapter.save(made, tmp_path / "adapter")
    refuse_unfaithful(made, tmp_path / "adapter", read)


def test_a_tokenizer_of_a_gguf_file_is_asked_for_as_such(tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match=r"none\.gguf"):
        load_tokenizer(tmp_path / "none.gguf")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no tokenizer": (without_tokenizer, "has no file of a tokenizer"),
    "weights cut": (lambda folder: cut(folder / "model.safetensors"), "model.safetensors is cut or damaged"),
    "weights gone": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "no file named model.safetensors",
    ),
    "tokenizer cut": (lambda folder: cut(folder / "tokenizer.json"), "tokenizer.json is no whole JSON"),
    "tokenizer odd": (
        lambda folder: (folder / "tokenizer.json").write_text('{"model": 1}'),
        "transformers says: ",
    ),
    "config empty": (lambda folder: (folder / "config.json").write_text("{}"), "names no model_type"),
    "config a list": (lambda folder: (folder / "config.json").write_text("[]"), "names no model_type"),
    "config unknown": (
        lambda folder: (folder / "config.json").write_text('{"model_type": "nope"}'),
        "names the model_type 'nope'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_told_in_a_paragraph(tiny_weights: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_weights, folder)
    done, message = DAMAGES[damage]
    done(folder)
    with pytest.raises(GoracsError) as error:  # noqa: PT012  whichever of them reads it
        load_tokenizer(folder)
        outline(folder, TINY)
        load_model(folder, TINY)
    told = str(error.value)
    assert told.startswith(f"The model in {folder} cannot be loaded")
    assert message in told
    assert "another model" in told
    assert "\n" not in told


def test_a_full_memory_or_disk_is_no_damage(tmp_path: Path) -> None:
    on_a_cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    for error in (MemoryError(), torch.OutOfMemoryError("no"), on_a_cpu, OSError(28, "No space left")):
        with pytest.raises(type(error)), explained(tmp_path):
            raise error
