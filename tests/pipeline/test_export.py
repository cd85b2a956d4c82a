"""`goracs export`: what other tools load answers as the run's model does; what cannot be exported is told."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from goracs import cli
from tests import saved_adapters
from tests.pipeline.conftest import Command, Ended

QUICK = ("selector=random", "evaluate.draws=20")
Export = Callable[..., tuple[int, str]]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], store_root: Path) -> Export:
    """Run `goracs export` with the given words; its exit code, and what it printed."""

    def run(*words: object, store: Path = store_root) -> tuple[int, str]:
        said = [str(word) for word in words]
        monkeypatch.setattr(sys, "argv", ["goracs", "export", *said, "--store", str(store)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capfd.readouterr()
        return int(str(end.value.code)), printed.out + printed.err

    return run


def refused(export: Export, message: str, *words: Any, **options: Any) -> None:
    """One paragraph, and nothing is left."""
    code, text = export(*words, **options)
    assert code == 1
    assert "Traceback" not in text
    (told,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert message in told
    folder = Path(words[1]).resolve()
    assert not folder.name or not folder.with_name(f"{folder.name}.partial").exists()


def ids_of(folder: Path) -> torch.Tensor:
    prompts = json.loads((folder / "prompts.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    ids: torch.Tensor = tokenizer(prompts[5]["instruction"], return_tensors="pt").input_ids
    return ids


@pytest.mark.parametrize(
    ("dora", "precision", "close"),
    [("false", "float32", 1e-4), ("true", "float32", 1e-4), ("false", "bf16", 0.2)],
)
def test_a_merged_model_is_loaded_by_plain_transformers_with_equal_logits(
    goracs: Command,
    export: Export,
    tiny_weights: Path,
    tmp_path: Path,
    dora: str,
    precision: str,
    close: float,
) -> None:
    words = (f"adapter.lora.dora={dora}", f"backbone.precision={precision}", "finetune.lr=0.01")
    ended = goracs(*QUICK, *words, "until=finetune")
    code, text = export(ended.folder, tmp_path / "out", "merged=true")
    assert code == 0, text
    ids = ids_of(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model").eval()
    assert str(model.dtype) == {"float32": "torch.float32", "bf16": "torch.bfloat16"}[precision]
    with torch.no_grad():
        found = model(input_ids=ids).logits.float()
    expected = saved_adapters.answers(tiny_weights, ended.folder / "adapter", ids)
    untuned = saved_adapters.answers(tiny_weights, None, ids)
    assert float((found - expected).abs().mean()) < close * float((untuned - expected).abs().mean())
    assert not (tmp_path / "out" / "adapter").exists()


def test_an_exported_adapter_and_coreset_are_those_of_the_run(
    goracs: Command, export: Export, tmp_path: Path
) -> None:
    ended = goracs(*QUICK)
    code, text = export(ended.folder, tmp_path / "out")
    assert code == 0, text
    assert str(tmp_path / "out") in text
    for name in (
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "coreset.json",
        "indices.json",
    ):
        assert (tmp_path / "out" / name).read_bytes() == (ended.folder / name).read_bytes()
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert (
        info["goracs_coreset"]
        == json.loads((ended.folder / "dataset_info.json").read_text())["goracs_coreset"]
    )
    card = (tmp_path / "out" / "README.md").read_text()
    result = ended.result
    tuned = result["metrics"]["tuned"]["auc"]
    for said in (
        f"{tuned['value']:.3f} [{tuned['low']:.3f}, {tuned['high']:.3f}]",
        "| method | random |",
        "| budget | 8 rows (asked: 8) |",
        "| seed | 0 |",
        "GroupLens",
        result["command"],
        result["digests"]["finetune"],
        "were not run",
    ):
        assert said in card, said


@pytest.mark.parametrize(("task", "end"), [("ctr", ""), ("seqrec", "<|end|>")])
def test_the_recipes_name_the_coreset_as_the_model_read_it(
    goracs: Command, export: Export, tmp_path: Path, task: str, end: str
) -> None:
    words = (
        f"task={task}",
        "adapter.lora.rslora=true",
        "adapter.rows=8",
        "until=finetune",
        "adapter.lora.r=2",
    )
    ended = goracs("selector=random", *words, without=["task.lam"])
    code, text = export(ended.folder, tmp_path / "out")
    assert code == 0, text
    out, config = tmp_path / "out", ended.result["config"]
    prompts, rows = (json.loads((out / name).read_text()) for name in ("prompts.json", "coreset.json"))
    for prompt, row in zip(prompts, rows, strict=True):
        filled = config["task"]["template"].format(instruction=row["instruction"], input=row["input"])
        assert prompt == {
            "instruction": filled,
            "input": "",
            "output": row["output"],
            "ended": row["output"] + end,
        }
    factory, axolotl = (OmegaConf.load(out / f"{name}.yaml") for name in ("llama_factory", "axolotl"))
    info = json.loads((out / "dataset_info.json").read_text())[factory.dataset]
    assert (out / info["file_name"]).exists()
    assert set(info["columns"].values()) <= set(prompts[0])
    (data,) = axolotl.datasets
    assert (out / data.path).exists()
    assert {data.type.field_instruction, data.type.field_output} <= set(prompts[0])
    assert (factory.lora_rank, axolotl.lora_r) == (2, 2)
    assert (factory.use_rslora, axolotl.peft_use_rslora) == (True, True)
    assert (factory.lora_target, list(axolotl.lora_target_modules)) == ("q_proj,v_proj", ["q_proj", "v_proj"])
    assert (factory.learning_rate, axolotl.learning_rate) == (config["finetune"]["lr"],) * 2
    assert (factory.num_train_epochs, axolotl.num_epochs) == (1, 1)
    assert (factory.train_on_prompt, axolotl.train_on_inputs) == (task == "seqrec",) * 2
    assert "it was judged: no figure is known" in (out / "README.md").read_text()


def test_steps_that_were_asked_for_are_those_of_the_recipes(
    goracs: Command, export: Export, tmp_path: Path
) -> None:
    ended = goracs(
        *QUICK, "finetune.epochs=null", "finetune.steps=3", "until=finetune", without=["finetune.epochs"]
    )
    assert export(ended.folder, tmp_path / "out")[0] == 0
    for name in ("llama_factory", "axolotl"):
        recipe = OmegaConf.load(tmp_path / "out" / f"{name}.yaml")
        assert recipe.max_steps == 3
        assert not {"num_epochs", "num_train_epochs"} & set(recipe)


@pytest.fixture
def tuned(goracs: Command) -> Ended:
    return goracs(*QUICK, "until=finetune")


def test_what_is_there_is_never_written_over(tuned: Ended, export: Export, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for place in (tmp_path / "out", Path(), Path("/")):
        refused(export, "is there already: name another FOLDER", tuned.folder, place)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_without_a_fine_tune_is_refused(goracs: Command, export: Export, tmp_path: Path) -> None:
    ended = goracs("selector=random", "until=select")
    refused(
        export, "has no fine-tune: its run ended before it (until=select)", ended.folder, tmp_path / "out"
    )
    ended = goracs("selector=random", "finetune=head", without=["finetune.epochs"])
    refused(export, "has a head over hidden states (finetune=head)", ended.folder, tmp_path / "out")
    refused(export, "is not the folder of one job", tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_store_without_the_run_is_refused(tuned: Ended, export: Export, tmp_path: Path) -> None:
    refused(
        export,
        "does not hold the finetune of this run (finetune/",
        *(tuned.folder, tmp_path / "out"),
        store=tmp_path / "another",
    )
    assert not (tmp_path / "out").exists()


def changed(tuned: Ended, folder: Path, **backbone: Any) -> Path:
    """A copy of a job folder whose result tells something else of its backbone."""
    shutil.copytree(tuned.folder, folder)
    result = tuned.result
    kept = {**result["config"]["backbone"], **backbone}
    result["config"]["backbone"] = {name: value for name, value in kept.items() if value != "gone"}
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"quantize": "4bit"}, "trained on weights in 4bit; no merged model would answer as it does"),
        ({"attention": "gone"}, "was left by another version of goracs"),
    ],
)
def test_a_run_whose_backbone_cannot_be_merged_is_exported_as_an_adapter(
    tuned: Ended, export: Export, tmp_path: Path, backbone: dict[str, str], message: str
) -> None:
    folder = changed(tuned, tmp_path / "run", **backbone)
    refused(export, message, folder, tmp_path / "out", "merged=true")
    assert not (tmp_path / "out").exists()
    assert export(folder, tmp_path / "out")[0] == 0


def test_a_backbone_that_has_changed_is_refused(
    tuned: Ended, export: Export, tiny_weights: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_weights, tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    folder = changed(tuned, tmp_path / "run", model=str(other))
    refused(export, "is another today than it was in this run", folder, tmp_path / "out")


def test_a_merged_model_that_answers_otherwise_is_refused(
    tuned: Ended, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda self, **_: self.unload(), raising=False)
    refused(
        export,
        "merged model's logits are not those of the adapter",
        tuned.folder,
        tmp_path / "out",
        "merged=true",
    )
    assert not (tmp_path / "out").exists()


def test_a_word_that_is_none_is_refused(tuned: Ended, export: Export, tmp_path: Path) -> None:
    refused(export, "'merged=maybe' is no word", tuned.folder, tmp_path / "out", "merged=maybe")
