"""The numbers that `score.together` names, from the command to the arrays of the score stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from goracs.config import build, composed
from goracs.data.prepare import read_examples
from goracs.data.tokens import marks_in_front, tokenized
from goracs.llm.course import weighted_checkpoints
from goracs.llm.gradient import gaussian_projection
from goracs.llm.recommender import Recommender
from tests.conftest import RUNTIME, TINY
from tests.pipeline.conftest import Command, Ended

NAMES = ("answer_loss", "confidence", "entropy", "ifd", "lead")
TEXTS = (
    "task=seqrec",
    "selector=random",
    "until=score",
    f"score.together=[{','.join(NAMES)}]",
    "assess=true",
)


def test_ifd_is_the_loss_of_the_answer_over_its_loss_without_the_prompt(
    goracs: Command, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    ended = goracs(*TEXTS, store=store, without=("split.per_user",))
    assert ended.code == 0, ended.text
    (scored,), (prepared,), (weights,), (adapter,) = (
        [path for path in (store / stage).iterdir() if path.is_dir()]
        for stage in ("score", "prepare", "weights", "adapter")
    )
    arrays = {name: np.load(scored / f"pool_{name}.npy") for name in NAMES}
    assert all(array.shape == (60,) and np.isfinite(array).all() for array in arrays.values())
    task = build(composed(["task=seqrec"]))["task"]
    llm = Recommender(weights, TINY, task, RUNTIME, prepared)
    model, pool = llm.adapted(adapter / "adapter"), read_examples(prepared, "train")
    for row in (0, 31):
        (text,) = tokenized([pool[row]], task.template, llm.tokenizer)
        ratio = loss(model, text.prompt, text.answer) / loss(
            model, tuple(marks_in_front(llm.tokenizer)), text.answer
        )
        np.testing.assert_allclose(arrays["ifd"][row], ratio, rtol=1e-4)


def loss(model: torch.nn.Module, before: tuple[int, ...], answer: tuple[int, ...]) -> float:
    """Mean over the answer's tokens that have something before them."""
    ids = torch.tensor([before + answer])
    first = max(len(before), 1)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, first - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, ids[0, first:]))


def test_gradients_over_the_course_of_a_warm_up_are_those_of_its_checkpoints(
    goracs: Command, tmp_path: Path
) -> None:
    """Against a run at each checkpoint alone: the adapter of that folder given, its gradients taken."""
    words = (
        "selector=random",
        "until=score",
        "score.together=[unit_sketch,answer_loss]",
        "score.sketch_dim=16",
        "assess=true",
    )
    warm = ("adapter.checkpoints=2", "adapter.training.batch_size=2", "adapter.training.warmup_share=0.5")
    store = tmp_path / "store"
    dynamics = "score.together=[unit_sketch,answer_losses,right_margins]"
    found = scores(goracs(*words, *warm, "score.course=true", dynamics, store=store), store)
    (warmed,) = (path for path in (store / "adapter").iterdir() if path.is_dir())
    rates = [row["lr"] for row in json.loads((warmed / "curve.json").read_text())]
    assert len(rates) == 4
    weights = np.array([np.mean(rates[:2]), np.mean(rates[2:])]) / (np.mean(rates[:2]) + np.mean(rates[2:]))
    assert abs(weights[0] - weights[1]) > 0.1
    alone = []
    for step in ("2", "4"):
        given = ("adapter=path", f"adapter.path={warmed / 'checkpoints' / step}")
        alone.append(scores(goracs(*words, *given, store=store), store))
    norms = [one["pool_gradient_norm"] for one in alone]
    np.testing.assert_allclose(found["pool_gradient_norm"], weights @ np.stack(norms), rtol=1e-5)
    for side in ("pool", "target"):
        inner = sum(
            w * one[f"{side}_sketch"] @ one["pool_sketch"].T for w, one in zip(weights, alone, strict=True)
        )
        np.testing.assert_allclose(
            found[f"{side}_sketch"] @ found["pool_sketch"].T, inner, rtol=1e-4, atol=1e-6
        )
        directions = [
            one[f"{side}_sketch"] / np.linalg.norm(one[f"{side}_sketch"], axis=1)[:, None] for one in alone
        ]
        for one, direction in zip(alone, directions, strict=True):
            np.testing.assert_allclose(one[f"{side}_unit_sketch"], direction, atol=1e-6)
        joined = np.concatenate([w**0.5 * one for w, one in zip(weights, directions, strict=True)], axis=1)
        np.testing.assert_allclose(found[f"{side}_unit_sketch"], joined, atol=1e-4)
    np.testing.assert_array_equal(found["pool_loss"], alone[1]["pool_loss"])  # all else is of its end
    losses = np.stack([one["pool_answer_loss"] for one in alone], axis=1)
    np.testing.assert_allclose(found["pool_answer_losses"], losses, rtol=1e-5)
    np.testing.assert_allclose(np.logaddexp(0, -found["pool_right_margins"]), losses, rtol=1e-5)
    assert "target_margin" not in found


