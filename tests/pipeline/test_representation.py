"""`experiments.representation`: whose coresets have the smaller validation loss, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import representation
from goracs.evaluation.bootstrap import user_weights
from goracs.types import IndexArray, SelectionProblem

WORDS = (
    "backbone=tiny",
    "encoder=tiny",
    "dataset.size=60",
    "dataset.history=3",
    "split.valid=24",
    "split.test=24",
    "split.per_user=4",
    "adapter.rows=8",
    "adapter.lora.r=2",
    "finetune.epochs=1",
    "budget=8",
    "selector.folds=3",
    "runtime.progress=false",
    "runtime.threads=1",
    "runtime.accelerator=cpu",
)
FEATURES = ("embedding", "hidden")


@pytest.mark.parametrize("way", ["heads", "lora"])
def test_the_table_has_each_mean_loss_and_the_paired_difference_with_its_error(
    tmp_path: Path, store_root: Path, way: str
) -> None:
    words = [*WORDS, f"store.root={store_root}"]
    asked = [str(tmp_path), way, "seeds=0,1", f"features={','.join(FEATURES)}", *words]
    assert representation.main(asked) == 0
    table = (tmp_path / f"representation-{way}.md").read_text().splitlines()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert [row[0] for row in shown] == ["representation", "---", *FEATURES]
    given = {name: [representation.given(name, seed, words) for seed in (0, 1)] for name in FEATURES}
    found = {name: np.stack([representation.WAYS[way](it) for it in each]) for name, each in given.items()}
    assert [row[1] for row in shown[2:]] == [f"{found[name].mean():.4f}" for name in FEATURES]
    apart = found["hidden"] - found["embedding"]
    users = given["hidden"][0].users
    drawn = np.concatenate(list(user_weights(users, representation.DRAWS, 0)))
    of_users = np.std(drawn @ apart.mean(axis=0) / drawn.sum(axis=1), ddof=1)
    of_seeds = np.std(apart.mean(axis=1), ddof=1) / 2**0.5
    assert shown[3][2:] == [f"{apart.mean():+.4f}", f"{(of_seeds**2 + of_users**2) ** 0.5:.4f}"]
    assert shown[2][2:] == ["-", "-"]


@pytest.mark.parametrize("way", ["heads", "lora"])
def test_no_row_is_judged_by_a_coreset_that_was_chosen_against_it(
    store_root: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    it = representation.given("embedding", 0, [*WORDS, f"store.root={store_root}"])
    seen = list[int]()
    rows = representation.Given.rows

    def counted(self: representation.Given, problem: SelectionProblem) -> IndexArray:
        seen.append(problem.target_size)
        return rows(self, problem)

    monkeypatch.setattr(representation.Given, "rows", counted)
    losses = representation.WAYS[way](it)
    assert losses.shape == (24,)
    assert np.isfinite(losses).all()
    assert sum(24 - size for size in seen) == 24  # each row is left out once


@pytest.mark.parametrize("words", [[], ["out"], ["out", "guess", "seeds=0"], ["out", "heads", "0,1"]])
def test_words_that_are_not_understood_are_told_how(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert representation.main(words) == 1
    assert "python -m experiments.representation FOLDER heads seeds=0,1,2" in capsys.readouterr().err
