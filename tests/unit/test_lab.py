"""The lab on a planted bench: what it tries, what it says of a coreset, and that no test row chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from goracs import api
from goracs.evaluation import head
from goracs.lab.judge import Heads, Judge, ceilings, penalty, run
from goracs.lab.settings import Lab
from goracs.lab.trials import TRANSPORT, Bench, Setting, Trial, Tried, chosen, needs, redrawn, settings
from goracs.lab.trials import trials as by_draw
from goracs.lab.workers import Workers
from goracs.selection import by_class
from goracs.selection.figures import assess
from goracs.types import InvalidInput, SelectionProblem

N, M, T, D = 60, 24, 30, 5


def trials(asked: Lab, pool_size: int) -> list[Trial]:
    return [trial for draw in by_draw(asked, pool_size) for trial in draw]


def tried(bench: Bench, todo: list[Trial], count: int) -> list[tuple[Trial, Tried]]:
    with Workers(bench, count) as workers:
        return list(zip(todo, workers.tried(todo), strict=True))


def lab(**changes: Any) -> Lab:
    plain: dict[str, Any] = {
        "selectors": {"random": [False, True], "kcenter": [False], "el2n": [False], "goracs": [True]},
        "features": ["near", "far"],
        "lams": [0, 0.5],
        "budgets": [6, 0.2],
        "draws": 2,
        "pool": 40,
        "penalties": [0.01, 0.1],
        "workers": 1,
    }
    return Lab(**{**plain, **changes})


def planted(margins: bool = True) -> tuple[Bench, Judge]:
    """Hidden states whose first number is the label's side, two representations; margins 0 if not wanted."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(N + M + T, D))
    labels = (states[:, 0] + rng.normal(scale=0.5, size=len(states)) > 0).astype(np.int64)
    offsets = rng.normal(scale=0.3, size=len(states)) * margins
    pool, target, test = slice(0, N), slice(N, N + M), slice(N + M, None)
    problem = SelectionProblem(
        features=np.empty((N, 0)),
        target_features=np.empty((M, 0)),
        scores={
            "gradient_norm": rng.lognormal(size=N),
            "loss": rng.lognormal(size=N),
            "el2n": rng.random(N),
            "hidden": states[pool],
            "margin": offsets[pool],
        },
        target_scores={"hidden": states[target], "margin": offsets[target]},
        labels=labels[pool],
        target_labels=labels[target],
        target_users=np.arange(M) // 4,
    )
    features = {"near": (states[pool], states[target])}
    features["far"] = (rng.normal(size=(N, 3)), rng.normal(size=(M, 3)))
    users = np.arange(T) // 3
    return Bench(problem, features), Judge(states[test], offsets[test], labels[test], users)


def test_every_combination_is_tried_once_and_nothing_that_is_none() -> None:
    found = settings(lab())
    assert len(set(found)) == len(found) == 2 * 2 + 2 * 2 + 2 + 2 * 2 * 2
    assert found[0] == Setting("random", False, None, None, 6)
    assert found[-1] == Setting("goracs", True, "far", 0.5, 0.2)
    assert {s.features for s in found if s.selector == "el2n"} == {None}
    assert {s.lam for s in found if s.selector != "goracs"} == {None}
    assert len(trials(lab(), N)) == 2 * len(found)


def test_the_lab_asks_for_what_its_selectors_read_and_no_more() -> None:
    assert needs(lab(selectors={"random": [False]})) == {"gradient_norm", "hidden", "margin"}
    assert needs(lab(selectors={"el2n": [True]})) == {"gradient_norm", "hidden", "margin", "el2n"}
    assert "loss" in needs(lab(lams=["auto"]))


@given(st.integers(1, 40), st.integers(1, 5))
def test_draws_are_distinct_rows_and_stay_as_they_are_when_more_are_asked_for(pool: int, draws: int) -> None:
    rows = redrawn(lab(pool=pool, draws=draws, budgets=[1]), 40)
    assert len(rows) == draws
    for one in rows:
        assert len(one) == pool
        assert (np.diff(one) > 0).all()
        assert one[-1] < 40
    more = redrawn(lab(pool=pool, draws=draws + 1, budgets=[1]), 40)
    assert all((one == other).all() for one, other in zip(rows, more, strict=False))


def test_pools_of_two_draws_differ() -> None:
    first, second = redrawn(lab(), N)
    assert (first != second).any()


