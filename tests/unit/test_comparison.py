"""Pairs of methods, who is marked, mean ranks: against scipy, published constants and simulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from goracs.evaluation.ranking import ranking_metrics
from goracs.report.answers import DRAWS, read_answers
from goracs.report.blocks import Block, blocks, settled, short
from goracs.report.comparison import Comparison, Measured, against, compare
from goracs.report.ranks import critical_difference, ranking
from goracs.report.statistics import effect_size, p_of_both, paired_p
from goracs.types import FloatArray, GoracsError, InvalidInput
from tests.unit.test_results import result


def measured(values: FloatArray, resampled: FloatArray | None = None) -> Measured:
    """[S] values of seeds 0, 1, ... and [S, B] under resampled users."""
    return Measured(
        dict(enumerate(values.tolist())), dict(enumerate(resampled if resampled is not None else ()))
    )


def test_without_answers_a_pair_goes_by_scipys_paired_test() -> None:
    rng = np.random.default_rng(0)
    one, other, third = rng.normal(size=(3, 6))
    found = compare(
        {"a": measured(one), "b": measured(other), "c": measured(third)}, more_is_better=True
    ).pairs
    assert found["a", "b"].p == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert found["b", "a"].mean == -found["a", "b"].mean == pytest.approx((other - one).mean())
    ends = stats.ttest_rel(other, one).confidence_interval()
    assert found["b", "a"].seeds == pytest.approx((ends.low, ends.high))
    raw = sorted(found[name, "a"].p or 0.0 for name in "bc")
    corrected = sorted(p or 0.0 for _, p in against("a", "bc", found).values())
    assert corrected == pytest.approx([min(1.0, 2 * raw[0]), max(min(1.0, 2 * raw[0]), raw[1])])


def test_only_shared_seeds_are_paired() -> None:
    one, other = Measured({0: 1.0, 1: 2.0, 2: 9.0}, {}), Measured({1: 1.0, 2: 7.0, 3: 50.0}, {})
    found = compare({"one": one, "other": other}, more_is_better=True)
    assert found.pairs["one", "other"].mean == 1.5
    assert compare({"one": one, "far": Measured({8: 0.0}, {})}, more_is_better=True) == Comparison(
        {}, None, None
    )


@pytest.mark.parametrize("more_is_better", [True, False])
def test_who_is_surely_ahead_is_marked_and_nobody_else(more_is_better: bool) -> None:
    noise = 0.01 * np.random.default_rng(1).normal(size=(3, 5))
    sign = 1 if more_is_better else -1
    apart = {name: measured(sign * place + noise[place]) for place, name in enumerate("abc")}
    found = compare(apart, more_is_better=more_is_better)
    assert (found.best, found.second) == ("c", "b")
    alike = {**apart, "d": measured(apart["c"].mean + noise[0])}
    assert compare(alike, more_is_better=more_is_better).best is None
    tail = {"a": apart["c"], "b": measured(noise[0]), "c": measured(noise[1])}
    found = compare(tail, more_is_better=True)
    assert (found.best, found.second) == (("a", None) if more_is_better else (None, None))


def test_one_seed_marks_nobody() -> None:
    found = compare({"a": Measured({0: 1.0}, {}), "b": Measured({0: 9.0}, {})}, more_is_better=True)
    assert found.best is None
    assert against("b", ["a"], found.pairs)["a"][1] is None


def test_of_two_methods_that_are_alike_one_is_called_the_best_in_a_twentieth_of_all_studies() -> None:
    """1,000 studies of chance alone: of five seeds, of thirty users and of both."""
    rng, users, studies, called = np.random.default_rng(0), 30, 1000, 0
    for _ in range(studies):
        own = rng.normal(size=(2, 1, users)) + rng.normal(size=(2, 5, users))
        answers = 3 * rng.normal(size=users) + own + 0.3 * rng.normal(size=(2, 5, 1))
        drawn = answers[:, :, rng.integers(users, size=(40, users))].mean(axis=3)
        one, other = (measured(answers[way].mean(axis=1), drawn[way]) for way in (0, 1))
        called += compare({"one": one, "other": other}, more_is_better=False).best is not None
    assert 0.02 <= called / studies <= 0.06  # .05, and twice the error of a thousand


def test_users_who_all_agree_leave_the_test_over_seeds() -> None:
    values = np.array([0.5, 0.25, 1.0, 0.75])
    assert p_of_both(values, np.tile(values[:, None], 9)) == pytest.approx(paired_p(values))
    assert p_of_both(values, np.full((4, 9), np.nan)) is None


def test_effect_size_is_hedges_g() -> None:
    """Exact correction: gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)), m = S - 1 (Hedges 1981)."""
    from scipy.special import gamma

    values = np.random.default_rng(3).normal(1.0, size=12)
    degrees = len(values) - 1
    exact = gamma(degrees / 2) / ((degrees / 2) ** 0.5 * gamma((degrees - 1) / 2))
    assert effect_size(values) == pytest.approx(values.mean() / values.std(ddof=1) * exact, rel=1e-3)
    assert effect_size(np.ones(3)) is None


def test_critical_differences_equal_the_published_constants() -> None:
    """Demsar 2006, table 5a: q at .05 for 2 to 10 methods."""
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [critical_difference(k, 1) / (k * (k + 1) / 6) ** 0.5 for k in range(2, 11)]
    assert found == pytest.approx(published, abs=1.5e-3)
    assert critical_difference(4, 9) == pytest.approx(critical_difference(4, 1) / 3)


def test_mean_ranks_go_by_scipys_friedman_test() -> None:
    figures = np.random.default_rng(4).normal(size=(7, 4)).round(1)  # rounded: some tie
    found = ranking(figures, more_is_better=False)
    assert found.ranks == pytest.approx(stats.rankdata(figures, axis=1).mean(axis=0))
    assert found.ranks.sum() == pytest.approx(4 * 5 / 2)
    assert found.p == pytest.approx(stats.friedmanchisquare(*figures.T).pvalue)
    turned = ranking(figures, more_is_better=True)
    assert turned.ranks == pytest.approx(5 - found.ranks)
    assert ranking(np.ones((3, 3)), more_is_better=True).p == 1.0
    assert ranking(figures[:, :2], more_is_better=True).p is None


@pytest.mark.parametrize("figures", [np.ones((1, 3)), np.ones((3, 1)), np.full((3, 3), np.nan)])
def test_ranks_of_too_little_are_refused(figures: FloatArray) -> None:
    with pytest.raises(InvalidInput, match="two or more blocks and methods"):
        ranking(figures, more_is_better=True)


def saved(root: Path, found: dict[str, Any], users: int = 12, flip: bool = False) -> dict[str, Any]:
    """A result as a job folder, with answers; `flip` turns what was right."""
    folder = root / f"{found['coreset']['selector']}-{found['coreset']['budget']}-{found['seed']}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(found["seed"])
    rows = {
        "user": [f"u{row // 4}" for row in range(4 * users)],
        "item": [f"i{row}" for row in range(4 * users)],
        "label": [(row + flip) % 2 for row in range(4 * users)],
        "margin": rng.normal(size=4 * users).tolist(),
    }
    pl.DataFrame(rows).write_parquet(folder / "predictions.parquet")
    (folder / "result.json").write_text(json.dumps(found))
    return {**found, "file": str(folder / "result.json")}


def names(block: Block) -> list[str]:
    return [entry.method for entry in block.entries]


def test_methods_are_compared_within_what_is_equal_otherwise(tmp_path: Path) -> None:
    """Random first; the selector alone names a method that nothing else tells from others."""
    runs = [
        saved(
            tmp_path / str(lam),
            result(
                selector, seed, config__budget=8, config__selector__lam=lam, config__dataset__history=history
            ),
        )
        for selector, lam in (("goracs", 0.1), ("goracs", 0.5), ("random", 0))
        for seed in (0, 1)
        for history in (3,)
    ]
    other = saved(tmp_path / "far", result("random", 0, config__dataset__history=9, config__selector__lam=0))
    found = blocks([*runs, other])
    assert [block.name for block in found] == ["budget 64, history=3", "budget 64, history=9"]
    assert names(found[0]) == ["random", "goracs lam=0.1", "goracs lam=0.5"]
    assert set(found[0].comparisons) == {"auc", "log_loss"}
    assert not found[1].comparisons
    pair = found[0].comparisons["auc"].pairs["goracs lam=0.1", "random"]
    assert pair.both is not None  # the answers were read


def test_runs_that_answered_for_other_rows_are_refused_by_name(tmp_path: Path) -> None:
    one = saved(tmp_path, result("goracs", 1))
    other = saved(tmp_path, result("random", 1), flip=True)
    with pytest.raises(GoracsError, match=r"random-64-1.*goracs-64-1.*not comparable"):
        blocks([other, one])


def test_what_an_older_version_did_not_tell_is_taken_as_it_was_elsewhere_and_said() -> None:
    old, new = result("goracs", 0), result("goracs", 1, config__backbone__attention="auto")
    found, said = settled([old, new])
    assert said == ["backbone.attention"]
    assert found[0]["config"]["backbone"] == found[1]["config"]["backbone"]
    assert "attention" not in old["config"]["backbone"]
    other = result("goracs", 2, config__backbone__attention="eager")
    assert settled([old, new, other])[1] == []  # nobody knows which of the two it was


def test_a_setting_is_said_in_a_word() -> None:
    assert short("features._target_", "goracs.features.hidden.Hidden") == "features=Hidden"
    assert short("selector.lam", "0.5") == "lam=0.5"
    assert short("finetune.name", "head") == "finetune=head"


def test_answers_that_are_ranks_give_the_figures_whose_intervals_a_run_tells(tmp_path: Path) -> None:
    """The same resamples: their percentiles are the ends that `ranking_metrics` reports."""
    rng = np.random.default_rng(5)
    users, ranks = [f"u{row % 7}" for row in range(60)], rng.integers(1, 30, size=60)
    rows = {"user": users, "item": users, "rank": ranks}
    pl.DataFrame(rows).write_parquet(tmp_path / "predictions.parquet")
    found = read_answers({"file": str(tmp_path / "result.json")})
    assert found is not None
    assert found.users == 7
    told = ranking_metrics(ranks, users, draws=DRAWS, seed=0)
    assert found.resampled.keys() == told.keys()
    for name, values in found.resampled.items():
        low = np.percentile(values, 2.5, method="lower")
        assert low == pytest.approx(told[name]["low"]), name


def test_answers_that_cannot_be_read_are_refused_and_absent_ones_are_none(tmp_path: Path) -> None:
    found = {"file": str(tmp_path / "result.json")}
    assert read_answers(found) is None
    (tmp_path / "predictions.parquet").write_text("none")
    with pytest.raises(GoracsError, match="are no answers of a run"):
        read_answers(found)
    pl.DataFrame({"user": ["a"]}).write_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(GoracsError, match="are no answers of a run"):
        read_answers(found)
