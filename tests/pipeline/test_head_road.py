"""A head in place of a fine-tune through the whole road: the same stages, files and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from goracs.data import prepare
from goracs.data.prepare import Prepared, read_examples
from goracs.evaluation import head
from goracs.evaluation.ctr import ctr_metrics
from goracs.llm.losses import AnswerLoss
from goracs.report.results import read_results
from goracs.report.table import aggregate
from tests.pipeline.conftest import Command, Ended

NO_STEPS = ("finetune.epochs",)  # a head has none
TOGETHER = "score.together=[gradient_norm,hidden,margin]"
EXACT = 1e-10

Fitted = Callable[..., Ended]


@pytest.fixture
def fitted(goracs: Command) -> Fitted:
    """Run with a head in place of the fine-tune."""

    def run(*words: str, **more: Any) -> Ended:
        ended = goracs("finetune=head", *words, without=NO_STEPS, **more)
        assert ended.code == 0, ended.text
        return ended

    return run


def place(store: Path, result: dict[str, Any], name: str, stage: str | None = None) -> Path:
    return store / (stage or name) / str(result["digests"][name])[:24]


def predicted(store: Path, result: dict[str, Any]) -> np.ndarray:
    """The margins of the test rows, worked out from the stored arrays."""
    folders = {name: place(store, result, name) for name in ("prepare", "score", "select", "states")}
    pool = read_examples(folders["prepare"], "train")
    rows = np.load(folders["select"] / "indices.npy")
    labels = np.array([pool[row].label for row in rows])
    offsets = np.load(folders["score"] / "pool_margin.npy")[rows]
    states = np.load(folders["score"] / "pool_hidden.npy"), np.load(folders["states"] / "hidden.npy")
    train, test = head.standardised(*states)
    weights = head.fit(train[rows], labels, offsets, result["config"]["finetune"]["penalty"])
    return head.margins(weights, test, np.load(folders["states"] / "margin.npy"))


@pytest.mark.parametrize(
    "words",
    [("selector=random", "seed=3"), ("selector=full",), ("adapter=init", "selector=goracs"), ("budget=1",)],
)
def test_the_result_is_that_of_fit_on_the_stored_arrays(
    fitted: Fitted, store_root: Path, words: tuple[str, ...]
) -> None:
    ended = fitted(*words)
    result, margins = ended.result, predicted(store_root, ended.result)
    folder = place(store_root, result, "evaluate", "evaluate_states")
    answers = pl.read_parquet(folder / "predictions.parquet")
    np.testing.assert_allclose(answers["margin"].to_numpy(), margins, atol=EXACT)
    test = read_examples(place(store_root, result, "prepare"), "test")
    expected = ctr_metrics(
        margins,
        np.array([example.label for example in test]),
        [example.user for example in test],
        scores_are="logit_margin",
        draws=50,
        seed=0,
    )
    assert result["metrics"]["tuned"] == json.loads(
        json.dumps(expected), parse_float=lambda text: pytest.approx(float(text))
    )
    assert result["metrics"]["start"]["log_loss"] != result["metrics"]["tuned"]["log_loss"]


def test_a_head_leaves_what_a_fine_tune_leaves_but_for_the_adapter(fitted: Fitted, goracs: Command) -> None:
    words = ("selector=random", "logger=csv")
    mine, theirs = fitted(*words), goracs(*words)
    for part in ("untuned", "start", "rule"):
        assert mine.result["metrics"][part] == theirs.result["metrics"][part]
    assert set(mine.result) - set(theirs.result) == {"head"}
    assert (mine.result["steps"], mine.result["tokens_trained"]) == (None, None)
    assert mine.result["head"] == {"rows": 8, "warnings": []}
    ours, others = ({path.name for path in ended.folder.iterdir()} for ended in (mine, theirs))
    assert ours - others == {"head.npy"}
    assert others - ours == {"adapter", "curve.json"}
    weights = np.load(mine.folder / "head.npy")
    assert weights.dtype == np.float64
    assert weights.ndim == 1


def test_nothing_is_computed_for_a_head_that_is_not_reached(fitted: Fitted) -> None:
    assert set(fitted("until=select", "selector=random").result["digests"]) == {"prepare", "select"}
    ended = fitted("until=finetune", "selector=random")
    assert "states" not in ended.result["digests"]
    assert all(metrics is None for metrics in ended.result["metrics"].values())
    assert (ended.folder / "head.npy").exists()


def test_a_run_that_stops_at_select_makes_the_coreset_of_one_that_goes_on(fitted: Fitted) -> None:
    for selector in ("selector=random", "selector=goracs"):
        digests = [fitted(selector, *until).result["digests"] for until in (("until=select",), ())]
        assert digests[0]["select"] == digests[1]["select"]


@pytest.mark.parametrize("selector", ["random", "goracs", "el2n"])
def test_the_coreset_is_that_of_a_fine_tune(fitted: Fitted, goracs: Command, selector: str) -> None:
    for words in ((), (TOGETHER,)):
        mine = fitted(f"selector={selector}", *words)
        theirs = goracs(f"selector={selector}", "until=select", *words)
        rows = [json.loads((ended.folder / "indices.json").read_text()) for ended in (mine, theirs)]
        assert rows[0] == rows[1]
        if words:
            assert mine.result["digests"]["select"] == theirs.result["digests"]["select"]


def test_a_sweep_over_coresets_asks_the_llm_once(fitted: Fitted, tmp_path: Path) -> None:
    """Its table tells heads and fine-tunes apart and has the figures of every coreset."""
    store = tmp_path / "store"
    sweep = ("-m", "selector=random,kcenter,goracs", "seed=0,1", TOGETHER)
    ended = fitted(*sweep, store=store)
    made = {
        stage: len(list((store / stage).glob("*/manifest.json")))
        for stage in ("adapter", "score", "states", "evaluate", "head")
    }
    assert made == {"adapter": 1, "score": 1, "states": 1, "evaluate": 1, "head": 5}  # goracs has no chance
    assert "No POO" not in ended.text


def test_every_coreset_of_a_sweep_has_its_figures_without_a_common_pass(fitted: Fitted) -> None:
    """A pass for a random coreset takes no gradient norms; those of another run's serve."""
    ended = fitted("-m", "selector=random,kcenter,goracs", "features=embedding")
    assert "No POO" not in ended.text
    assert "Traceback" not in ended.text
    ended = fitted("-m", "selector=random,kcenter,goracs", "features=hidden")
    assert "No POO" not in ended.text


