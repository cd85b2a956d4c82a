"""The laws of the LLM side on a GPU: its numbers are the CPU's. Everywhere else the CPU stands in for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file

from goracs.llm import adapter
from goracs.llm.answers import answer, answer_alike
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.gradient import score
from goracs.llm.jobs import Job
from goracs.llm.likelihood import likelihoods
from goracs.llm.losses import AnswerLoss, Loss, TextLoss
from goracs.llm.packed import Packed
from goracs.types import FloatArray
from tests.conftest import LORA, RUNTIME, TINY
from tests.pipeline.conftest import Command
from tests.unit import test_cache, test_likelihood, test_resume
from tests.unit.test_gradient import ALL, EVERY, NO, SETTINGS, YES, mixed_texts

HERE = torch.cuda.is_available()
ROUNDING = 1e-3  # float32 with the sums of another machine, relative to the largest
COARSE = {"bf16": 0.05, "fp16": 0.02}  # of numbers in half precision, in the same way
ON_GPU = pytest.mark.skipif(not HERE, reason="no CUDA GPU is here")


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=ON_GPU)])
def job(request: pytest.FixtureRequest) -> Callable[..., Job]:
    """A job on a device, of a precision, in batches of so many tokens."""

    def made(precision: str = "float32", batch_tokens: int = 64, keep_every: float = 10) -> Job:
        runtime = replace(RUNTIME, accelerator=request.param, keep_every=keep_every)
        return Job("a job", precision, batch_tokens, runtime)

    return made


def close(found: FloatArray, expected: FloatArray, most: float = ROUNDING) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=most * float(np.abs(expected).max()))


def scores(model: Any, loss: Loss, texts: Texts, names: frozenset[str], job: Job, out: Path) -> Any:
    """Name -> array."""
    out.mkdir()
    score(model, loss, texts, SETTINGS, names, job, out, "pool")
    return {file.stem: np.load(file) for file in out.glob("*.npy")}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("loss", [AnswerLoss(NO, YES), TextLoss(), TextLoss(answer_alone=True)])
def test_scores_are_the_cpus_whatever_the_batches(
    model: Any,
    job: Callable[..., Job],
    tmp_path: Path,
    loss: Loss,
    side: str,
) -> None:
    ctr = isinstance(loss, AnswerLoss)
    texts = mixed_texts(side)
    texts = replace(texts, answers=Packed.repeated((), len(texts))) if ctr else texts
    names = frozenset(EVERY if ctr else EVERY - {"margin"})
    on_cpu = scores(model, loss, texts, names, Job("cpu", "float32", 1, RUNTIME), tmp_path / "cpu")
    for batch_tokens in (1, 64, 4096):
        found = scores(model, loss, texts, names, job("float32", batch_tokens), tmp_path / f"{batch_tokens}")
        assert found.keys() == on_cpu.keys()
        for name, values in on_cpu.items():
            close(found[name], values)


@pytest.mark.parametrize("precision", [pytest.param("bf16"), pytest.param("fp16", marks=ON_GPU)])
def test_scores_in_half_precision_are_near_to_whole_ones(
    model: Any,
    job: Callable[..., Job],
    tmp_path: Path,
    precision: str,
) -> None:
    if precision == "fp16" and job().runtime.accelerator == "cpu":
        pytest.skip("a CPU does not compute in fp16")
    texts = mixed_texts("left")
    whole, half = (
        scores(model, TextLoss(), texts, ALL, job(kind), tmp_path / kind) for kind in ("float32", precision)
    )
    for name in ("pool_loss", "pool_gradient_norm"):
        close(half[name], whole[name], COARSE[precision])


def test_candidates_are_as_likely_as_by_whole_passes_on_a_cpu(
    tiny_weights: Path, job: Callable[..., Job]
) -> None:
    texts, candidates = test_likelihood.texts(), test_likelihood.candidates()
    tuned = test_likelihood.models(tiny_weights)["adapter"]
    found = likelihoods(tuned, texts, candidates, False, job("float32", 70))
    tuned.to("cpu")
    for ours, prompt, own in zip(found, texts.prompts, candidates, strict=True):
        close(ours, np.array([test_likelihood.whole(tuned, prompt, ids) for ids in own]))


def test_answers_behind_one_beginning_are_those_of_whole_prompts(
    tiny_weights: Path, job: Callable[..., Job]
) -> None:
    tuned, texts = test_likelihood.models(tiny_weights)["adapter"], test_cache.texts()
    alone = answer(tuned, test_cache.LOSS, texts, Job("cpu", "float32", 1, RUNTIME))
    close(answer(tuned, test_cache.LOSS, texts, job()), alone)
    close(answer_alike(tuned, test_cache.LOSS, texts, job()), alone)


def test_a_training_goes_as_on_a_cpu_and_on_after_a_kill(
    tiny_weights: Path, job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = job("float32", 4096, 0)
    monkeypatch.setattr(test_resume, "LORA", replace(LORA, dropout=0.0))
    on_cpu = test_resume.train(tiny_weights, tmp_path / "cpu")
    there = test_resume.train(tiny_weights, tmp_path / "there", job=always)
    curves = [json.loads(made["curve.json"]) for made in (on_cpu, there)]
    losses = [[row["loss"] for row in curve] for curve in curves]
    np.testing.assert_allclose(losses[1], losses[0], rtol=ROUNDING)
    assert test_resume.killed(tiny_weights, tmp_path / "killed", monkeypatch, after=3, job=always)
    again = test_resume.train(tiny_weights, tmp_path / "killed", job=always)
    weights = [load(made["adapter/adapter_model.safetensors"]) for made in (there, again)]
    for name, weight in weights[0].items():
        close(weights[1][name].numpy(), weight.numpy())


@pytest.mark.parametrize("task", ["ctr", "seqrec"])
def test_a_whole_run_ends_with_the_figures_of_a_cpu(
    goracs: Command,
    job: Callable[..., Job],
    tmp_path: Path,
    task: str,
) -> None:
    words = (f"task={task}", "selector=random", "assess=true", "backbone.precision=float32")
    places = ("cpu", job().runtime.accelerator)
    ends = [
        goracs(
            *words,
            "evaluate.method=likelihood",
            f"runtime.accelerator={place}",
            store=tmp_path / f"store{run}",
        )
        for run, place in enumerate(places)
    ]
    assert [end.code for end in ends] == [0, 0], ends[-1].text
    first, second = (end.result for end in ends)
    for name in ("transport", "mean_gradient", "max_distance", "max_gradient"):
        expected = pytest.approx(first["coreset"]["assessment"][name], rel=ROUNDING)
        assert second["coreset"]["assessment"][name] == expected
    for name, figure in first["metrics"]["untuned"].items():
        assert second["metrics"]["untuned"][name]["value"] == pytest.approx(figure["value"], abs=0.02)


@ON_GPU
def test_a_fresh_adapter_is_the_same_on_every_device(tiny_weights: Path, tmp_path: Path) -> None:
    places = ("cpu", "cuda")
    made = [adapter.fresh(load_model(tiny_weights, TINY).to(where), LORA, seed=0) for where in places]
    for place, one in enumerate(made):
        adapter.save(one, tmp_path / str(place))
    first, second = (load_file(tmp_path / str(place) / "adapter_model.safetensors") for place in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
