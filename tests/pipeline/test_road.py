"""The whole road on the tiny backbone: what a run leaves, what it reuses, how each task ends."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from goracs.api import build
from goracs.commands import run
from goracs.config import conf_dir
from goracs.data.prepare import read_examples, read_titles
from goracs.data.readers.movielens import BUNDLED
from goracs.llm import adapter, forecast
from goracs.llm.backbone import load_model
from goracs.llm.finetune_module import FinetuneModule
from goracs.stages.score import DYNAMICS
from tests.conftest import TINY
from tests.pipeline.conftest import Command

SELECTORS = sorted(file.stem for file in (conf_dir() / "selector").glob("*.yaml"))


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what two runs of one configuration may differ in."""
    return {name: value for name, value in result.items() if name not in ("stages", "command")}


def test_a_run_leaves_a_result_a_coreset_and_an_adapter(
    goracs: Command, tiny_weights: Path, store_root: Path
) -> None:
    ended = goracs()
    assert ended.code == 0, ended.text
    result = ended.result
    assert (result["schema"], result["status"], result["seed"]) == (1, "done", 0)
    assert set(result["metrics"]) == {"untuned", "start", "tuned", "rule"}
    for metrics in result["metrics"].values():
        assert set(metrics) == {"auc", "auc_per_user", "log_loss", "ece"}
        assert set(metrics["auc"]) == {"value", "low", "high", "n", "users"}
    assert result["coreset"]["budget"] == 8
    assert (ended.folder / "trace.json").exists()
    assert result["coreset"]["assessment"]["poo"] is not None
    answers = pl.read_parquet(ended.folder / "predictions.parquet")
    assert set(answers.columns) == {"user", "item", "label", "margin"}
    assert len(answers) == result["metrics"]["tuned"]["auc"]["n"]
    assert result["steps"] == 1
    assert result["tokens_trained"] > 0
    prepared = store_root / "prepare" / result["digests"]["prepare"][:24]
    pool = read_examples(prepared, "train")
    rows = json.loads((ended.folder / result["coreset"]["indices_file"]).read_text())
    assert json.loads((ended.folder / "coreset.json").read_text()) == [
        {"instruction": pool[r].instruction, "input": pool[r].input, "output": pool[r].output} for r in rows
    ]
    model = adapter.load(load_model(tiny_weights, TINY), ended.folder / "adapter", trainable=False)
    assert any(float(weight.abs().max()) > 0 for name, weight in model.named_parameters() if "lora_B" in name)


def test_dataset_info_is_what_llama_factory_reads(goracs: Command) -> None:
    ended = goracs("until=select", "selector=random")
    info = json.loads((ended.folder / "dataset_info.json").read_text())
    assert info == {
        "goracs_coreset": {
            "file_name": "coreset.json",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        }
    }
    (row, *_) = json.loads((ended.folder / "coreset.json").read_text())
    assert set(row) == {"instruction", "input", "output"}


def test_the_same_run_again_is_skipped_and_equal(goracs: Command) -> None:
    first, again = goracs(), goracs()
    assert "skipped:" in again.text
    assert comparable(first.result) == comparable(again.result)
    assert all(stage["cached"] for stage in again.result["stages"].values())


def test_two_stores_give_equal_results(goracs: Command, tmp_path: Path) -> None:
    first, other = goracs(), goracs(store=tmp_path / "other")
    assert comparable(first.result) == comparable(other.result)


def test_a_seed_shares_every_stage_before_the_selection(goracs: Command) -> None:
    first, second = (goracs("selector=random", f"seed={seed}").result["digests"] for seed in (0, 1))
    shared = {name for name in first if first[name] == second[name]}
    judged = {"evaluate_untuned", "states", "evaluate_start", "rule"}
    assert shared == {"prepare", "fits", "adapter", "weights"} | judged


def test_a_method_without_randomness_is_not_hashed_with_the_seed(goracs: Command) -> None:
    first, second = (goracs("until=select", f"seed={seed}").result["digests"] for seed in (0, 1))
    assert first["select"] == second["select"]


