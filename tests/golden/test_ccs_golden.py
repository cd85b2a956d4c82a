"""Strata, budgets and draws against the authors' code of CCS, budgets against DEALRec's too.

Theirs sorts groups of equal size in any order, so which of them gets what is left over is not compared.
"""

from pathlib import Path

import numpy as np
import pytest

from goracs.selection import strata
from goracs.selection.ccs import Ccs, equal_width
from goracs.selection.scores import ascending
from goracs.types import FloatArray, IndexArray, SelectionProblem

ccs, dealrec = (np.load(Path(__file__).parent / f"{name}.npz") for name in ("ccs", "dealrec"))
CASES = [name.removesuffix("_num") for name in ccs.files if name.endswith("_num")]
NEGATIVE = [case for case in CASES if case.startswith("neg")]


def problem(**scores: FloatArray) -> SelectionProblem:
    count = len(next(iter(scores.values())))
    return SelectionProblem(np.empty((count, 0)), np.empty((1, 0)), scores=scores)


def pairs(sizes: IndexArray, budgets: IndexArray) -> list[tuple[int, int]]:
    return sorted(zip(sizes.tolist(), budgets.tolist(), strict=True))


def counted(of: IndexArray) -> IndexArray:
    return np.bincount(of, minlength=50)


@pytest.mark.parametrize("case", sorted(set(CASES) - set(NEGATIVE)))
def test_strata_equal_the_authors(case: str) -> None:
    of = equal_width(ccs[f"{case}_score"].astype(float), 50)
    np.testing.assert_array_equal(counted(of), ccs[f"{case}_bins"])
    np.testing.assert_array_equal(counted(of[ccs[f"{case}_selected_seed0"]]), ccs[f"{case}_budgets"])


@pytest.mark.parametrize("case", NEGATIVE)
def test_the_largest_of_negative_scores_has_a_stratum(case: str) -> None:
    """Theirs multiplies the maximum by 1.0001, which is below a negative one: that row is in no stratum."""
    score, bins = ccs[f"{case}_score"].astype(float), ccs[f"{case}_bins"]
    of = equal_width(score, 50)
    np.testing.assert_array_equal(counted(of) - bins, np.eye(50)[-1])
    assert of[score.argmax()] == 49
    assert bins.sum() == len(score) - 1


@pytest.mark.parametrize("case", CASES)
def test_budgets_equal_the_authors(case: str) -> None:
    bins = ccs[f"{case}_bins"]
    found = strata.budgets(bins, int(ccs[f"{case}_num"]))
    assert pairs(bins, found) == pairs(bins, ccs[f"{case}_budgets"])


@pytest.mark.parametrize("case", sorted(set(CASES) - set(NEGATIVE)))
def test_the_draw_takes_from_each_stratum_what_the_authors_does(case: str) -> None:
    score, bins = ccs[f"{case}_score"], ccs[f"{case}_bins"]
    selector = Ccs(score="el2n", hardest="largest", beta=0, strata=50, by_class=False)
    found = selector.select(problem(el2n=score), int(ccs[f"{case}_num"]), np.random.default_rng(0))
    of = equal_width(score.astype(float), 50)
    assert pairs(bins, counted(of[found.indices])) == pairs(bins, ccs[f"{case}_budgets"])


def test_the_hardest_rows_are_those_the_authors_drop() -> None:
    """Theirs drops by the margin and draws by another score; ours by one: the steps are compared apart."""
    margin, el2n = ccs["full_aum"], ccs["full_el2n"]
    dropped = int(ccs["full_mis_ratio"] * len(margin))
    kept = ascending(problem(aum=margin), margin)[dropped:]
    np.testing.assert_array_equal(np.sort(kept), np.sort(ccs["full_kept_after_mask"]))
    picked = strata.draw(equal_width(el2n[kept].astype(float), 50), 30, np.random.default_rng(0))
    theirs = np.isin(kept, ccs["full_selected_seed0"])
    of = equal_width(el2n[kept].astype(float), 50)
    assert pairs(counted(of), counted(of[picked])) == pairs(counted(of), counted(of[theirs]))
    selector = Ccs(score="aum", hardest="smallest", beta=0.3, strata=50, by_class=False)
    everything = selector.select(problem(aum=margin), len(kept), np.random.default_rng(0))
    np.testing.assert_array_equal(everything.indices, np.sort(kept))


@pytest.mark.parametrize("k", range(4))
def test_budgets_equal_dealrecs(k: int) -> None:
    """dr3 asks for 95 rows of groups that hold 90; a caller of ours must leave as many."""
    sizes = dealrec[f"dr{k}_group_sizes"]
    found = strata.budgets(sizes, min(int(dealrec[f"dr{k}_n"]), int(sizes.sum())))
    assert pairs(sizes, found) == pairs(sizes, dealrec[f"dr{k}_group_budgets"])
