"""The notes beneath a table: users, few users, backbones that computed differently, what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goracs.report.markdown import render
from goracs.report.results import Result
from goracs.report.table import aggregate
from tests.unit.test_results import figure, lines_of, result


def notes(*results: Result) -> list[str]:
    return [line[2:] for line in render(aggregate(results)).splitlines() if line.startswith("- ")]


def note(start: str, *results: Result) -> str:
    """The one note that starts so."""
    (found,) = [line for line in notes(*results) if line.startswith(start)]
    return found


def with_users(run: Result, **users: int | None) -> Result:
    """The run with these numbers of users in every part that has the metric; None: an older result."""
    for part in run["metrics"].values():
        for name, count in users.items():
            if name in part and count is None:
                del part[name]["users"]
            elif name in part:
                part[name]["users"] = count
    return run


def computed(precision: str, batch_tokens: int, selector: str = "goracs", **changes: Any) -> Result:
    backbone = {"name": "tiny", "precision": precision, "batch_tokens": batch_tokens}
    return result(selector, config__backbone=backbone, **changes)


def test_the_columns_stand_under_each_other() -> None:
    lines = [line for line in render(aggregate([result(), result("random")])).splitlines() if line[:1] == "|"]
    assert len({len(line) for line in lines}) == 1
    bars = [[at for at, letter in enumerate(line) if letter == "|"] for line in lines]
    assert bars.count(bars[0]) == len(bars)


def test_a_table_without_commands_ends_with_its_notes() -> None:
    table = replace(aggregate([result()]), commands=())
    assert render(table).endswith("\n- Seeds: 0.\n")


def test_one_number_of_users_is_told_once() -> None:
    assert note("Users", result()) == "Users: 40."


def test_the_numbers_of_users_are_told_by_metric() -> None:
    run = with_users(result(), auc=103)
    run["metrics"]["tuned"]["auc_per_user"] = figure(0.5, users=77)
    assert note("Users", run) == "Users: 103 (AUC), 77 (AUC per user), 40 (log-loss)."


def test_data_sets_of_different_users_are_a_range() -> None:
    runs = [result(), with_users(result(config__dataset__name="b"), auc=50, log_loss=50)]
    assert note("Users", *runs) == "Users: 40 to 50."


def test_results_without_a_number_of_users_are_read_and_say_so() -> None:
    """Results of before are part of the documentation."""
    old = with_users(result(), auc=None, log_loss=None)
    assert note("Users", old) == "Users: unknown (results of an older goracs)."
    assert not [line for line in notes(old) if line.startswith("Warning")]


@pytest.mark.parametrize(("users", "warned"), [(29, True), (30, False)])
def test_fewer_than_thirty_users_are_a_warning(users: int, warned: bool) -> None:
    run = with_users(result(), auc=users)
    assert (
        any(line.startswith(f"Warning: fewer than 30 users: AUC ({users}).") for line in notes(run)) == warned
    )


def test_a_warning_of_few_users_names_the_rows_that_it_is_about() -> None:
    run = result()
    run["metrics"]["tuned"] = {"auc": figure(0.8, 0.7, 0.9, users=6), "log_loss": figure(0.6, users=5)}
    told = note("Warning", run, result("random"))
    assert told.startswith(
        "Warning: fewer than 30 users: AUC (6), log-loss (5) of goracs, budget 64. Intervals over so few"
    )


def test_equal_backbones_have_no_mark() -> None:
    text = render(aggregate([result(), result("random")]))
    assert "(a)" not in text
    assert "computed differently" not in text


@pytest.mark.parametrize("other", [("bf16", 2048), ("float32", 512)])
def test_rows_of_backbones_that_computed_differently_are_marked(other: tuple[str, int]) -> None:
    runs = [computed("float32", 2048), computed(*other, "random")]
    labels = [line[0] for line in lines_of(render(aggregate(runs)))[2:]]
    assert labels == ["untuned", "start", "rule", "goracs (a)", "random (b)"]
    told = note("Warning", *runs)
    assert f"(a) float32, batch_tokens 2048; (b) {other[0]}, batch_tokens {other[1]}" in told
    assert "docs/method.md" in told


def test_what_a_run_says_of_its_precision_is_believed() -> None:
    """The configuration may say auto; the run says what that was."""
    told = [
        computed("auto", 2048, name) | {"precision": {"backbone": precision, "batch_tokens": 2048}}
        for name, precision in (("goracs", "bf16"), ("random", "float32"))
    ]
    assert "(a) bf16, batch_tokens 2048; (b) float32, batch_tokens 2048" in note("Warning", *told)


def test_a_reference_of_one_backbone_has_its_mark() -> None:
    runs = [computed("float32", 2048), computed("bf16", 2048)]
    runs[1]["metrics"]["untuned"]["auc"]["value"] = 0.51
    labels = [line[0] for line in lines_of(render(aggregate(runs)))[2:]]
    assert labels == ["untuned (a)", "untuned (b)", "start", "rule", "goracs (a)", "goracs (b)"]


def test_a_backbone_that_nobody_asked_differs_from_none() -> None:
    """A selector that reads no score leaves precision=auto as it is: that is no difference in the figures."""
    runs = [computed("float32", 2048), computed("auto", 2048, "random")]
    table = aggregate(runs)
    assert table.varying == ()
    assert table.marks == {}


def test_a_coreset_without_figures_is_named_with_the_way_to_them() -> None:
    judged = result(coreset__assessment={"poo": 0.2})
    told = note("No POO", judged, result("random"), result("kcenter"))
    assert told.startswith("No POO for kcenter, budget 64; random, budget 64: ")
    assert told.endswith("Add assess=true to the command.")


@pytest.mark.parametrize("run", [result(coreset=None), result("full", config__budget="all")])
def test_nothing_is_said_of_figures_that_nobody_expects(run: Result) -> None:
    """No coreset, or the whole pool."""
    assert not [line for line in notes(run) if line.startswith("No POO")]