def test_a_coreset_is_the_one_that_its_selector_chooses_from_the_drawn_pool() -> None:
    bench, _ = planted()
    for trial in trials(lab(), N):
        setting, found = trial.setting, chosen(bench, trial)
        lam = {} if setting.lam is None else {"lam": setting.lam}
        selector = api.build(setting.selector, {**lam, "by_class": setting.by_class})
        problem = bench.problem.among(trial.rows)
        if setting.features is not None:
            pool, target = bench.features[setting.features]
            problem = replace(problem, features=pool[trial.rows], target_features=target)
        budget = 6 if setting.budget == 6 else 8
        expected = by_class.select(selector, problem, budget, trial.draw)
        assert found.rows.tolist() == trial.rows[expected.indices].tolist(), setting


def test_figures_of_a_coreset_are_those_of_assess_in_every_representation() -> None:
    bench, _ = planted()
    trial = trials(lab(), N)[-1]
    found = chosen(bench, trial)
    for name, (pool, target) in bench.features.items():
        problem = replace(bench.problem, features=pool, target_features=target).among(trial.rows)
        told = assess(problem, np.searchsorted(trial.rows, found.rows), 0.5)
        transport = found.figures[TRANSPORT + name]
        assert transport == pytest.approx(told["transport"] / told["max_distance"], rel=1e-12)
        assert transport - 0.5 * found.figures["gradient"] == pytest.approx(told["poo"], abs=1e-12)


def test_a_head_is_judged_as_scikit_learn_judges_its_own() -> None:
    """Without margins to begin at, where scikit-learn has the same problem."""
    bench, judge = planted(margins=False)
    trial = trials(lab(selectors={"random": [True]}), N)[0]
    found = chosen(bench, trial)
    (row,) = run(iter([(trial, found)]), Heads(bench.problem), judge, 0.1)
    states = bench.problem.scores["hidden"]
    unit = states.std(axis=0) * np.sqrt(D)
    x, test = ((side - states.mean(axis=0)) / unit for side in (states[found.rows], judge.hidden))
    x, test = (np.column_stack([side, np.ones(len(side))]) for side in (x, test))
    assert bench.problem.labels is not None
    fitted = LogisticRegression(C=1 / (0.1 * len(x)), fit_intercept=False, tol=1e-12, max_iter=10_000)
    chance = fitted.fit(x, bench.problem.labels[found.rows]).predict_proba(test)[:, 1]
    assert row["log_loss"] == pytest.approx(log_loss(judge.labels, chance), rel=1e-6)
    assert row["auc"] == pytest.approx(roc_auc_score(judge.labels, chance), rel=1e-12)
    users = [judge.users == user for user in np.unique(judge.users)]
    both = [mine for mine in users if 0 < judge.labels[mine].sum() < mine.sum()]
    own = [roc_auc_score(judge.labels[mine], chance[mine]) for mine in both]
    assert row["auc_per_user"] == pytest.approx(np.mean(own), rel=1e-12)
    assert 0 < len(both) < len(users)


def test_heads_begin_at_the_margins_of_the_start() -> None:
    bench, judge = planted()
    trial = trials(lab(), N)[0]
    heads, found = Heads(bench.problem), chosen(bench, trial)
    (row,) = run(iter([(trial, found)]), heads, judge, 1e9)
    assert row["auc"] == pytest.approx(roc_auc_score(judge.labels, judge.margin))
    rows = found.rows
    states, labels, margins = heads.pool[0][rows], heads.pool[1][rows], heads.pool[2][rows]
    assert (margins == bench.problem.scores["margin"][rows]).all()
    assert (heads.fit(heads.pool, rows, 0.1) == head.fit(states, labels, margins, 0.1)).all()


def test_no_test_row_has_a_say_in_what_is_chosen_or_in_the_penalty() -> None:
    """The judge is replaced by noise, and everything before the judgement stays as it was."""
    bench, judge = planted()
    noise = np.random.default_rng(9)
    noisy = Judge(
        noise.normal(size=judge.hidden.shape),
        noise.normal(size=judge.margin.shape),
        noise.permutation(judge.labels),
        judge.users,
    )
    heads = Heads(bench.problem)
    best, _ = penalty(lab(), heads)
    one, other = (list(run(tried(bench, trials(lab(), N), 1), heads, who, best)) for who in (judge, noisy))
    told = {"log_loss", "auc", "auc_per_user"}
    for first, second in zip(one, other, strict=True):
        assert first["rows"].tolist() == second["rows"].tolist()
        assert {k: first[k] for k in first.keys() - told - {"rows"}} == {
            k: second[k] for k in second.keys() - told - {"rows"}
        }
        assert first["log_loss"] != second["log_loss"]