def test_training_dynamics_are_the_pools_numbers_at_each_checkpoint(goracs: Command, tmp_path: Path) -> None:
    """By hand at the earliest of three; each row at its place; what else comes is of the end alone."""
    store, names = tmp_path / "store", "score.together=[answer_losses,ifd,hidden]"
    course = ("adapter.checkpoints=3", "adapter.training.batch_size=2")
    ended = goracs(*TEXTS[:3], names, *course, "assess=true", store=store, without=("split.per_user",))
    found = scores(ended, store)
    assert found["pool_answer_losses"].shape == (60, 3)
    assert found["pool_answer_losses"].dtype == np.float32
    np.testing.assert_array_equal(found["pool_answer_losses"][:, 2], found["pool_answer_loss"])
    assert set(found) == {
        *(f"pool_{name}" for name in ("answer_losses", "answer_loss", "ifd", "hidden")),
        *("pool_gradient_norm", "pool_loss", "pool_el2n", "target_hidden"),
    }
    llm = opened(store, "task=seqrec")
    (warmed,) = (path for path in (store / "adapter").iterdir() if path.is_dir())
    assert sorted(place.name for place in (warmed / "checkpoints").iterdir()) == ["1", "3", "4"]
    (prepared,) = (path for path in (store / "prepare").iterdir() if path.is_dir())
    model, texts = llm.adapted(warmed / "checkpoints" / "1"), llm.read(read_examples(prepared, "train"))
    for row in (0, 31):
        by_hand = loss(model, texts.prompts[row], texts.answers[row])
        np.testing.assert_allclose(found["pool_answer_losses"][row, 0], by_hand, rtol=1e-4)


def opened(store: Path, task: str) -> Recommender:
    (prepared,), (weights,) = (
        [path for path in (store / stage).iterdir() if path.is_dir()] for stage in ("prepare", "weights")
    )
    return Recommender(weights, TINY, build(composed([task]))["task"], RUNTIME, prepared)


def test_sketches_of_adams_steps_are_those_of_its_moments_at_each_checkpoint(
    goracs: Command, tmp_path: Path
) -> None:
    """A row's gradient by an ordinary backward pass, stepped and projected by hand."""
    words = (
        "selector=random",
        "until=score",
        "score.together=[unit_sketch]",
        "score.sketch_dim=16",
        "assess=true",
    )
    course = ("adapter.checkpoints=2", "adapter.training.batch_size=2", "score.course=true")
    store = tmp_path / "store"
    plain, found = (
        scores(goracs(*words, *course, f"score.adam={adam}", store=store), store) for adam in (False, True)
    )
    for name in ("pool_gradient_norm", "target_unit_sketch", "pool_loss"):
        np.testing.assert_array_equal(found[name], plain[name])
    (prepared,), (weights,), (warmed,) = (
        [path for path in (store / stage).iterdir() if path.is_dir()]
        for stage in ("prepare", "weights", "adapter")
    )
    llm = Recommender(weights, TINY, build(composed(["task=ctr"]))["task"], RUNTIME, prepared)
    example, row = llm.read(read_examples(prepared, "train")[7:8]), 7
    for block, (checkpoint, weight) in enumerate(weighted_checkpoints(warmed)):
        model = llm.adapted(checkpoint, trainable=True).eval()
        names = [name for name, _ in model.named_parameters() if "v_proj.lora_B" in name]
        matrix = dict(model.named_parameters())[names[-1]]
        (gradient,) = torch.autograd.grad(llm.loss(model, example.batch(np.array([0]))).losses.sum(), matrix)
        kept = load_file(checkpoint / "moments.safetensors")
        m, v = (kept[f"{names[-1]}/{which}"].double() for which in ("exp_avg", "exp_avg_sq"))
        step = (0.9 * m + 0.1 * gradient) / (0.999 * v + 0.001 * gradient.double() ** 2 + 1e-8).sqrt()
        projection = gaussian_projection(16, matrix.numel(), 0).double()
        sketch = projection @ step.flatten()
        expected = weight**0.5 * sketch / sketch.norm()
        ours = found["pool_unit_sketch"][row, 16 * block : 16 * (block + 1)]
        np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-3, atol=1e-5)