def test_a_selector_never_pays_for_what_it_does_not_read(goracs: Command) -> None:
    assert set(goracs("until=select", "selector=random").result["digests"]) == {"prepare", "select"}
    asked = {"prepare", "embed", "features", "select"}
    assert set(goracs("until=select", "selector=kcenter").result["digests"]) == asked
    assert set(goracs("until=select", "selector=fdmat").result["digests"]) == asked
    for selector in ("el2n", "ranked", "ccs", "blend"):
        digests = goracs("until=select", f"selector={selector}").result["digests"]
        assert ("score" in digests, "embed" in digests) == (True, False), selector
    everything = goracs("until=select", "selector=random", "assess=true").result
    assert (
        everything["digests"]["select"]
        == goracs("until=select", "selector=random").result["digests"]["select"]
    )
    assert {"embed", "score", "assess"} <= set(everything["digests"])
    assert everything["coreset"]["assessment"]["transport"] > 0


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_selector_goes_the_road(goracs: Command, selector: str) -> None:
    followed = build(selector, {}).needs & DYNAMICS.keys()
    course = ("adapter.checkpoints=3", "adapter.training.batch_size=2") if followed else ()
    ended = goracs(f"selector={selector}", *course)
    assert ended.code == 0, ended.text
    assert ended.result["coreset"]["budget"] == (60 if selector == "full" else 8)
    assert ended.result["metrics"]["tuned"]["auc"]["n"] == 24


def test_a_fresh_adapter_starts_as_the_untuned_backbone(goracs: Command) -> None:
    metrics = goracs("adapter=init").result["metrics"]
    assert metrics["start"] == metrics["untuned"]
    assert metrics["tuned"] != metrics["untuned"]


def test_an_adapter_from_a_folder_is_where_everything_starts(goracs: Command) -> None:
    trained = goracs()
    again = goracs("adapter=path", f"adapter.path={trained.folder / 'adapter'}")
    assert again.code == 0, again.text
    assert again.result["metrics"]["start"] == trained.result["metrics"]["tuned"]


def test_seqrec_goes_the_road(goracs: Command) -> None:
    ended = goracs(
        "task=seqrec", "task.lam=0.1", "split.valid=6", "split.test=6", "evaluate.max_new_tokens=4"
    )
    assert ended.code == 0, ended.text
    metrics = ended.result["metrics"]
    assert metrics["rule"] is None
    figures = {"ndcg@5", "ndcg@10", "hr@5", "hr@10", "mrr@10", "coverage@10", "popular@10"}
    for part in ("untuned", "start", "tuned", "popular", "last_item"):
        assert set(metrics[part]) == figures
        assert metrics[part]["hr@10"]["n"] == 6
    assert metrics["popular"]["popular@10"]["value"] > metrics["tuned"]["popular@10"]["value"]
    assert "| last_item " in ended.text
    answers = pl.read_parquet(ended.folder / "predictions.parquet")
    assert set(answers.columns) == {"user", "item", "written", "rank", "first"}
    placed = [item in first for item, first in answers.select("item", "first").iter_rows()]
    assert placed == (answers["rank"] <= 10).to_list()
    assert ended.result["coreset"]["report"]["lam"] == 0.1
    assert ended.result["decoding"] == {
        "num_beams": 2,
        "max_new_tokens": 4,
        "do_sample": False,
        "length_penalty": 1.0,
        "early_stopping": False,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": [0],
    }


def test_where_no_title_is_written_no_decoding_is_told(goracs: Command) -> None:
    assert "decoding" not in goracs().result
    assert "decoding" not in goracs("task=seqrec", "until=select", "selector=random").result


@pytest.mark.parametrize("candidates", ["popular", "shared", "everything"])
def test_seqrec_ranks_against_other_candidates(goracs: Command, candidates: str) -> None:
    words = ("split.valid=6", "split.test=6", "evaluate.max_new_tokens=4", "selector=random")
    ended = goracs("task=seqrec", *words, f"evaluate.candidates={candidates}", "evaluate.negatives=9")
    assert ended.code == 0, ended.text
    assert ended.result["metrics"]["tuned"]["hr@10"]["n"] == 6


