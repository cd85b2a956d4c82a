"""`goracs lab` from the words to the files, on the tiny backbone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from goracs.commands import lab
from goracs.data import prepare
from goracs.data.prepare import Part
from goracs.lab.trials import Trial, Tried
from goracs.lab.workers import Workers
from goracs.stages import states
from goracs.store import Stage
from goracs.types import Example
from tests.pipeline.conftest import TINY

SMALL = (
    *(word for word in TINY if not word.startswith("budget=")),
    "adapter.rows=8",
    "lab.budgets=[4,8]",
    "lab.pool=40",
    "lab.draws=2",
    "lab.lams=[0,0.5]",
    "lab.workers=1",
)
LESS = ("lab.features=[hidden,bag]", "~lab.selectors.kcenter", "~lab.selectors.el2n")
WIDTH = 32  # of a hidden state of the tiny backbone
LEFT = ["coresets.csv", "foretelling.md", "lab.json", "scatter.png", "table.md"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """The folder of a lab over every representation."""
    folder = tmp_path_factory.mktemp("lab") / "found"
    assert lab.run([*SMALL, f"store.root={shared / 'store'}", f"out={folder}"]) == 0
    return folder


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lab.json").read_text())
    return found


def test_a_lab_leaves_a_row_for_every_coreset_and_tables_of_them(done: Path) -> None:
    assert sorted(path.name for path in done.iterdir()) == LEFT
    rows = pl.read_csv(done / "coresets.csv")
    per_draw = 2 * 2 + 2 * 6 * 2 + 2 + 6 * 2 * 2  # random, kcenter, el2n, goracs
    assert len(rows) == told(done)["coresets"] == 2 * per_draw
    for row in rows.iter_rows(named=True):
        chosen = [int(word) for word in row["rows"].split()]
        assert len(set(chosen)) == row["budget"]
        assert max(chosen) < 60
        assert 0 < row["log_loss"] < 10
    table = (done / "table.md").read_text()
    assert table.startswith("Head fits on hidden states, no fine-tune.")
    assert "| whole pool | - | - | - | 40 |" in table
    assert len(table.splitlines()) == 2 + 2 + per_draw + 1 + 1 + 2
    foretelling = (done / "foretelling.md").read_text()
    for name in ("embedding", "sketch", "hidden", "output_gradient", "bag", "joint"):
        assert f"| {name} |" in foretelling


def test_lab_json_tells_how_it_came_about_and_no_places(done: Path, shared: Path) -> None:
    found = told(done)
    assert found["penalty"] in found["lab"]["penalties"]
    assert set(found["digests"]["features"]) == set(found["lab"]["features"])
    assert {"prepare", "score", "states", "weights"} <= set(found["digests"])
    assert found["config"]["dataset"]["size"] == 60
    assert found["versions"]["numpy"] == np.__version__
    assert "lab.pool=40" in found["command"]
    assert str(shared) not in json.dumps(found)


def test_the_same_lab_again_finds_the_same_and_reads_the_store(
    done: Path, tmp_path: Path, shared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = (*SMALL, *LESS, f"store.root={shared / 'store'}")
    for name in ("one", "two"):
        assert lab.run([*words, f"out={tmp_path / name}"]) == 0
    printed = capfd.readouterr()
    assert "Head fits on hidden states, no fine-tune." in printed.out
    assert "score     ..." not in printed.err  # both read what the first lab made
    for file in ("coresets.csv", "table.md", "foretelling.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    whole = pl.read_csv(done / "coresets.csv", schema_overrides={"lam": pl.String})
    random = whole.filter(pl.col("selector") == "random")
    again = pl.read_csv(tmp_path / "one" / "coresets.csv", schema_overrides={"lam": pl.String})
    assert random["rows"].to_list() == again.filter(pl.col("selector") == "random")["rows"].to_list()


def test_no_test_row_is_read_before_the_judgement(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With noise for test states and turned labels every choice, figure and the penalty stay."""
    words = (*SMALL, *LESS, f"store.root={shared / 'store'}")
    assert lab.run([*words, f"out={tmp_path / 'plain'}"]) == 0
    rng, plainly = np.random.default_rng(3), states.stage

    def noisy(*asked: Any) -> Stage:
        found = plainly(*asked)

        def build(folder: Path, inputs: Mapping[str, Path]) -> None:
            np.save(folder / "hidden.npy", rng.normal(size=(24, WIDTH)).astype(np.float32))
            np.save(folder / "margin.npy", rng.normal(size=24).astype(np.float32))

        return Stage("states", 1, {"noise": True}, found.inputs, build)

    read = prepare.read_examples

    def turned(folder: Path, part: Part) -> list[Example]:
        rows = read(folder, part)
        return [replace(row, label=1 - (row.label or 0)) for row in rows] if part == "test" else rows

    monkeypatch.setattr(states, "stage", noisy)
    monkeypatch.setattr(prepare, "read_examples", turned)
    assert lab.run([*words, f"out={tmp_path / 'noisy'}"]) == 0
    plain, other = (pl.read_csv(tmp_path / name / "coresets.csv") for name in ("plain", "noisy"))
    judged = ["log_loss", "auc", "auc_per_user"]
    assert plain.drop(judged).equals(other.drop(judged))
    assert not plain["log_loss"].equals(other["log_loss"])
    assert told(tmp_path / "plain")["penalty"] == told(tmp_path / "noisy")["penalty"]


