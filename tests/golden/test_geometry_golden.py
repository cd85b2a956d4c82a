"""Selection by geometry against the authors' own functions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goracs.selection.d2 import D2, _Graph
from goracs.selection.facility_location import FacilityLocation
from goracs.selection.herding import Herding
from goracs.selection.moderate import Moderate
from goracs.types import IndexArray, SelectionProblem

HERE = Path(__file__).parent
deepcore, d2 = np.load(HERE / "deepcore.npz"), np.load(HERE / "d2_moderate.npz")


def chosen(selector: Any, features: Any, budget: int, **given: Any) -> IndexArray:
    problem = SelectionProblem(features, features[:1], **given)
    found: IndexArray = selector.select(problem, budget, np.random.default_rng(0)).indices
    return found


@pytest.mark.parametrize("k", range(2))
def test_herding_equals_the_textbook(k: int) -> None:
    """DeepCore takes the arg-max of |t mu - sum - x|: its rows' mean is farther off than random ones'."""
    features, budget = deepcore[f"herd{k}_X"], int(deepcore[f"herd{k}_budget"])
    rows = chosen(Herding(by_class=False), features, budget)
    np.testing.assert_array_equal(rows, deepcore[f"herd{k}_textbook_argmin_sorted"])
    off = [
        np.linalg.norm(features[found].mean(axis=0) - features.mean(axis=0))
        for found in (rows, deepcore[f"herd{k}_deepcore_argmax_sorted"])
    ]
    assert off[0] < 0.1 * off[1]


@pytest.mark.parametrize("rate", [20, 50, 73])
def test_moderate_keeps_what_its_authors_do_not_drop(rate: int) -> None:
    features, dropped = d2["mod_X"], d2[f"mod_rate{rate}_ids"]
    kept = np.setdiff1d(np.arange(len(features)), dropped)
    labels = {"labels": d2["mod_t"], "target_labels": d2["mod_t"][:1]}
    np.testing.assert_array_equal(chosen(Moderate(by_class=False), features, len(kept), **labels), kept)


@pytest.mark.parametrize("k", range(2))
def test_facility_location_equals_deepcore(k: int) -> None:
    features, budget = deepcore[f"sub{k}_X"], int(deepcore[f"sub{k}_budget"])
    rows = chosen(FacilityLocation(by_class=False), features, budget)
    np.testing.assert_array_equal(rows, deepcore[f"sub{k}_FacilityLocation_LazyGreedy"])


@pytest.mark.parametrize("k", [0, 3, 4])
def test_d2_equals_its_authors_where_values_are_summed_and_picks_weighted(k: int) -> None:
    """Their cases 1 and 2 are variants (absolute, product) that goracs does not have."""
    selector = D2("el2n", int(d2[f"d2_{k}_k"]), float(d2[f"d2_{k}_gamma"]), by_class=False)
    rows = chosen(selector, d2[f"d2_{k}_X"], int(d2[f"d2_{k}_N"]), scores={"el2n": d2[f"d2_{k}_score"]})
    np.testing.assert_array_equal(rows, d2[f"d2_{k}_selected_sorted"])


@pytest.mark.parametrize("k", range(5))
def test_the_graph_of_d2_has_its_authors_edges(k: int) -> None:
    graph = _Graph.of(d2[f"d2_{k}_X"], int(d2[f"d2_{k}_k"]))
    here, there = np.nonzero(d2[f"d2_{k}_connect"])
    np.testing.assert_array_equal(graph.there, there)
    np.testing.assert_array_equal(np.diff(graph.starts), np.bincount(here))