@pytest.mark.parametrize("method", ["constrained", "likelihood"])
@pytest.mark.parametrize(("candidates", "beams"), [("own", 10), ("everything", 11)])
def test_seqrec_ranks_titles_alone_by_either_method(
    goracs: Command, store_root: Path, method: str, candidates: str, beams: int
) -> None:
    words = ("split.valid=4", "split.test=4", "dataset.core=50", "selector=random", f"evaluate.beams={beams}")
    how = (f"evaluate.method={method}", f"evaluate.candidates={candidates}", "evaluate.negatives=19")
    ended = goracs("task=seqrec", *words, *how)
    assert ended.code == 0, ended.text
    result, answers = ended.result, pl.read_parquet(ended.folder / "predictions.parquet")
    catalogue = read_titles(store_root / "prepare" / result["digests"]["prepare"][:24])["title"]
    assert result["metrics"]["tuned"]["hr@10"]["n"] == len(answers) == 4
    assert answers["rank"].is_between(1, 20 if candidates == "own" else len(catalogue)).all()
    assert ("decoding" in result) == (method == "constrained")
    if method == "constrained":
        assert set(answers["written"]) <= {f'"{title}"' for title in catalogue}
        assert result["decoding"]["num_return_sequences"] == beams


def test_the_method_of_ranking_is_nothing_to_a_task_of_answers(goracs: Command) -> None:
    plain, other = goracs(), goracs("evaluate.method=constrained", "evaluate.likelihood=sum")
    assert other.code == 0, other.text
    assert {**other.result["digests"], "result": ""} == {**plain.result["digests"], "result": ""}
    assert other.result["metrics"] == plain.result["metrics"]


def test_beams_that_cannot_fill_the_places_are_refused_before_anything_runs(goracs: Command) -> None:
    ended = goracs("task=seqrec", "evaluate.method=constrained")
    assert ended.code == 1
    assert "take evaluate.beams=10 or more, got 2" in ended.text


def test_sketches_serve_as_features(goracs: Command) -> None:
    ended = goracs("features=sketch", "until=select", "score.sketch_dim=8")
    assert ended.code == 0, ended.text
    assert "embed" not in ended.result["digests"]
    assert ended.result["coreset"]["assessment"]["poo"] is not None


@pytest.mark.parametrize("until", ["prepare", "embed", "adapter", "score", "select", "finetune"])
def test_until_stops_after_a_stage(goracs: Command, until: str) -> None:
    result = goracs(f"until={until}").result
    assert until in result["digests"]
    assert all(metrics is None for metrics in result["metrics"].values())
    assert (result["coreset"] is None) == (until not in ("select", "finetune"))


def test_fine_tuning_goes_by_steps_or_tokens(goracs: Command) -> None:
    assert goracs("finetune.epochs=null", "finetune.steps=3", "until=finetune").result["steps"] == 3
    assert (
        goracs("finetune.epochs=null", "finetune.tokens=900", "until=finetune").result["tokens_trained"]
        >= 900
    )