def test_an_interrupted_lab_goes_on_after_the_pools_that_are_done(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SMALL, *LESS, "lab.draws=3", "lab.budgets=[5]", f"store.root={shared / 'store'}")
    tried = Workers.tried
    worked: list[int] = []

    def once(self: Workers, todo: Sequence[Trial]) -> Iterator[Tried]:
        if len(worked) == 2:
            raise KeyboardInterrupt
        worked.append(todo[0].draw)
        return tried(self, todo)

    with monkeypatch.context() as patch:
        patch.setattr(Workers, "tried", once)
        with pytest.raises(KeyboardInterrupt):
            lab.run([*words, f"out={tmp_path / 'out'}"])
        assert list(tmp_path.iterdir()) == []
        worked[:] = [9]
        assert lab.run([*words, f"out={tmp_path / 'out'}"]) == 0
    assert worked == [9, 2]
    assert pl.read_csv(tmp_path / "out" / "coresets.csv")["draw"].unique().to_list() == [0, 1, 2]


MISTAKES: list[tuple[list[str], str]] = [
    (["lab.pool=99"], "lab.pool=99 is more than the 60 rows of the pool"),
    (["~lab.selectors.kcenter", "+lab.selectors.best=[true]"], "there is no selector 'best'"),
    (["lab.features=[hiden]"], "there is no features=hiden. Did you mean features=hidden? There are bag"),
    (["task=seqrec"], "a head is fitted over two answers"),
    (["evaluate.part=valid"], "judge coresets by the rows they were chosen"),
    (["budget=8"], "budget=8 is of a run; the lab tries several, named in lab.budgets"),
    (["features=hidden"], "named in lab.features"),
    (["lab.lams=[-1]"], "lab.lams must be numbers >= 0, or auto"),
    (["experiment=quickstart"], "has no lab: add lab=default"),
    (["lab.budgets=[41]"], "budget 41 is larger than the pool"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=lambda value: str(value[0]))
def test_a_mistake_is_told_in_one_paragraph_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, shared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    small = SMALL if "experiment=quickstart" not in words else ()
    assert lab.run([*small, f"store.root={shared / 'store'}", f"out={tmp_path / 'out'}", *words]) == 1
    (error,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(__file__, tmp_path / "mine.py")
    assert lab.run([f"out={tmp_path}"]) == 1
    assert "is there already" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