def test_a_table_tells_heads_from_fine_tunes(fitted: Fitted, goracs: Command) -> None:
    table = aggregate(read_results([run("selector=random").folder for run in (fitted, goracs)]))
    assert table.varying == ("finetune.name",)
    assert [row.values for row in table.groups] == [("head",), ("lora",)]
    assert [row.label for row in table.references] == ["untuned", "start", "rule"]


def test_a_run_again_is_skipped(fitted: Fitted) -> None:
    first, again = fitted("selector=random"), fitted("selector=random")
    assert "skipped:" in again.text
    assert first.result["metrics"] == again.result["metrics"]
    np.testing.assert_array_equal(np.load(first.folder / "head.npy"), np.load(again.folder / "head.npy"))


@pytest.mark.parametrize("penalty", ["0", "-1.0", ".inf", "much"])
def test_a_penalty_that_is_none_is_refused_at_once(goracs: Command, tmp_path: Path, penalty: str) -> None:
    words = ("finetune=head", f"finetune.penalty={penalty}")
    ended = goracs(*words, without=NO_STEPS, store=tmp_path / "store")
    assert ended.code == 1
    assert "finetune.penalty must be" in ended.text
    assert "Traceback" not in ended.text
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("until", ["null", "select"])
def test_a_task_of_texts_is_refused_before_anything_is_made(
    goracs: Command, tmp_path: Path, until: str
) -> None:
    words = ("finetune=head", "task=seqrec", f"until={until}")
    ended = goracs(*words, without=NO_STEPS, store=tmp_path / "store")
    assert ended.code == 1
    assert "finetune=head fits the output over the answers Yes and No" in ended.text
    assert not (tmp_path / "store").exists()


