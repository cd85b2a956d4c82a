"""Grouping, spread over seeds, references and rendering of result.json files."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from goracs.report.markdown import render
from goracs.report.results import Result, read_results
from goracs.report.shape import HEAD
from goracs.report.table import Row, Table, aggregate
from goracs.types import GoracsError, InvalidInput

REPO = Path(__file__).parents[2]
FINETUNE = {
    "lr": 0.001,
    "epochs": 8,
    "batch_size": 8,
    "warmup_share": 0.1,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
}
BACKBONE = {
    "name": "tiny",
    "model": "tiny",
    "precision": "float32",
    "max_length": 512,
    "batch_tokens": 2048,
}


def figure(
    value: float | None, low: float | None = None, high: float | None = None, users: int = 40
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 200, "users": users}


def result(selector: str = "goracs", seed: int = 0, auc: float = 0.8, **changes: Any) -> Result:
    """A finished CTR run; `changes` set dotted names."""
    whole: Result = {
        "schema": 1,
        "config": {
            "seed": seed,
            "budget": 64,
            "selector": {
                "_target_": f"goracs.selection.{selector}",
                **({"lam": 0.1} if selector == "goracs" else {}),
            },
            "dataset": {"name": "movielens_small", "size": 400, "history": 10},
            "task": {"name": "ctr", "lam": 0.5, "template": "{instruction} {input}"},
            "finetune": dict(FINETUNE),
            **{name: {} for name in ("split", "encoder", "evaluate")},
            "features": {"_target_": "goracs.features.embedding.Embedding", "scale": "none"},
            "backbone": dict(BACKBONE),
            "runtime": {"workers": 1},
            "logger": {"name": "csv"},
            "store": {"root": "multirun/store"},
        },
        "command": f"goracs selector={selector} seed={seed}",
        "seed": seed,
        "status": "done",
        "versions": {},
        "digests": {},
        "coreset": {"selector": selector, "budget_asked": 64, "budget": 64, "report": {}, "assessment": None},
        "metrics": {
            "untuned": {"auc": figure(0.5, 0.45, 0.55), "log_loss": figure(0.9)},
            "start": {"auc": figure(0.6, 0.5, 0.7), "log_loss": figure(0.8)},
            "tuned": {"log_loss": figure(0.625, 0.5, 0.75), "auc": figure(auc, auc - 0.05, auc + 0.05)},
            "rule": {"auc": figure(0.75, 0.7, 0.8), "log_loss": figure(None)},
        },
        "steps": 16,
        "tokens_trained": 1000,
        "stages": {"prepare": {"seconds": 1.0, "peak_mb": None, "cached": False}},
        "file": f"{selector}/{seed}/result.json",
    }
    for name, value in changes.items():
        *path, last = name.split("__")
        node = whole
        for key in path:
            node = node[key]
        node[last] = value
    return whole


def tuned(**changes: Any) -> Result:
    """A run that trained an adapter."""
    return result(digests={"weights": "1" * 64, "finetune": "0" * 64}, **changes)


def without(name: str) -> Result:
    """Such a run's result without what has a dotted name."""
    whole = tuned()
    *path, last = name.split(".")
    node: Any = whole
    for key in path:
        node = node[key]
    del node[last]
    return whole


def row(table: Table, label: str) -> Row:
    (found,) = [row for row in (*table.references, *table.groups) if row.label == label]
    return found


def lines_of(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]