def test_the_csv_logger_writes_the_search_the_curve_and_the_figures(goracs: Command) -> None:
    ended = goracs("logger=csv")
    with (ended.folder / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    trace = json.loads((ended.folder / "trace.json").read_text())
    for label in ("0", "1"):
        name = f"search/class {label}/objective"
        wanted = [step["objective"] for step in trace if step["class"] == int(label)]
        assert [float(row[name]) for row in rows if row[name]] == pytest.approx(wanted)
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    curve = json.loads((ended.folder / "curve.json").read_text())
    assert losses == pytest.approx([row["loss"] for row in curve])
    assert float(rows[-1]["tuned/auc"]) == pytest.approx(ended.result["metrics"]["tuned"]["auc"]["value"])


def test_tensorboard_reads_the_curve_and_the_figures(goracs: Command) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    ended = goracs("logger=tensorboard", "finetune.patience=1", "finetune.looks=2", "finetune.epochs=4")
    assert ended.code == 0, ended.text
    told = events.EventAccumulator(str(ended.folder / "tensorboard")).Reload()
    curve = json.loads((ended.folder / "curve.json").read_text())
    for name, key in (("train/loss", "loss"), ("train/lr", "lr"), ("valid/loss", "valid_loss")):
        wanted = {row["step"]: pytest.approx(row[key]) for row in curve if key in row}
        assert {event.step: event.value for event in told.Scalars(name)} == wanted
    (auc,) = told.Scalars("tuned/auc")
    assert auc.value == pytest.approx(ended.result["metrics"]["tuned"]["auc"]["value"])


def test_a_logger_whose_package_is_absent_is_refused_before_anything_is_made(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda _: None)
    ended = goracs("logger=tensorboard", store=tmp_path / "store")
    assert ended.code == 1
    assert (
        "error: logger=tensorboard needs a package that is not there: pip install tensorboard." in ended.text
    )
    assert not (tmp_path / "store").exists()


def test_the_steps_of_a_training_are_written_as_they_come(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is cut off leaves its lines; the next tells them again and removes them at its end."""
    words = (
        "until=finetune",
        "selector=random",
        "adapter=init",
        "finetune.batch_size=2",
        "runtime.keep_every=0",
    )
    lines = list[list[dict[str, Any]]]()
    training_step = FinetuneModule.training_step

    def watched(self: Any, parts: Any, place: int) -> None:
        (file,) = tmp_path.glob("job*/live.jsonl") if self.curve else (None,)
        lines.append([json.loads(line) for line in file.read_text().splitlines()] if file else [])
        if len(self.curve) == ends:
            raise GoracsTestEnd
        training_step(self, parts, place)

    monkeypatch.setattr(FinetuneModule, "training_step", watched)
    ends = 2
    cut = goracs(*words, store=tmp_path / "store")
    assert [[row["step"] for row in seen] for seen in lines] == [[], [1], [1, 2]]
    (cut.folder / "live.jsonl").unlink()
    ends = -1
    ended = goracs(*words, store=tmp_path / "store")
    assert [row["step"] for row in lines[-1]] == [1, 2, 3]
    curve = json.loads((ended.folder / "curve.json").read_text())
    assert [(row["job"], row["loss"], row["lr"]) for row in lines[-1]] == [
        ("finetune", row["loss"], row["lr"]) for row in curve[:3]
    ]
    assert not (ended.folder / "live.jsonl").exists()


class GoracsTestEnd(Exception):
    """What cuts a run off."""


def test_the_coreset_is_that_of_goracs_select(goracs: Command, store_root: Path) -> None:
    import goracs as package
    from goracs.stages.select import selection_problem

    result = goracs("until=select").result
    inputs = {
        name: store_root / name / result["digests"][name][:24] for name in ("prepare", "features", "score")
    }
    chosen = package.select(
        selection_problem(inputs, {"features", "gradient_norm"}),
        8,
        "goracs",
        lam=0.5,
        by_class=True,
    )
    stored = np.load(store_root / "select" / result["digests"]["select"][:24] / "indices.npy")
    np.testing.assert_array_equal(chosen.indices, stored)


def test_the_result_says_in_which_precision_it_was_made(goracs: Command) -> None:
    assert goracs("backbone.precision=auto").result["config"]["backbone"]["precision"] in ("bf16", "float32")


def test_bf16_goes_the_road_for_both_tasks(goracs: Command) -> None:
    for task in ("ctr", "seqrec"):
        words = ("split.valid=4", "split.test=4", "evaluate.max_new_tokens=2", "dataset.size=20", "budget=4")
        ended = goracs("backbone.precision=bf16", f"task={task}", *words)
        assert ended.code == 0, ended.text


def test_a_result_is_found_again_wherever_the_data_lie(goracs: Command, tmp_path: Path) -> None:
    moved = tmp_path / "data"
    shutil.copytree(BUNDLED, moved)
    goracs("until=select", "selector=random")
    assert "skipped:" in goracs("until=select", "selector=random", f"dataset.path={moved}").text


def test_prompts_that_are_too_long_are_shortened_and_counted(goracs: Command) -> None:
    whole = goracs("until=finetune", "selector=el2n").result
    assert whole["prompts"] == {
        "adapter": {"read": 8, "shortened": 0},
        "score": {"read": 60, "shortened": 0},
        "finetune": {"read": 8, "shortened": 0},
    }
    ended = goracs("until=finetune", "selector=el2n", "backbone.max_length=160")
    assert ended.code == 0, ended.text
    counts = ended.result["prompts"]["score"]
    assert 0 < counts["shortened"] < counts["read"] == 60
    assert f"{counts['shortened']} of 60 prompts shortened to 160 tokens" in ended.text


def test_every_long_job_tells_once_how_long_it_takes(
    goracs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says nothing else than a run that is over too soon to tell."""
    small = ("backbone.batch_tokens=2048", "encoder.batch_tokens=1024", "adapter.training.batch_size=4")
    jobs = {"embed pool", "embed target", "score pool", "warm up", "finetune", "states test"}
    words = (*small, "finetune.batch_size=4")
    monkeypatch.setattr(forecast, "MEASURED", 0.0)
    told = goracs(*words, store=tmp_path / "store")
    said = re.findall(r"(?m)^  ([a-z ]+): [\d,]+ examples, [\d,]+ tokens, less than a minute$", told.text)
    assert sorted(said) == sorted([*jobs, "evaluate", "evaluate"])  # untuned and tuned
    monkeypatch.setattr(forecast, "MEASURED", math.inf)
    quiet = goracs(*words)
    assert " tokens, " not in quiet.text
    assert comparable(told.result) == comparable(quiet.result)


def test_what_a_run_leaves_is_utf8_whatever_the_locale(
    goracs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "text_encoding", lambda given, *_: given or "ascii")  # what pathlib asks
    words = ("selector=random", "until=select", "dataset.size=400", "budget=300", "logger=csv")
    ended = goracs(*words, without=("dataset.size", "budget"))
    assert ended.code == 0, ended.text
    written = (ended.folder / "coreset.json").read_bytes()
    assert not written.isascii()
    assert len(json.loads(written.decode())) == 300


def test_a_fine_tune_that_may_end_early_says_which_step_it_kept(goracs: Command) -> None:
    ended = goracs("finetune.patience=1", "finetune.looks=2", "finetune.epochs=4", "logger=csv")
    assert ended.code == 0, ended.text
    curve = json.loads((ended.folder / "curve.json").read_text())
    looked = {row["step"]: row["valid_loss"] for row in curve if "valid_loss" in row}
    assert looked
    assert ended.result["kept_step"] == min(looked, key=lambda step: looked[step])
    assert ended.result["prompts"]["finetune"]["read"] == 8 + 24
    assert "valid/loss" in (ended.folder / "csv" / "metrics.csv").read_text()
    plain = goracs("finetune.epochs=4").result
    assert (plain["kept_step"], plain["prompts"]["finetune"]["read"]) == (plain["steps"], 8)


def test_a_log_has_two_lines_for_a_job_and_no_bars(goracs: Command) -> None:
    """A terminal has bars; what a test captures is none."""
    ended = goracs("selector=random", "seed=17", "runtime.progress=true", without=("runtime.progress",))
    assert ended.code == 0
    assert "\r" not in ended.text
    assert "it/s" not in ended.text
    for job, begins in {
        "select": "begins",
        "finetune": r"0 of (\d+) batches",
        "evaluate": r"0 of (\d+) batches",
    }.items():
        done = r"\d+ steps" if job == "select" else r"\1 batches"
        assert re.search(rf"  {job}: {begins}\n(?s:.*?)  {job}: {done}, done in \d+ s\n", ended.text), job
    assert len(re.findall(r"(?m)^  finetune: .*batches", ended.text)) == 2