def test_one_answer_in_the_coreset_is_told(fitted: Fitted) -> None:
    ended = fitted("budget=1", "selector=random")
    assert "warning: finetune=head: all rows of a coreset have one answer" in ended.text
    assert len(ended.result["warnings"]) == 1
    assert "all rows of a coreset have one answer" in fitted("budget=1", "selector=random").text  # skipped


def test_equal_hidden_states_are_told_and_move_every_margin_alike(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = AnswerLoss.asked

    def same(loss: AnswerLoss, model: Any, batch: Any, before: Any = None) -> tuple[Any, Any]:
        pair, states = asked(loss, model, batch, before)
        return pair, states * 0 + 3

    monkeypatch.setattr(AnswerLoss, "asked", same)
    ended = fitted("selector=random", store=tmp_path / "store")
    assert "warning: finetune=head: the hidden states of the pool are all equal" in ended.text
    metrics = ended.result["metrics"]
    assert metrics["tuned"]["auc"]["value"] == pytest.approx(metrics["start"]["auc"]["value"])
    assert metrics["tuned"]["log_loss"] != metrics["start"]["log_loss"]


def noisy(prepared: Prepared) -> Prepared:
    """The same but for its test rows: noise for prompts, and the other answers."""
    test = prepared.test.collect()
    words = pl.Series([str(number) for number in np.random.default_rng(0).random(len(test))])
    other = pl.col("output").replace_strict({"Yes": "No", "No": "Yes"})
    noise = test.with_columns(input=words, output=other, label=1 - pl.col("label"))
    return replace(prepared, test=noise.lazy())


def untimed(file: Path) -> Any:
    """What is in a file, but for the seconds of a search."""
    if file.name != "trace.json":
        return file.read_bytes()
    return [{**step, "seconds": None} for step in json.loads(file.read_text())]


@pytest.mark.parametrize("tuning", ["head", "default"])
def test_no_stage_before_evaluate_sees_a_test_row(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    """Two stores whose prepared sets differ in the test part alone, lam=auto included."""
    auto = ("selector=goracs", "selector.lam=auto", "selector.folds=3", "features=hidden")
    words = (f"finetune={tuning}", *auto)
    write = prepare.write
    stores = tmp_path / "true", tmp_path / "noise"
    ended = []
    for store, change in zip(stores, (lambda prepared: prepared, noisy), strict=True):
        monkeypatch.setattr(prepare, "write", lambda made, folder, change=change: write(change(made), folder))
        ended.append(goracs(*words, without=NO_STEPS, store=store))
        assert ended[-1].code == 0, ended[-1].text
    assert ended[0].result["digests"] == ended[1].result["digests"]
    differing = {
        file.relative_to(stores[0]).parts[0]
        for file in stores[0].glob("*/*/**/*")
        if file.is_file()
        and file.name != "manifest.json"
        and untimed(file) != untimed(stores[1] / file.relative_to(stores[0]))
    }
    assert differing == {"prepare", "states", "evaluate", "evaluate_states", "rule", "result"}


def test_lam_from_validation_data_goes_the_road_and_is_told(goracs: Command) -> None:
    """The default of task=ctr; the report has the curve, and the same rows come of the chosen lam."""
    words = ("until=select", "selector.grid=[0,0.3]", "selector.folds=3", "selector.effort=start")
    ended = goracs("task.lam=auto", *words)
    assert ended.code == 0, ended.text
    report = ended.result["coreset"]["report"]
    assert [point["lam"] for point in report["auto"]["curve"]] == [0.0, 0.3]
    assert report["lam"] == report["auto"]["lam"]
    same = goracs(f"task.lam={report['lam']}", *words)
    left = [json.loads((run.folder / "indices.json").read_text()) for run in (ended, same)]
    assert left[0] == left[1]


def test_lam_from_validation_data_is_refused_for_texts_before_anything_long(goracs: Command) -> None:
    ended = goracs("task=seqrec", "task.lam=auto", "until=select")
    assert ended.code == 1
    assert "answers are texts" in ended.text
    assert "  adapter " not in ended.text