def save(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "result.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_render_equals_the_table_worked_by_hand() -> None:
    """Goracs .80, .82, .84: mean .82, sample standard deviation .02.

    Its intervals start at .75, .77, .79 (mean .77) and end at .85, .87, .89 (mean .87). Random has one seed.
    """
    runs = [result(seed=seed, auc=auc) for seed, auc in ((0, 0.80), (1, 0.82), (2, 0.84))]
    text = render(aggregate([*runs, result("random", seed=1, auc=0.79)]))
    assert text == (
        "| selector | budget | seeds | AUC                          | log-loss                     |\n"
        "| -------- | ------ | ----- | ---------------------------- | ---------------------------- |\n"
        "| untuned  | -      | -     | 0.500 [0.450, 0.550]         | 0.900                        |\n"
        "| start    | -      | -     | 0.600 [0.500, 0.700]         | 0.800                        |\n"
        "| rule     | -      | -     | 0.750 [0.700, 0.800]         | -                            |\n"
        "| goracs   | 64     | 3     | 0.820 ± 0.020 [0.770, 0.870] | 0.625 ± 0.000 [0.500, 0.750] |\n"
        "| random   | 64     | 1     | 0.790 [0.740, 0.840]         | 0.625 [0.500, 0.750]         |\n"
        "\n"
        "- A cell: mean ± sample standard deviation over seeds (of one seed its value) [95% interval over "
        "users]. All seeds answer for the same users: the interval is that of one run, averaged over seeds, "
        "and more seeds do not narrow it.\n"
        "- Users: 40.\n"
        "- No POO: no run of the same settings made the features and gradient norms that it takes, or they "
        "are not in the store. Add assess=true to the command.\n"
        "- Seeds: 0, 1, 2.\n"
        "- Missing seeds of random, budget 64: 0, 2.\n"
        "\n"
        "Commands:\n"
        "\n"
        "```\n"
        "goracs selector=goracs seed=0\n"
        "goracs selector=goracs seed=1\n"
        "goracs selector=goracs seed=2\n"
        "goracs selector=random seed=1\n"
        "```\n"
    )


def test_aggregate_is_unchanged_by_the_order_of_the_results() -> None:
    runs = [result(seed=seed, auc=0.8 + seed / 100) for seed in range(3)] + [result("random")]
    for run in runs:
        run["command"] = "goracs -m"
    assert aggregate(runs) == aggregate(runs[::-1])


@pytest.mark.parametrize("key", ["assess", "runtime", "cluster", "logger", "hydra", "store"])
def test_aggregate_keeps_one_group_for_what_changes_no_figure(key: str) -> None:
    other = result(seed=1)
    other["config"][key] = {"other": 1}
    table = aggregate([result(seed=0), other])
    assert [row.seeds for row in table.groups] == [(0, 1)]
    assert table.varying == ()


def test_aggregate_keeps_groups_apart_by_any_other_value_and_names_it() -> None:
    table = aggregate([result(), result(config__dataset__size=800), result("random")])
    assert table.varying == ("dataset.size",)
    assert [(row.label, row.values) for row in table.groups] == [
        ("goracs", ("400",)),
        ("goracs", ("800",)),
        ("random", ("400",)),
    ]
    assert table.name(table.groups[1]) == "goracs, budget 64, dataset.size=800"


def test_aggregate_never_shows_what_differs_only_between_selectors() -> None:
    """A parameter of goracs that random lacks says nothing, until goracs itself has two values of it."""
    assert aggregate([result(), result("random")]).varying == ()
    table = aggregate([result(), result(config__selector__lam=0.5), result("random")])
    assert table.varying == ("selector.lam",)
    assert [row.values for row in table.groups] == [("0.1",), ("0.5",), ("-",)]


def test_aggregate_keeps_what_differs_along_with_the_selector_elsewhere() -> None:
    table = aggregate([result(), result("random", config__dataset__size=800)])
    assert table.varying == ("dataset.size",)


def test_aggregate_compares_the_settings_of_a_choice_within_that_choice() -> None:
    """Of two data sets the name says it all; of one, what differs. A choice without a name has its class."""
    terms = {"a": "for research", "b": "for anybody"}
    runs = [
        result(config__dataset={"name": name, "notice": terms[name], "history": history})
        for name, history in (("a", 5), ("a", 10), ("b", 3))
    ]
    assert aggregate(runs[1:]).varying == ("dataset.name",)
    assert aggregate(runs).varying == ("dataset.history", "dataset.name")
    splits = [{"_target_": "splits.Users", "valid": 9}, {"_target_": "splits.ByDate", "valid_from": 2001}]
    assert aggregate([result(config__split=split) for split in splits]).varying == ("split._target_",)


def test_aggregate_keeps_budgets_and_numbers_in_their_order() -> None:
    runs = [
        result(config__budget=b, coreset__budget=b, coreset__budget_asked=b, config__dataset__size=size)
        for b in (128, 16, 1024)
        for size in (800, 90)
    ]
    found = [(row.budget, row.values[0]) for row in aggregate(runs).groups]
    assert found == [(b, s) for b in ("16", "128", "1024") for s in ("90", "800")]


def test_aggregate_keeps_the_share_beside_the_budget_it_meant() -> None:
    table = aggregate([result(config__budget=0.16, coreset__budget_asked=0.16)])
    assert table.groups[0].budget == "64 (0.16)"
    assert table.varying == ()


def test_aggregate_keeps_one_reference_row_for_equal_values() -> None:
    table = aggregate([result(seed=seed, config__dataset__size=size) for seed in (0, 1) for size in (4, 8)])
    assert [(row.label, row.values) for row in table.references] == [
        ("untuned", ("-",)),
        ("start", ("-",)),
        ("rule", ("-",)),
    ]


def test_aggregate_keeps_a_reference_row_per_configured_value_that_changes_it() -> None:
    """The rule differs by data set and not by learning rate: the learning rate stays a dash."""
    runs = [
        result(config__dataset__name=name, config__finetune={"lr": lr}, metrics__rule={"auc": figure(value)})
        for name, value in (("a", 0.7), ("b", 0.6))
        for lr in (0.1, 0.2)
    ]
    table = aggregate(runs)
    assert table.varying == ("dataset.name", "finetune.lr")
    rules = [(row.values, row.cells["auc"].values) for row in table.references if row.label == "rule"]
    assert rules == [(("a", "-"), (0.7,)), (("b", "-"), (0.6,))]


def test_aggregate_keeps_the_configured_value_of_a_reference_that_only_some_runs_have() -> None:
    table = aggregate([result(), result(config__dataset__name="b", metrics__rule=None)])
    assert row(table, "rule").values == ("movielens_small",)
    assert row(table, "untuned").values == ("-",)


def test_aggregate_keeps_reference_rows_apart_by_seed_where_nothing_else_tells_them() -> None:
    table = aggregate([result(seed=0), result(seed=1, metrics__untuned={"auc": figure(0.4)})])
    labels = [row.label for row in table.references]
    assert labels == ["untuned (goracs; seeds 0)", "untuned (goracs; seeds 1)", "start", "rule"]


def with_pool(seed: int, pool: int, start: float) -> Result:
    return result(seed=seed, config__dataset__seed=pool, metrics__start={"auc": figure(start)})


def test_a_pool_redrawn_with_each_seed_is_no_setting_and_the_starts_are_one_row() -> None:
    table = aggregate([with_pool(0, 0, 0.5), with_pool(1, 1, 0.75)])
    assert (table.redrawn, table.varying) == (True, ())
    assert [found.seeds for found in table.groups] == [(0, 1)]
    assert (row(table, "start").seeds, row(table, "start").cells["auc"].values) == ((0, 1), (0.5, 0.75))
    assert row(table, "untuned").seeds == ()
    assert "Seeds: 0, 1; each drew a pool of its own (dataset.seed)." in render(table)


def test_two_starts_of_one_seed_are_both_shown() -> None:
    runs = [with_pool(0, 0, 0.5), with_pool(1, 1, 0.75)]
    other = result("random", config__dataset__seed=0, metrics__start={"auc": figure(0.25)})
    found = [row for row in aggregate([*runs, other]).references if row.label.startswith("start")]
    assert sorted(row.cells["auc"].values for row in found) == [(0.25,), (0.5,), (0.75,)]


def test_a_half_finished_sweep_has_one_row_of_starts() -> None:
    runs = [with_pool(0, 0, 0.5), with_pool(1, 1, 0.75)]
    third = result("random", seed=0, config__dataset__seed=0, metrics__start={"auc": figure(0.5)})
    assert row(aggregate([*runs, third]), "start").seeds == (0, 1)


def test_a_pool_that_is_not_drawn_does_not_move_with_the_seed() -> None:
    runs = [with_pool(seed, seed, 0.5) for seed in (0, 1)]
    for run in runs:
        run["config"]["dataset"]["size"] = None
    assert not aggregate(runs).redrawn


@pytest.mark.parametrize("pools", [(0, 0), (1, 0)])
def test_a_pool_that_does_not_follow_the_seed_is_a_setting(pools: tuple[int, int]) -> None:
    table = aggregate([with_pool(seed, pool, 0.5 + seed / 4) for seed, pool in enumerate(pools)])
    assert not table.redrawn
    assert table.varying == (("dataset.seed",) if pools[0] != pools[1] else ())
    assert len([found for found in table.references if found.label.startswith("start")]) == 2
    assert "each drew" not in render(table)


@pytest.mark.parametrize("metrics", [None, {"untuned": None, "start": None, "tuned": None, "rule": None}])
def test_render_keeps_unfinished_runs_as_rows_of_dashes(metrics: dict[str, None] | None) -> None:
    table = aggregate([result(), result("random", metrics=metrics)])
    assert lines_of(render(table))[-1] == ["random", "64", "-", "-"]


def test_render_keeps_a_run_without_a_coreset() -> None:
    run = result(coreset=None, metrics=None)
    assert lines_of(render(aggregate([run])))[-1] == ["-", "-"]


def test_render_keeps_the_number_of_seeds_that_have_a_value() -> None:
    runs = [result(seed=0), result(seed=1), result(seed=2)]
    runs[0]["metrics"]["tuned"]["auc"] = figure(None)
    assert lines_of(render(aggregate(runs)))[-1][2:4] == ["3", "0.800 ± 0.000 [0.750, 0.850] (2 of 3 seeds)"]
    runs[1]["metrics"]["tuned"]["auc"] = figure(None)
    assert lines_of(render(aggregate(runs)))[-1][2:4] == ["3", "0.800 [0.750, 0.850] (1 of 3 seeds)"]


def test_render_keeps_the_order_of_known_metrics_and_puts_others_last() -> None:
    tuned = {name: figure(0.5) for name in ("zeta", "hr@10", "hr@5", "ndcg@10", "ndcg@5")}
    metrics = {"untuned": None, "start": None, "rule": None, "tuned": tuned}
    assert lines_of(render(aggregate([result(metrics=metrics)])))[0] == [
        "selector", "budget", "NDCG@5", "NDCG@10", "HR@5", "HR@10", "zeta",
    ]  # fmt: skip


def test_render_keeps_poo_where_any_coreset_was_assessed() -> None:
    runs = [result(seed=seed, coreset__assessment={"poo": 0.2 + seed / 10}) for seed in (0, 1)]
    lines = lines_of(render(aggregate([*runs, result("random")])))
    assert lines[0][-1] == "POO"
    assert lines[-2][-1] == "0.250 ± 0.071"
    assert [line[-1] for line in lines[2:5]] == ["-"] * 3
    assert lines[-1][-1] == "-"


def test_render_keeps_its_columns_where_a_value_holds_a_bar() -> None:
    runs = [result(), result(config__dataset__name="a|b")]
    assert re.search(r"\| a\\\|b +\|", render(aggregate(runs)))


def test_aggregate_keeps_one_of_two_equal_runs() -> None:
    twin = result(command="goracs -m", config__runtime={"workers": 2}, file="other/result.json")
    table = aggregate([result(), twin, result(seed=1, command="goracs -m")])
    assert table.groups[0].cells["auc"].values == (0.8, 0.8)
    assert table.commands == ("goracs selector=goracs seed=0", "goracs -m")


@pytest.mark.parametrize("turned", [False, True])
def test_aggregate_keeps_the_figures_of_the_coreset_that_one_of_two_equal_runs_has(turned: bool) -> None:
    runs = [result(), result(config__assess=True, coreset__assessment={"poo": 0.3}, file="other/result.json")]
    (row,) = aggregate(runs[::-1] if turned else runs).groups
    assert row.cells["poo"].values == (0.3,)
    with pytest.raises(GoracsError, match=r"their figures differ"):
        aggregate([*runs, result(coreset__assessment={"poo": 0.4})])


def test_aggregate_refuses_two_runs_of_one_configuration_that_differ() -> None:
    twin = result(auc=0.7, file="other/result.json")
    with pytest.raises(GoracsError, match=r"goracs/0/result.json and other/result.json .* seed 0, but their"):
        aggregate([result(), twin])


def test_aggregate_refuses_nothing() -> None:
    with pytest.raises(InvalidInput, match=r"at least one result"):
        aggregate([])


def test_aggregate_never_changes_the_results() -> None:
    runs = [result(), result("random")]
    before = deepcopy(runs)
    render(aggregate(runs))
    assert runs == before


def test_read_results_equals_every_result_below_once(tmp_path: Path) -> None:
    files = [
        save(tmp_path / name, result(seed=seed)) for seed, name in enumerate(("a/0", "a/deep/er/1", "b"))
    ]
    found = read_results([tmp_path / "b", tmp_path, tmp_path / "a"])
    assert [item["file"] for item in found] == [str(file) for file in files]
    assert [item["seed"] for item in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"result.json cannot be read as JSON"),
        (r'"\ud800"', r"result.json cannot be read as JSON .*surrogates"),
        ("[]", r"result.json is not a result of schema 1"),
        ({"schema": 2}, r"result.json is not a result of schema 1"),
        ({"config": {}}, r"result.json is not a result of schema 1"),
        (
            {"schema": 1, "config": {}, "seed": 0},
            r"result.json has no valid command, coreset, metrics, digests",
        ),
        (result(seed=0) | {"seed": "0"}, r"result.json has no valid seed"),
        (without("config.budget"), r"has no valid config.budget:"),
        (without("config.task"), r"has no valid config.task:"),
        (without("config.backbone"), r"has no valid config.backbone:"),
        (without("config.backbone.precision"), r"has no valid config.backbone.precision:"),
        (without("config.evaluate"), r"has no valid config.evaluate:"),
        (without("config.dataset"), r"has no valid config.dataset:"),
        (without("config.dataset.history"), r"has no valid config.dataset.history:"),
        (without("config.finetune"), r"has no valid config.finetune:"),
        (without("config.finetune.lr"), r"has no valid config.finetune.lr:"),
        (without("digests.weights"), r"has no valid digests.weights:"),
        (without("steps"), r"has no valid steps:"),
        (tuned(coreset=None), r"has no valid coreset:"),
        (tuned(coreset=None, config__finetune={"_target_": HEAD}), r"has no valid coreset:"),
        *(
            (without(f"metrics.tuned.auc.{name}"), r"has no valid metrics.tuned.auc")
            for name in ("n", "low", "high", "value")
        ),
    ],
)
def test_read_results_refuses_what_is_no_result(tmp_path: Path, content: object, message: str) -> None:
    save(tmp_path / "job", content)
    with pytest.raises(GoracsError, match=message) as error:
        read_results([tmp_path])
    assert str(tmp_path / "job") in str(error.value)


