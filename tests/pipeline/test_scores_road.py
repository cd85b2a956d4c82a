"""The numbers that `score.together` names, from the command to the arrays of the score stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from goracs.config import build, composed
from goracs.data.prepare import read_examples
from goracs.data.tokens import marks_in_front, tokenized
from goracs.llm.recommender import Recommender
from tests.conftest import RUNTIME, TINY
from tests.pipeline.conftest import Command

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


def test_ifd_of_yes_and_no_is_refused(goracs: Command) -> None:
    ended = goracs("score.together=[ifd]", "until=score", "assess=true")
    assert ended.code == 1
    assert "ifd compares an answer with and without its prompt" in ended.text