def test_the_number_of_processes_changes_nothing() -> None:
    bench, _ = planted()
    todo = trials(lab(draws=1), N)
    one, two = (list(tried(bench, todo, workers)) for workers in (1, 2))
    for (_, first), (_, second) in zip(one, two, strict=True):
        assert first.rows.tolist() == second.rows.tolist()
        assert first.figures == second.figures


def test_what_a_selector_refuses_comes_out_of_a_process_as_it_is() -> None:
    bench, _ = planted()
    todo = trials(lab(selectors={"grand": [True], "goracs": [True]}, budgets=[39], draws=1), N)
    with pytest.raises(InvalidInput, match="budget 39 by class"):
        list(tried(replace(bench, problem=one_class(bench.problem)), todo, 2))


def one_class(problem: SelectionProblem) -> SelectionProblem:
    return replace(problem, target_labels=np.ones(M, np.int64))


def test_the_penalty_is_the_best_on_validation_of_random_coresets() -> None:
    bench, _ = planted()
    heads = Heads(bench.problem)
    best, curve = penalty(lab(penalties=[1e-4, 0.05, 1e4]), heads)
    assert best == 0.05
    assert [point["penalty"] for point in curve] == [1e-4, 0.05, 1e4]
    rows = [
        np.random.default_rng([draw, place]).choice(pool, budget, replace=False)
        for draw, pool in enumerate(redrawn(lab(), N))
        for place, budget in enumerate((6, 8))
    ]
    target, labels, offsets = heads.target
    losses = [
        log_loss(labels, 1 / (1 + np.exp(-head.margins(heads.fit(heads.pool, one, 0.05), target, offsets))))
        for one in rows
    ]
    assert curve[1]["loss"] == pytest.approx(np.mean(losses), rel=1e-12)


def test_ceilings_are_the_pools_and_the_validation_rows() -> None:
    bench, judge = planted()
    heads = Heads(bench.problem)
    found = list(ceilings(lab(), heads, judge, 0.1))
    counted = [(row["ceiling"], row["budget"]) for row in found]
    assert counted == [
        *[("whole pool", 40)] * 2,
        ("validation rows, all", M),
        *[("validation rows", 6)] * 2,
        *[("validation rows", 8)] * 2,
    ]
    weights = heads.fit(heads.target, np.arange(M), 0.1)
    expected = judge.figures(head.margins(weights, heads.others(judge.hidden), judge.margin))
    assert {name: found[2][name] for name in expected} == expected


def test_auc_counts_ties_half_and_is_not_a_number_for_one_class() -> None:
    rng = np.random.default_rng(1)
    margins, labels = rng.integers(0, 4, 30).astype(float), rng.integers(0, 2, 30)
    judge = Judge(np.empty((30, 0)), margins, labels, np.zeros(30, np.int64))
    yes = labels == 1
    won = (rankdata(margins)[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())
    assert judge.figures(margins)["auc"] == pytest.approx(won)
    one = Judge(np.empty((30, 0)), margins, np.ones(30, np.int64), np.zeros(30, np.int64))
    assert np.isnan([one.figures(margins)[name] for name in ("auc", "auc_per_user")]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selectors": {}}, "lab.selectors must map at least one name"),
        ({"selectors": {"random": []}}, "lab.selectors.random must be a list"),
        ({"selectors": {"random": [True, True]}}, "lab.selectors.random names one twice"),
        ({"features": "hidden"}, "lab.features must be a list"),
        ({"lams": [-0.1]}, "lab.lams must be numbers >= 0, or auto"),
        ({"lams": ["best"]}, "lab.lams must be numbers >= 0, or auto"),
        ({"budgets": [41]}, "budget 41 is larger than the pool"),
        ({"budgets": []}, "lab.budgets must be a list"),
        ({"draws": 0}, "lab.draws must be a whole number >= 1"),
        ({"workers": 0}, "lab.workers must be a whole number >= 1"),
        ({"penalties": [0]}, "lab.penalties must be numbers > 0"),
    ],
)
def test_nothing_to_try_and_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        lab(**changes)


def test_a_pool_that_is_too_small_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"lab.pool=40 is more than the 39 rows of the pool"):
        redrawn(lab(), 39)


def test_a_selector_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no selector 'best'; the selectors: .*el2n"):
        settings(lab(selectors={"best": [True]}))


def test_heads_refuse_a_task_of_texts() -> None:
    bench, _ = planted()
    with pytest.raises(InvalidInput, match="these examples have no labels"):
        Heads(replace(bench.problem, labels=None, target_labels=None))
