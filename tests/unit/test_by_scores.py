"""The methods that go by scores: ranked, blend, ccs and the draw over strata."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goracs import select
from goracs.selection import strata
from goracs.selection.blend import Blend
from goracs.selection.ccs import Ccs, equal_width
from goracs.selection.el2n import El2n
from goracs.selection.grand import GraNd
from goracs.selection.ranked import Ranked
from goracs.types import FloatArray, InvalidInput, SelectionProblem, Selector

ROUNDING = 1e-12  # one sum of two terms of order 1
N = 30


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def problem(**scores: Any) -> SelectionProblem:
    draw = np.random.default_rng(5)
    made = {"entropy": draw.random(N), "loss": draw.random(N), "el2n": draw.random(N)} | scores
    return SelectionProblem(
        draw.normal(size=(N, 2)),
        draw.normal(size=(3, 2)),
        scores={name: np.asarray(score) for name, score in made.items()},
    )


def rows(selector: Selector, given: SelectionProblem, budget: int) -> list[int]:
    found: list[int] = selector.select(given, budget, rng()).indices.tolist()
    return found


def ranked(keep: Any, score: str = "entropy") -> Ranked:
    return Ranked(score=score, keep=keep, by_class=False)


def blend(**changed: Any) -> Blend:
    fields = {"first": "entropy", "second": "loss", "weight": 0.5, "scale": "minmax", "by_class": False}
    return Blend(**{**fields, **changed})


def ccs(**changed: Any) -> Ccs:
    fields = {"score": "el2n", "hardest": "largest", "beta": 0.0, "strata": 5, "by_class": False}
    return Ccs(**{**fields, **changed})


@pytest.mark.parametrize("budget", [1, 2, 7, 29, 30])
def test_ranked_equals_a_part_of_the_sorted_scores(budget: int) -> None:
    scores = problem().scores["entropy"]
    low_first = sorted(range(N), key=lambda row: scores[row])
    above = -(-(N - budget) // 2)
    parts = {
        "smallest": low_first[:budget],
        "largest": low_first[N - budget :],
        "middle": low_first[N - budget - above : N - above],
    }
    for keep, expected in parts.items():
        found = ranked(keep).select(problem(), budget, rng())
        assert found.indices.tolist() == sorted(expected), keep
        ends = [found.report["smallest_kept"], found.report["largest_kept"]]
        assert ends == [scores[expected[0]], scores[expected[-1]]]


def test_the_middle_is_left_by_as_many_rows_on_both_sides() -> None:
    given = problem(entropy=np.arange(float(N))).among(np.arange(9))
    assert rows(ranked("middle"), given, 3) == [3, 4, 5]
    assert rows(ranked("middle"), given, 2) == [3, 4]


@pytest.mark.parametrize("keep", ["largest", "smallest", "middle"])
def test_a_band_of_the_answer_s_loss_is_one_of_its_perplexity(keep: str) -> None:
    loss = np.random.default_rng(1).random(N) * 5
    given = problem(answer_loss=loss, perplexity=np.exp(loss))
    assert rows(ranked(keep, "answer_loss"), given, 7) == rows(ranked(keep, "perplexity"), given, 7)


def test_ranked_equals_el2n_and_grand_of_their_scores() -> None:
    given = problem(gradient_norm=np.random.default_rng(2).integers(0, 4, N))
    assert rows(ranked("largest", "el2n"), given, 9) == rows(El2n(by_class=False), given, 9)
    assert rows(ranked("largest", "gradient_norm"), given, 9) == rows(GraNd(by_class=False), given, 9)


def test_ranked_equals_the_class_budgets_of_each_class_s_largest() -> None:
    given = replace(problem(), labels=np.arange(N) % 2, target_labels=np.array([0, 1, 1]))
    found = select(given, 6, "ranked", by_class=True).indices
    scores = given.scores["entropy"]
    falling = sorted(range(N), key=lambda row: -scores[row])
    even, odd = ([row for row in falling if row % 2 == k] for k in (0, 1))
    assert found.tolist() == sorted(even[:2] + odd[:4])


@pytest.mark.parametrize("scale", ["minmax", "rank"])
@pytest.mark.parametrize("weight", [0, 0.5, -2.0, 1e6])
def test_blend_equals_the_largest_sums_of_scaled_scores(scale: str, weight: float) -> None:
    given = problem()
    first, second = (by_hand(given.scores[name], scale) for name in ("entropy", "loss"))
    sums = [a + weight * b for a, b in zip(first, second, strict=True)]
    best = sorted(range(N), key=lambda row: -sums[row])[:8]
    found = blend(weight=weight, scale=scale).select(given, 8, rng())
    assert found.indices.tolist() == sorted(best)
    assert found.report["smallest_kept"] == pytest.approx(sums[best[-1]], rel=ROUNDING)
    assert found.report["correlation"] == pytest.approx(np.corrcoef(first, second)[0, 1], abs=ROUNDING)


def by_hand(scores: FloatArray, scale: str) -> list[float]:
    values = scores.tolist()
    if scale == "rank":
        values = [float(sorted(values).index(value)) for value in values]
    return [(value - min(values)) / (max(values) - min(values)) for value in values]


def test_tied_ranks_are_their_mean() -> None:
    """Ranks 1, 2.5, 2.5, 4 of the first, times -1 of the second: 1, 2, 3, 4."""
    given = SelectionProblem(
        np.arange(4.0)[:, None],
        np.zeros((1, 1)),
        scores={"entropy": np.array([1.0, 2.0, 2.0, 9.0]), "loss": np.array([0.0, 5.0, 4.0, 9.0])},
    )
    assert rows(blend(scale="rank", weight=-1.0), given, 1) == [2]
    assert rows(blend(scale="rank", weight=-1.0), given, 3) == [0, 2, 3]


def test_a_blend_by_rank_is_unchanged_by_a_monotone_change_of_a_score() -> None:
    scores = problem().scores
    bent = problem(entropy=np.exp(9 * scores["entropy"]), loss=scores["loss"] ** 3)
    assert rows(blend(scale="rank"), bent, 8) == rows(blend(scale="rank"), problem(), 8)
    assert rows(blend(), bent, 8) != rows(blend(), problem(), 8)


@pytest.mark.parametrize("scale", ["minmax", "rank"])
def test_a_blend_with_a_constant_score_goes_by_the_other_and_says_so(scale: str) -> None:
    given = problem(loss=np.full(N, 7.0))
    found = blend(scale=scale, weight=3.0).select(given, 8, rng())
    assert found.indices.tolist() == rows(ranked("largest"), given, 8)
    assert found.report["correlation"] is None
    assert found.report["warnings"] == ["the score 'loss' is equal for all rows: it tells none from another."]


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8), data=st.data())
def test_strata_give_as_evenly_as_their_sizes_allow(sizes: list[int], data: st.DataObject) -> None:
    """n in all; none more than it has; one that is not used up gets at most one row less than any other."""
    budget = data.draw(st.integers(0, sum(sizes)))
    given = strata.budgets(np.array(sizes), budget).tolist()
    assert sum(given) == budget
    assert all(0 <= share <= size for share, size in zip(given, sizes, strict=True))
    assert all(share >= max(given) - 1 for share, size in zip(given, sizes, strict=True) if share < size)


def test_rows_of_a_stratum_are_drawn_alike() -> None:
    """Strata of 2, 4 and 6 rows and n = 6: each gives two, so the rows' chances are 1, 1/2 and 1/3."""
    of, draws, counts = np.repeat([7, 3, 5], [2, 4, 6]), 1200, np.zeros(12)
    for seed in range(draws):
        counts[strata.draw(of, 6, np.random.default_rng(seed))] += 1
    expected = np.repeat([1.0, 1 / 2, 1 / 3], [2, 4, 6])
    assert (abs(counts / draws - expected) < 0.075).all()  # 5 standard deviations of at most .0145