def test_a_run_of_each_kind_is_read(tmp_path: Path) -> None:
    prompts = {"name": "prompts", "_target_": "goracs.data.readers.alpaca.Prompts"}
    save(tmp_path / "adapter", tuned())
    save(tmp_path / "head", tuned(seed=1, config__finetune={"_target_": HEAD}, steps=None))
    save(tmp_path / "prompts", result(seed=2, config__dataset=prompts))
    save(tmp_path / "unselected", result(seed=3, coreset=None, metrics=None, steps=None))
    assert len(read_results([tmp_path])) == 4


def test_read_results_refuses_folders_without_results(tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match=r"no result.json below .*: a finished run leaves one"):
        read_results([tmp_path])
    with pytest.raises(GoracsError, match=r"nowhere is not a folder"):
        read_results([tmp_path / "nowhere"])


def test_results_of_the_first_version_go_into_tables_and_reports(tmp_path: Path) -> None:
    from goracs.commands import report

    folders = [REPO / "tests" / "results_of_first", REPO / "docs" / "results" / "quickstart"]
    (first,) = read_results(folders[:1])
    (row,) = (row for row in aggregate(read_results(folders)).rows if row.budget == "64")
    assert row.label.startswith("random")
    for name in ("auc", "auc_per_user", "log_loss"):
        assert row.cells[name].values == (first["metrics"]["tuned"][name]["value"],)
    made = report.made(folders, tmp_path / "none")
    assert f"{row.cells['auc'].values[0]:.3f}" in str(made.sections)
    assert "4 jobs" in made.lead
