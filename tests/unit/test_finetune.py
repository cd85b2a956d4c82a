"""Fine-tuning: the schedule, its determinism, and that a training really happened and was saved."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file, save_file

from goracs.llm import adapter
from goracs.llm.backbone import load_model
from goracs.llm.batch import Batch, Texts
from goracs.llm.finetune import finetune, refuse_unfaithful
from goracs.llm.jobs import Job
from goracs.llm.losses import AnswerLoss, Outcome
from goracs.llm.schedule import plan
from goracs.llm.settings import Finetune, Training
from goracs.types import Example, GoracsError, InvalidInput
from tests.conftest import LORA, RUNTIME, TINY
from tests.saved_adapters import WEIGHTS, with_config, with_weights, write

SETTINGS = Training(
    lr=1e-2,
    epochs=2,
    steps=None,
    tokens=None,
    batch_size=3,
    warmup_share=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
)
LOSS = AnswerLoss(300, 301)
JOB = Job("finetune", "float32", 4096, RUNTIME)
ROUNDING = 1e-5  # float32 sums over another split of the batch

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30).map(lambda values: np.array(values, np.int64))
counts = st.integers(1, 12)


@given(lengths, counts, counts, st.integers(0, 3))
def test_plan_of_epochs_reads_every_example_so_often(
    rows: np.ndarray, epochs: int, size: int, seed: int
) -> None:
    schedule = plan(rows, replace(SETTINGS, epochs=epochs, batch_size=size), seed)
    read = np.concatenate(schedule.steps)
    assert np.bincount(read, minlength=len(rows)).tolist() == [epochs] * len(rows)
    assert schedule.tokens[-1] == epochs * rows.sum()


@given(lengths, counts, counts, st.integers(0, 3))
def test_plan_of_steps_cycles_with_full_batches(rows: np.ndarray, steps: int, size: int, seed: int) -> None:
    schedule = plan(rows, replace(SETTINGS, epochs=None, steps=steps, batch_size=size), seed)
    assert [len(step) for step in schedule.steps] == [min(size, len(rows))] * steps
    read = np.bincount(np.concatenate(schedule.steps), minlength=len(rows))
    assert read.max() - read.min() <= 1


@given(lengths, st.integers(1, 500), counts)
def test_plan_of_tokens_stops_with_the_step_that_reaches_them(
    rows: np.ndarray, tokens: int, size: int
) -> None:
    schedule = plan(rows, replace(SETTINGS, epochs=None, tokens=tokens, batch_size=size), 0)
    assert schedule.tokens[-1] >= tokens
    assert all(reached < tokens for reached in schedule.tokens[:-1])


def test_plan_of_another_seed_has_another_order() -> None:
    rows = np.ones(20, dtype=np.int64)
    first, again, other = (np.concatenate(plan(rows, SETTINGS, seed).steps).tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 3}, "got epochs and steps"),
        ({"epochs": None}, "got none"),
        ({"epochs": 0}, r"adapter\.training\.epochs and adapter\.training\.batch_size must be at least 1"),
        ({"batch_size": 0}, "must be at least 1"),
    ],
)
def test_finetune_refuses_anything_but_one_budget(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(SETTINGS, **changes)


def texts(count: int = 7) -> Texts:
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(5, 900, 6 + row).tolist()) for row in range(count)]
    return Texts.of(prompts, [()] * count, [row % 2 for row in range(count)], pad_id=0)


def tuned(
    weights: Path, folder: Path, seed: int = 0, bound: int = 4096, **changes: Any
) -> dict[str, torch.Tensor]:
    model = adapter.fresh(load_model(weights, TINY), LORA, seed=0)
    folder.mkdir()
    job = Job("finetune", "float32", bound, RUNTIME)
    finetune(model, LOSS, texts(), replace(SETTINGS, **changes), seed, job, folder, folder / "kept")
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def test_finetune_equals_itself_for_one_seed_and_never_for_another(
    tiny_weights: Path, tmp_path: Path
) -> None:
    first, again, other = (
        tuned(tiny_weights, tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_finetune_is_unchanged_by_the_global_generator(tiny_weights: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = tuned(tiny_weights, tmp_path / "a")
    torch.manual_seed(2)
    again = tuned(tiny_weights, tmp_path / "b")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_rate_rises_to_lr_and_falls_towards_zero(tiny_weights: Path, tmp_path: Path) -> None:
    tuned(tiny_weights, tmp_path / "a", epochs=None, steps=10, warmup_share=0.5)
    curve = json.loads((tmp_path / "a" / "curve.json").read_text())
    shares = [row["lr"] / SETTINGS.lr for row in curve]
    np.testing.assert_allclose(shares, [0.2, 0.4, 0.6, 0.8, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_curve_has_a_falling_rate_and_the_tokens_read(tiny_weights: Path, tmp_path: Path) -> None:
    tuned(tiny_weights, tmp_path / "a", epochs=4)
    curve = json.loads((tmp_path / "a" / "curve.json").read_text())
    rates = [row["lr"] for row in curve]
    assert rates == sorted(rates, reverse=True)
    assert curve[-1]["tokens"] == 4 * texts().lengths.sum()
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_finetune_refuses_a_training_that_changed_nothing(tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match="Training changed no weight"):
        tuned(tiny_weights, tmp_path / "a", lr=0.0)


def test_finetune_refuses_a_training_that_diverged(tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        GoracsError, match=r"Training diverged at step 2 .*no longer finite\. Lower adapter\.training\.lr"
    ):
        tuned(tiny_weights, tmp_path / "a", lr=float("inf"))


class Spoilt:
    """A loss that is not a number for one example from its second reading on, or whose gradient is none."""

    def __init__(self, row: int, gradient: bool = False) -> None:
        self.row, self.gradient, self.readings = row, gradient, 0

    def __call__(self, model: Any, batch: Batch) -> Outcome:
        outcome = LOSS(model, batch)
        hit = batch.rows == self.row
        self.readings += int(hit.any())
        if self.readings < 2 or not hit.any():
            return outcome
        spoilt = (outcome.losses - outcome.losses.detach()).abs().sqrt() if self.gradient else torch.nan
        return replace(outcome, losses=torch.where(hit, spoilt, outcome.losses))


@pytest.mark.parametrize("settings", [SETTINGS, Finetune(**asdict(SETTINGS), patience=None, looks=1)])
@pytest.mark.parametrize("bound", [4096, 10])
def test_a_loss_that_is_not_finite_ends_the_training_and_names_its_example_and_step(
    tiny_weights: Path, tmp_path: Path, bound: int, settings: Training
) -> None:
    called = [example(f"u{row}", f"i{row}") for row in range(7)]
    read = replace(texts(), examples=called)
    steps = plan(read.lengths, settings, 0).steps
    _, step = [number for number, rows in enumerate(steps, 1) if 5 in rows]
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0)
    with pytest.raises(GoracsError) as ended:
        finetune(
            model, Spoilt(5), read, settings, 0, replace(JOB, batch_tokens=bound), tmp_path, tmp_path / "kept"
        )
    where, of = {Training: ("adapter.training", "the warm-up"), Finetune: ("finetune", "the coreset")}[
        type(settings)
    ]
    assert str(ended.value) == (
        f"Training diverged at step {step} of 5: the loss is not finite for 1 of 3 examples of {of} "
        f"(row 5, user u5, item i5: nan). The adapter itself is finite: lower {where}.lr, set "
        "backbone.precision=float32, or look at these examples."
    )
    assert [*tmp_path.iterdir()] == []


def test_a_gradient_that_is_not_finite_ends_the_training_before_a_weight_changes(
    tiny_weights: Path, tmp_path: Path
) -> None:
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0)
    said = r"at step 3 of 5: the gradient of 3 examples of the warm-up is not finite, though their losses are"
    with pytest.raises(GoracsError, match=said):
        finetune(model, Spoilt(5, gradient=True), texts(), SETTINGS, 0, JOB, tmp_path, tmp_path / "kept")
    adapter.refuse_diverged(adapter.weights(model), "")


def test_ready_prompts_are_named_by_what_they_have() -> None:
    read = replace(texts(2), examples=[example("", ""), example("u", "")])
    assert read.named(np.arange(2)) == ["row 0", "row 1, user u"]


def example(user: str, item: str) -> Example:
    return Example(user, item, 0, None, (), (), "", "", "")


def test_an_adapter_saved_wrongly_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    tuned(tiny_weights, tmp_path / "a")
    saved = tmp_path / "a" / "adapter"
    model = adapter.load(load_model(tiny_weights, TINY), saved, trainable=False)
    refuse_unfaithful(model, saved, texts())
    file = saved / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(weight) for name, weight in load_file(file).items()}, file)
    with pytest.raises(GoracsError, match="differs from the trained model"):
        refuse_unfaithful(model, saved, texts())


def test_finetune_loads_what_it_saved_and_asks_it_again(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are right, their scale is not: only the answers tell."""

    def wrongly(model: Any, folder: Path) -> None:
        save(model, folder)
        with_config(lora_alpha=100 * LORA.alpha)(folder)

    save = adapter.save
    monkeypatch.setattr(adapter, "save", wrongly)
    with pytest.raises(GoracsError, match="differs from the trained model"):
        tuned(tiny_weights, tmp_path / "a")