@pytest.mark.parametrize("hardest", ["largest", "smallest"])
def test_ccs_never_draws_the_hardest_and_covers_the_rest(hardest: str) -> None:
    given = problem(el2n=np.random.default_rng(8).permutation(N))
    scores = given.scores["el2n"]
    hard = scores >= 24 if hardest == "largest" else scores < 6
    seen: set[int] = set()
    for seed in range(60):
        found = ccs(hardest=hardest, beta=0.2).select(given, 5, np.random.default_rng(seed))
        seen |= set(found.indices.tolist())
        of = equal_width(scores[~hard].astype(float), 5)
        drawn = np.isin(np.flatnonzero(~hard), found.indices)
        assert sorted(of[drawn].tolist()) == [0, 1, 2, 3, 4]  # one of each stratum
    assert seen == set(np.flatnonzero(~hard).tolist())
    assert found.report == {"left_out": 6, "strata": 5, "warnings": []}


def test_ccs_takes_the_least_hard_where_the_budget_needs_them() -> None:
    found = ccs(beta=0.5).select(problem(el2n=np.arange(N)), 27, rng())
    assert found.indices.tolist() == list(range(27))
    assert found.report["left_out"] == 3
    assert found.report["warnings"] == ["3 of the 15 hardest rows are left out: the budget takes the rest."]


