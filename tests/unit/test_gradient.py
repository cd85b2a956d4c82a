"""Per-example gradients in batches: equal to one backward pass per example, whatever the padding."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goracs.llm import adapter
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.chances import FIGURES
from goracs.llm.gradient import chosen_matrices, gaussian_projection, module, score, seed_of
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss, Loss, SpelledLoss, TextLoss
from goracs.llm.packed import Packed
from goracs.llm.settings import Score
from goracs.types import GoracsError, InvalidInput
from tests import backbones
from tests.conftest import LORA, RUNTIME, TINY

RELATIVE = 1e-4  # float32, sums in another order
JOB = Job("score", "float32", 64, RUNTIME)  # a bound of 64 tokens makes batches of mixed lengths
SETTINGS = Score(
    layer="v_proj",
    depth="last",
    matrices="B",
    course=False,
    adam=False,
    sketch_dim=16,
    sketch_seed=3,
    together=(),
)
NO, YES = 300, 301
PLAIN = frozenset({"gradient_norm", "loss", "el2n"})
ALL = PLAIN | {"sketch"}
EVERY = ALL | {"hidden", "margin", "answer_loss", *FIGURES}


@pytest.fixture(scope="module")
def model(tiny_weights: Path) -> Any:
    """The tiny backbone with an adapter whose B is not 0, in training mode as a careless caller leaves it."""
    return backbones.adapted(load_model(tiny_weights, TINY), LORA)


def mixed_texts(side: str) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, size).tolist()) for size in (3, 17, 40, 8, 25, 11)]
    answers = [tuple(rng.integers(5, 900, size).tolist()) for size in (1, 2, 4, 3, 1, 5)]
    return Texts.of(prompts, answers, [0, 1, 1, 0, 1, 0], pad_id=0, side=side)


def one_by_one(
    model: Any, texts: Texts, answers_only: bool, settings: Score = SETTINGS
) -> list[torch.Tensor]:
    """The gradient of each example's loss by an ordinary backward pass over that example alone, unpadded."""
    weights = [matrix.weight.requires_grad_(True) for matrix in chosen_matrices(model, settings)]
    gradients = []
    for prompt, answer, label in zip(texts.prompts, texts.answers, texts.labels, strict=True):
        ids = torch.tensor([prompt if answers_only else prompt + answer])
        logits = model(input_ids=ids).logits[0]
        if answers_only:
            loss = torch.nn.functional.cross_entropy(logits[-1, [NO, YES]], torch.tensor(label))
        else:
            loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:])
        gradients.append(torch.cat([found.flatten() for found in torch.autograd.grad(loss, weights)]))
    for weight in weights:
        weight.requires_grad_(False)
    return gradients