def test_finetune_refuses_weights_that_were_not_saved_as_trained(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference far below what the answers would show."""

    def wrongly(self: Any, folder: str, **kwargs: Any) -> None:
        save(self, folder, **kwargs)
        with_weights(lambda weights: {name: w + 1e-8 for name, w in weights.items()})(Path(folder))

    save = PeftModel.save_pretrained
    monkeypatch.setattr(PeftModel, "save_pretrained", wrongly)
    with pytest.raises(GoracsError, match=r"is not that of the model; of its weights: .* of other values"):
        tuned(tiny_weights, tmp_path / "a")


def test_a_training_that_diverged_leaves_no_checkpoint(tiny_weights: Path, tmp_path: Path) -> None:
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0)
    job = Job("finetune", "float32", 4096, RUNTIME)
    with pytest.raises(GoracsError, match="Training diverged"):
        finetune(
            model, LOSS, texts(), replace(SETTINGS, lr=float("inf")), 0, job, tmp_path, tmp_path / "kept", 4
        )
    assert not (tmp_path / "checkpoints").exists()


def test_finetune_starts_from_the_weights_it_is_given(tiny_weights: Path, tmp_path: Path) -> None:
    given = write(tmp_path / "given", tiny_weights)
    model = adapter.load(load_model(tiny_weights, TINY), given, trainable=True)
    job = Job("finetune", "float32", 4096, RUNTIME)
    finetune(model, LOSS, texts(), replace(SETTINGS, lr=1e-6), 0, job, tmp_path, tmp_path / "kept")
    before, after = (load_file(folder / WEIGHTS) for folder in (given, tmp_path / "adapter"))
    for name, weight in before.items():
        assert 0 < float((after[name] - weight).abs().max()) < 1e-4, name


def test_the_saved_adapter_names_its_base_and_no_path(tiny_weights: Path, tmp_path: Path) -> None:
    tuned(tiny_weights, tmp_path / "a")
    config = json.loads((tmp_path / "a" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert sorted(config["target_modules"]) == ["q_proj", "v_proj"]


def test_fresh_refuses_targets_the_backbone_does_not_have(tiny_weights: Path) -> None:
    with pytest.raises(GoracsError, match=r"adapter\.lora\.targets=\['wq'\] does not fit"):
        adapter.fresh(load_model(tiny_weights, TINY), replace(LORA, targets=("wq",)), seed=0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_gradient_checkpointing_reads_layers_twice_and_changes_no_bit(
    tiny_weights: Path, tmp_path: Path, precision: str
) -> None:
    """With dropout: it is drawn again as it was."""
    left, reads = list[dict[str, bytes]](), list[int]()
    for name, asked in (("plain", False), ("thrifty", True)):
        count = [0]
        model = adapter.fresh(load_model(tiny_weights, replace(TINY, precision=precision)), LORA, seed=0)
        layer = model.get_base_model().model.layers[0].self_attn
        layer.register_forward_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        job = Job("finetune", precision, 4096, replace(RUNTIME, gradient_checkpointing=asked))
        (tmp_path / name).mkdir()
        finetune(model, LOSS, texts(), SETTINGS, 0, job, tmp_path / name, tmp_path / "kept")
        files = [file for file in (tmp_path / name).rglob("*") if file.is_file()]
        left.append({str(file.relative_to(tmp_path / name)): file.read_bytes() for file in files})
        reads.append(count[0])
    assert left[0] == left[1]
    assert reads[1] == reads[0] + 5  # steps


def test_a_backbone_that_cannot_checkpoint_gradients_is_refused(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapter.fresh(load_model(tiny_weights, TINY), LORA, seed=0)
    monkeypatch.setattr(type(model.get_base_model()), "supports_gradient_checkpointing", False)
    job = replace(JOB, runtime=replace(RUNTIME, gradient_checkpointing=True))
    with pytest.raises(
        InvalidInput, match=r"gradient_checkpointing=true is nothing for this backbone \(tiny\)"
    ):
        finetune(model, LOSS, texts(), SETTINGS, 0, job, tmp_path, tmp_path / "kept")


def test_an_optimiser_step_is_unchanged_by_how_it_is_split_into_passes(
    tiny_weights: Path, tmp_path: Path
) -> None:
    still = replace(LORA, dropout=0.0)
    found = []
    for name, bound in (("whole", 4096), ("split", 10)):
        (tmp_path / name).mkdir()
        job = Job("finetune", "float32", bound, RUNTIME)
        model = adapter.fresh(load_model(tiny_weights, TINY), still, seed=0)
        finetune(model, LOSS, texts(), SETTINGS, 0, job, tmp_path / name, tmp_path / "kept")
        found.append(json.loads((tmp_path / name / "curve.json").read_text()))
    for whole, split in zip(*found, strict=True):
        assert whole["loss"] == pytest.approx(split["loss"], rel=100 * ROUNDING)
