"""What does not fit into memory is done in halves, with the same numbers; what never fits says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from goracs.llm import adapter
from goracs.llm.answers import answer
from goracs.llm.backbone import load_model
from goracs.llm.batch import Texts
from goracs.llm.finetune import finetune
from goracs.llm.gradient import score
from goracs.llm.halving import Halving, OutOfMemory
from goracs.llm.jobs import Job
from goracs.llm.likelihood import likelihoods
from goracs.llm.losses import AnswerLoss
from goracs.llm.settings import Finetune, Lora
from tests.conftest import RUNTIME, TINY
from tests.saved_adapters import WEIGHTS
from tests.unit.test_finetune import SETTINGS

LOSS = AnswerLoss(300, 301)
ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    "python": MemoryError("no memory"),
}
PROMPTS = [
    tuple(np.random.default_rng(0).integers(5, 900, size).tolist()) for size in (9, 9, 8, 7, 5, 5, 4, 3)
]


def texts() -> Texts:
    return Texts.of(PROMPTS, [()] * 8, [0, 1, 1, 0, 1, 0, 0, 1], pad_id=0)


def job(told: dict[str, int] | None = None) -> Job:
    return Job("score", "float32", 128, RUNTIME, told={} if told is None else told)


@contextmanager
def memory_for(
    rows: int, model: Any, error: BaseException, sizes: list[int] | None = None, longer: bool = False
) -> Iterator[None]:
    """A model that has no memory for more rows at once than these: it fails after its work is done.

    `longer`: nor for more than two, if the last of the prompts is among them, after others have been read.
    """

    def full(_module: Any, _args: Any, given: dict[str, Any], output: Any) -> Any:
        count = len(given["input_ids"])
        if sizes is not None:
            sizes.append(count)
        last = bool((given["input_ids"][:, -1] == PROMPTS[-1][-1]).any())
        if count > rows or (longer and last and count > 2):
            raise error
        return output

    handle = model.register_forward_hook(full, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture
def model(tiny_weights: Path) -> Any:
    lora = Lora(r=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj"), rslora=False, dora=False)
    return adapter.fresh(load_model(tiny_weights, TINY), lora, seed=0)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_predictions_are_the_same_in_halves_and_the_size_is_noted(model: Any, error: BaseException) -> None:
    whole = answer(model.eval(), LOSS, texts(), job())
    told: dict[str, int] = {}
    sizes: list[int] = []
    with memory_for(3, model, error, sizes):
        found = answer(model, LOSS, texts(), job(told))
    np.testing.assert_allclose(found, whole, rtol=1e-5)
    assert told == {"batch_tokens": 32}
    assert sizes == [8, 4, 2, 2, 2, 2]


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_likelihoods_are_the_same_in_smaller_blocks(model: Any, rows: int) -> None:
    """Prompts fit and the blocks of their candidates do not, or neither does."""
    candidates = [[(7, 8, 9), (3, 2), (5, 2), (6, 4, 4, 2), (11, 2)]] * 8
    whole = likelihoods(model.eval(), texts(), candidates, False, job())
    told: dict[str, int] = {}
    with memory_for(rows, model, ERRORS["gpu"]):
        found = likelihoods(model, texts(), candidates, False, job(told))
    np.testing.assert_allclose(np.stack(found), np.stack(whole), rtol=1e-5)
    assert told["batch_tokens"] < 128


def test_numbers_on_disk_are_the_same_in_halves(model: Any, tmp_path: Path) -> None:
    names = frozenset({"loss", "hidden"})
    for side, rows in (("whole", 8), ("halves", 2)):
        with memory_for(rows, model.eval(), ERRORS["gpu"]):
            score(model, LOSS, texts(), None, names, job(), tmp_path, side)
    for name in names:
        found, whole = (np.load(tmp_path / f"{side}_{name}.npy") for side in ("halves", "whole"))
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_training_that_goes_on_in_halves_ends_with_the_same_weights(
    tiny_weights: Path, tmp_path: Path, patience: int | None
) -> None:
    """A step that failed half-way leaves nothing of its gradient; looks are taken in halves too."""
    settings = Finetune(**{**vars(SETTINGS), "batch_size": 8}, patience=patience, looks=2)
    lora = Lora(r=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj"), rslora=False, dora=False)
    found = []
    for name, rows in (("whole", 8), ("halves", 4)):
        made = adapter.fresh(load_model(tiny_weights, TINY), lora, seed=0)
        folder, judging = tmp_path / name / "made", texts() if patience else None
        folder.mkdir(parents=True)
        with memory_for(rows, made, ERRORS["gpu"], longer=rows == 4):
            finetune(made, LOSS, texts(), settings, 0, job(), folder, tmp_path / "kept", judging=judging)
        found.append(load_file(folder / "adapter" / WEIGHTS))
    for name, weight in found[0].items():
        torch.testing.assert_close(found[1][name], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("times", "what"), [(1, "a pass of one example alone"), (2, "passes of 16 tokens")])
def test_what_never_fits_is_told_in_one_paragraph(model: Any, times: int, what: str) -> None:
    asked = Texts.of(PROMPTS * times, [()] * 8 * times, [0] * 8 * times, pad_id=0)
    message = (
        rf"^score: out of memory, even in {what}: lower backbone\.batch_tokens, .* "
        r"\(CUDA out of memory\. Tried to allocate 2\.00 GiB\)$"
    )
    with memory_for(0, model, ERRORS["gpu"]), pytest.raises(OutOfMemory, match=message):
        answer(model, LOSS, asked, job())


def test_another_error_of_the_model_stays_what_it_is(model: Any) -> None:
    other = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with memory_for(0, model, other), pytest.raises(RuntimeError, match="mat1 and mat2"):
        answer(model, LOSS, texts(), job())


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
def test_a_batch_is_cut_into_its_own_rows_in_order(rows: int) -> None:
    halving = Halving("score", 128, {})
    halving.parts = 4
    batch = texts().batch(np.arange(rows))
    parts = halving.cut(batch)
    assert len(parts) == min(4, rows)
    for name in vars(batch):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