LOSSES: dict[str, Loss] = {
    "ctr": AnswerLoss(NO, YES),
    "seqrec": TextLoss(),
    "spelled": SpelledLoss(AnswerLoss(NO, YES), TextLoss()),
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("task", LOSSES)
def test_gradient_norms_equal_one_backward_pass_per_example(
    model: Any, tmp_path: Path, side: str, task: str
) -> None:
    texts = mixed_texts(side)
    ctr = task == "ctr"
    read = Texts.of(texts.prompts, [()] * len(texts), texts.labels, 0, side) if ctr else texts
    score(model, LOSSES[task], read, SETTINGS, ALL, JOB, tmp_path, "pool")
    expected = one_by_one(model, texts, answers_only=ctr)
    norms = [float(gradient.norm()) for gradient in expected]
    np.testing.assert_allclose(np.load(tmp_path / "pool_gradient_norm.npy"), norms, rtol=RELATIVE)
    projection = gaussian_projection(16, expected[0].numel(), 3)
    sketches = torch.stack([projection @ gradient.flatten() for gradient in expected])
    scale = float(sketches.abs().max())
    np.testing.assert_allclose(np.load(tmp_path / "pool_sketch.npy"), sketches, atol=RELATIVE * scale)


SETS = {  # where gradients are taken -> the weights by name
    ("q_proj", "last", "B"): r"layers\.1\..*q_proj\.lora_B",
    (("v_proj", "q_proj"), "last", "B"): r"layers\.1\..*[qv]_proj\.lora_B",
    ("v_proj", "all", "B"): r"v_proj\.lora_B",
    ("v_proj", "last", "AB"): r"layers\.1\..*v_proj\.lora_[AB]",
    ("all", "all", "AB"): r"lora_[AB]",
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("task", ["ctr", "seqrec"])
@pytest.mark.parametrize("chosen", SETS)
def test_gradients_of_many_matrices_equal_one_backward_pass_to_all_of_them(
    model: Any, tmp_path: Path, chosen: Any, task: str, side: str
) -> None:
    layer, depth, matrices = chosen
    settings = replace(SETTINGS, layer=layer, depth=depth, matrices=matrices)
    named = {name: weight for name, weight in model.named_parameters() if re.search(SETS[chosen], name)}
    assert {id(matrix.weight) for matrix in chosen_matrices(model, settings)} == {*map(id, named.values())}
    texts, ctr = mixed_texts(side), task == "ctr"
    read = replace(texts, answers=Packed.repeated((), len(texts))) if ctr else texts
    score(model, AnswerLoss(NO, YES) if ctr else TextLoss(), read, settings, ALL, JOB, tmp_path, "pool")
    expected = one_by_one(model, texts, ctr, settings)
    norms = [float(gradient.norm()) for gradient in expected]
    np.testing.assert_allclose(np.load(tmp_path / "pool_gradient_norm.npy"), norms, rtol=RELATIVE)
    sizes = [matrix.weight.numel() for matrix in chosen_matrices(model, settings)]
    drawn = [gaussian_projection(16, size, seed_of(3, place)) for place, size in enumerate(sizes)]
    whole = torch.cat(drawn, dim=1)
    sketches = torch.stack([whole @ gradient for gradient in expected])
    scale = float(sketches.abs().max())
    np.testing.assert_allclose(np.load(tmp_path / "pool_sketch.npy"), sketches, atol=RELATIVE * scale)


def test_a_projection_that_takes_too_much_memory_is_refused(model: Any) -> None:
    settings = replace(SETTINGS, layer="all", depth="all", sketch_dim=2**24)
    with pytest.raises(InvalidInput, match=r"a projection of .* GB, more than 4: lower score.sketch_dim"):
        module(model, TextLoss(), settings, ALL, "float32")


KINDS: dict[str, dict[str, bool]] = {
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "both": {"rslora": True, "dora": True},
}


@pytest.mark.parametrize("task", ["ctr", "seqrec"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_norms_of_rslora_and_dora_equal_one_backward_pass_per_example(
    tmp_path: Path, kind: str, family: str, task: str
) -> None:
    """DoRA calls lora_B twice: for the length of the weight's rows, and for what passes through."""
    layer, ctr = {"llama": "v_proj", "gpt2": "c_attn"}[family], task == "ctr"
    lora, settings = replace(LORA, targets=layer, **KINDS[kind]), replace(SETTINGS, layer=layer)
    made, texts = adapter.fresh(backbones.model(family), lora, seed=0).eval(), mixed_texts("left")
    torch.manual_seed(1)
    for name, weight in made.named_parameters():
        if "lora_B" in name or "lora_magnitude" in name:  # no magnitude is the length of its row
            torch.nn.init.normal_(weight, std=0.5)
    read = replace(texts, answers=Packed.repeated((), len(texts))) if ctr else texts
    score(made, AnswerLoss(NO, YES) if ctr else TextLoss(), read, settings, PLAIN, JOB, tmp_path, "pool")
    expected = [float(one.norm()) for one in one_by_one(made, texts, ctr, settings)]
    np.testing.assert_allclose(np.load(tmp_path / "pool_gradient_norm.npy"), expected, rtol=RELATIVE)


def test_scores_are_unchanged_by_the_bound_on_the_batch(model: Any, tmp_path: Path) -> None:
    for bound in (16, 4096):
        job = Job("score", "float32", bound, RUNTIME)
        score(model, TextLoss(), mixed_texts("left"), SETTINGS, PLAIN, job, tmp_path, str(bound))
    for name in ("gradient_norm", "loss", "el2n"):
        small, large = (np.load(tmp_path / f"{bound}_{name}.npy") for bound in (16, 4096))
        np.testing.assert_allclose(small, large, rtol=RELATIVE)


def test_gradient_norms_in_bf16_are_summed_in_float32(tiny_weights: Path, tmp_path: Path) -> None:
    made = adapter.fresh(load_model(tiny_weights, replace(TINY, precision="bf16")), LORA, seed=0).eval()
    job = Job("score", "bf16", 64, RUNTIME)
    score(made, TextLoss(), mixed_texts("left"), SETTINGS, ALL, job, tmp_path, "pool")
    for name in ("gradient_norm", "sketch"):
        found = torch.from_numpy(np.load(tmp_path / f"pool_{name}.npy"))
        assert not torch.equal(found, found.bfloat16().float()), name


def test_score_refuses_a_gradient_that_is_not_finite(model: Any, tmp_path: Path) -> None:
    def broken(model: Any, batch: Any) -> Any:
        outcome = TextLoss()(model, batch)
        outcome.losses[batch.rows == 2] *= float("nan")
        return outcome

    with pytest.raises(
        GoracsError, match=r"gradient norm of pool examples is not finite for 1 of 6.*rows 2\)"
    ):
        score(model, broken, mixed_texts("left"), SETTINGS, PLAIN, JOB, tmp_path, "pool")


def test_the_usual_matrix_is_lora_b_of_the_last_layer(model: Any) -> None:
    adapted = [module for name, module in model.named_modules() if name.endswith("layers.1.self_attn.v_proj")]
    assert chosen_matrices(model, SETTINGS) == [adapted[0].lora_B["default"]]


def test_gradients_refuse_a_layer_without_an_adapter(tiny_weights: Path) -> None:
    made = adapter.fresh(load_model(tiny_weights, TINY), replace(LORA, targets="q_proj"), seed=0)
    with pytest.raises(GoracsError, match="it adapts: q_proj"):
        chosen_matrices(made, SETTINGS)


def scored(model: Any, names: frozenset[str], folder: Path, texts: Texts) -> dict[str, np.ndarray]:
    loss = AnswerLoss(NO, YES) if not any(texts.answers) else TextLoss()
    score(model, loss, texts, SETTINGS, names, JOB, folder, "pool")
    return {name: np.load(folder / f"pool_{name}.npy") for name in names}


def questions(side: str = "left") -> Texts:
    texts = mixed_texts(side)
    return Texts.of(texts.prompts, [()] * len(texts), texts.labels, 0, side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_and_margins_equal_those_of_each_prompt_alone(
    model: Any, tmp_path: Path, side: str
) -> None:
    found = scored(model, frozenset({"hidden", "margin"}), tmp_path, questions(side))
    for row, prompt in enumerate(questions().prompts):
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([prompt]), output_hidden_states=True)
        np.testing.assert_allclose(found["hidden"][row], alone.hidden_states[-1][0, -1], atol=1e-5)
        no, yes = alone.logits[0, -1, [NO, YES]].tolist()
        assert found["margin"][row] == pytest.approx(yes - no, abs=1e-5)


def test_hidden_states_of_texts_are_means_over_the_answer(model: Any, tmp_path: Path) -> None:
    texts = mixed_texts("left")
    found = scored(model, frozenset({"hidden"}), tmp_path, texts)["hidden"]
    for row, (prompt, answer) in enumerate(zip(texts.prompts, texts.answers, strict=True)):
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            states = model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
        np.testing.assert_allclose(found[row], states[len(prompt) :].mean(0), atol=1e-5)


def test_numbers_from_one_pass_equal_those_from_separate_passes_bit_for_bit(
    model: Any, tmp_path: Path
) -> None:
    together = scored(model, EVERY, tmp_path / "together", questions())
    for names in (PLAIN, frozenset({"hidden"}), frozenset({"margin"}), frozenset({"sketch"})):
        apart = scored(model, names, tmp_path / "-".join(sorted(names)), questions())
        for name, values in apart.items():
            np.testing.assert_array_equal(values, together[name], err_msg=name)
    texts, names = mixed_texts("left"), EVERY - {"margin"}
    whole = scored(model, names, tmp_path / "texts", texts)
    alone = scored(model, frozenset({"hidden"}), tmp_path / "text", texts)
    np.testing.assert_array_equal(alone["hidden"], whole["hidden"])
    assert not list((tmp_path / "text").glob("pool_loss*")), "what nobody asks for is not computed"