def test_less_along_a_warm_up_keeps_the_rows_of_largest_influence(goracs: Command, tmp_path: Path) -> None:
    """By Adam's steps, from the directions that the score stage left."""
    course = (
        "adapter.checkpoints=2",
        "adapter.training.batch_size=2",
        "score.course=true",
        "score.adam=true",
    )
    words = ("selector=less", "selector.by_class=false", "until=select", "score.sketch_dim=16", "budget=5")
    store = tmp_path / "store"
    found = scores(goracs(*words, *course, store=store), store)
    (selected,) = (path for path in (store / "select").iterdir() if path.is_dir())
    influence = found["pool_unit_sketch"] @ found["target_unit_sketch"].mean(axis=0)
    np.testing.assert_array_equal(np.load(selected / "indices.npy"), np.sort(np.argsort(-influence)[:5]))
    report = json.loads((selected / "report.json").read_text())
    assert abs(report["smallest_kept"] - np.sort(influence)[-5]) < 1e-6


def scores(ended: Ended, store: Path) -> dict[str, np.ndarray]:
    assert ended.code == 0, ended.text
    place = store / "score" / ended.result["digests"]["score"][:24]
    return {file.stem: np.load(file) for file in place.glob("*.npy")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("score.course=false", "score.adam=true"),
            "score.adam=true takes Adam's moments at the checkpoints",
        ),
        (
            ("adapter.checkpoints=2", "score.adam=true", "score.together=[sketch]"),
            "It goes with selector=less, which reads their directions.",
        ),
        (("adapter=init",), "score.course=true takes gradients along a warm-up: take adapter=warmup"),
        ((), "and adapter.checkpoints of at least 2"),
        (
            ("adapter.checkpoints=2", "adapter.training.steps=1", "adapter.training.epochs=null"),
            "which left its end alone",
        ),
    ],
)
def test_without_checkpoints_there_is_no_course(
    goracs: Command, words: tuple[str, ...], message: str
) -> None:
    ended = goracs("score.course=true", *words, "until=score", "assess=true")
    assert ended.code == 1
    assert message in ended.text


@pytest.mark.parametrize("loss", ["answer", "all"])
def test_yes_and_no_may_be_scored_and_trained_as_words_among_all(
    goracs: Command, store_root: Path, loss: str
) -> None:
    """What is asked and EL2N stay of the choice; a chance among all words is smaller than one of two."""
    words = ("adapter=init", "selector=el2n", "finetune.steps=2", "finetune.epochs=null")
    pair, spelled = goracs(*words), goracs(*words, f"task.loss={loss}")
    assert pair.result["metrics"]["untuned"] == spelled.result["metrics"]["untuned"]
    assert pair.result["metrics"]["tuned"] != spelled.result["metrics"]["tuned"]
    same = {name for name, key in pair.result["digests"].items() if key == spelled.result["digests"][name]}
    asked = {"evaluate_untuned", "evaluate_start", "rule"}
    assert same == {"prepare", "weights", "fits", "adapter", *asked}
    two, all_words = scores(pair, store_root), scores(spelled, store_root)
    np.testing.assert_allclose(all_words["pool_el2n"], two["pool_el2n"], rtol=1e-4)
    if loss == "answer":
        assert (all_words["pool_loss"] > two["pool_loss"] + 1).all()
    assert (abs(all_words["pool_loss"] - np.log(1000)) < 2).all()  # of about a thousand words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "answer_losses are taken along a warm-up: take adapter=warmup, and adapter.checkpoints of"),
        (("adapter=init",), "answer_losses are taken along a warm-up"),
        (
            ("adapter.checkpoints=2", "adapter.training.steps=1", "adapter.training.epochs=null"),
            "training dynamics follow the warm-up, which left its end alone",
        ),
        (
            ("task=seqrec", "score.together=[right_margins]", "adapter.checkpoints=2"),
            "margins are of tasks with two answers",
        ),
    ],
)
def test_without_checkpoints_there_are_no_dynamics(
    goracs: Command, words: tuple[str, ...], message: str
) -> None:
    ended = goracs("score.together=[answer_losses]", *words, "until=score", "assess=true")
    assert ended.code == 1
    assert message in ended.text


def test_ifd_of_yes_and_no_is_refused(goracs: Command) -> None:
    ended = goracs("score.together=[ifd]", "until=score", "assess=true")
    assert ended.code == 1
    assert "ifd compares an answer with and without its prompt" in ended.text