def test_ccs_of_a_constant_score_is_a_uniform_draw_and_says_so() -> None:
    for value in (0.0, 4.0, -4.0):
        found = ccs().select(problem(el2n=np.full(N, value)), 9, rng())
        assert found.report["strata"] == 1
        assert "equal for all rows" in found.report["warnings"][0]


@given(st.lists(st.floats(-1e3, 1e3, width=16), min_size=1, max_size=20), st.integers(1, 60))
@example([-1000.0, -999.99], 50)  # a range below a ten-thousandth of a negative maximum
def test_strata_rise_with_the_score_and_hold_every_row(values: list[float], count: int) -> None:
    of = equal_width(np.array(values), count)
    assert ((of >= 0) & (of < count)).all()
    assert (np.diff(of[np.argsort(values)]) >= 0).all()
    assert of[int(np.argmin(values))] == 0


FAR = 1.5e308 * np.linspace(-1, 1, N)
BAD: list[tuple[Any, dict[str, Any], str]] = [
    (ranked("most"), {}, "selector ranked: keep must be largest, smallest or middle, got 'most'"),
    (
        ranked("largest", "ifd"),
        {},
        "selector ranked needs the score 'ifd'; the problem has: el2n, entropy, l",
    ),
    (ranked("largest"), {"entropy": np.ones((N, 2))}, r"'entropy' must be one number .* shape \(30, 2\)"),
    (blend(scale="sum"), {}, "selector blend: scale must be minmax or rank, got 'sum'"),
    (blend(weight=True), {}, "selector blend: weight must be a finite number, got True"),
    (blend(weight=np.inf), {}, "selector blend: weight must be a finite number, got inf"),
    (blend(second="lead"), {}, "selector blend needs the score 'lead'"),
    (blend(), {"loss": FAR}, "a score from -1.5e[+]308 to 1.5e[+]308 spans more than float64 holds"),
    (ccs(), {"el2n": FAR}, "spans more than float64 holds"),
    (ccs(score="lead"), {}, "selector ccs needs the score 'lead'"),
    (ccs(hardest="top"), {}, "selector ccs: hardest must be largest or smallest, got 'top'"),
    (ccs(beta=1.0), {}, "selector.beta must be a share, 0 <= beta < 1, got 1.0"),
    (ccs(beta=-0.1), {}, "beta must be a share, 0 <= beta < 1, got -0.1"),
    (ccs(strata=0), {}, "selector ccs: strata must be a whole number >= 1, got 0"),
    (ccs(strata=2.0), {}, "strata must be a whole number >= 1, got 2.0"),
]


@pytest.mark.parametrize(("selector", "scores", "message"), BAD)
def test_what_does_not_fit_is_refused(selector: Any, scores: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        selector.select(problem(**scores), 3, rng())
