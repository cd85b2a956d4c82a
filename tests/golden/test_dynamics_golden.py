"""What methods make of training dynamics, against values made by their authors' code."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from goracs import select
from goracs.selection.aum import Aum
from goracs.selection.forgetting import events, forgotten
from goracs.selection.tdds import depths
from goracs.types import FloatArray, SelectionProblem

HERE = Path(__file__).parent
deepcore, ccs, tdds = (np.load(HERE / f"{name}.npz") for name in ("deepcore", "ccs", "tdds"))
ROUNDING = 1e-12  # float64 sums in another order


def dynamics(name: str, values: FloatArray) -> SelectionProblem:
    return SelectionProblem(np.empty((len(values), 0)), np.empty((1, 0)), scores={name: values})


def test_forgetting_events_equal_deepcores_and_data_diets() -> None:
    """No row of these is never right; DeepCore takes such a row for never forgotten, we go by its source."""
    right = deepcore["forget_acc"].T == 1
    np.testing.assert_array_equal(events(right), deepcore["forget_deepcore"])
    np.testing.assert_array_equal(forgotten(right), deepcore["forget_datadiet_counts"])
    assert len(deepcore["forget_datadiet_never_correct"]) == 0
    margins = np.where(right, 1.0, -1.0)
    found = select(dynamics("right_margins", margins), 2, "forgetting").indices
    kept = set(np.argsort(-deepcore["forget_deepcore"], kind="stable")[:1].tolist())  # 3 events, the others 2
    assert kept < set(found.tolist())


def test_forgetting_and_the_area_under_the_margin_equal_those_of_ccs() -> None:
    """Its margins are of chances, its area a sum, which ranks as the mean does.

    It takes rows that are never right for never forgotten; here they come first, as in Toneva et al.'s code.
    """
    output, target = softmax(ccs["td_logits"], axis=2).transpose(1, 0, 2), ccs["td_targets"]
    mine = np.arange(output.shape[2]) == target[:, None, None]
    margins = (output * mine).sum(axis=2) - np.where(mine, -np.inf, output).max(axis=2)
    right = output.argmax(axis=2) == target[:, None]
    np.testing.assert_array_equal(right, margins > 0)
    np.testing.assert_array_equal(events(right), ccs["td_forgetting"])
    np.testing.assert_array_equal(right.sum(axis=1), ccs["td_correctness"])
    never = ccs["td_correctness"] == 0
    np.testing.assert_array_equal(forgotten(right)[~never], ccs["td_forgetting"][~never])
    np.testing.assert_array_equal(forgotten(right)[never], np.full(never.sum(), right.shape[1]))
    np.testing.assert_allclose(margins.sum(axis=1), ccs["td_aum"], rtol=1e-6)  # theirs are float32
    order = np.argsort(ccs["td_aum"])
    for budget in (1, 4, 11):
        found = Aum("smallest", by_class=False).select(
            dynamics("right_margins", margins), budget, np.random.default_rng(0)
        )
        np.testing.assert_array_equal(found.indices, np.sort(order[:budget]))


def test_tdds_equals_its_authors() -> None:
    """Four classes; in every epoch their logits come in another order of rows."""
    logits = np.stack(
        [epoch[np.argsort(at)] for epoch, at in zip(tdds["logits"], tdds["index"], strict=True)]
    )
    chances = softmax(logits, axis=2).transpose(1, 0, 2)
    found = depths(chances, int(tdds["window"]), float(tdds["decay"]))
    np.testing.assert_allclose(found, tdds["score"], rtol=ROUNDING)
    np.testing.assert_array_equal(np.argsort(found), tdds["ascending_order"])


@pytest.mark.parametrize("window", [3, 5, None])
def test_with_yes_and_no_tdds_is_the_authors_sum_over_both(window: int | None) -> None:
    margins = np.random.default_rng(0).normal(size=(9, 6)) * 3
    pair = softmax(np.stack([margins, np.zeros_like(margins)], axis=2), axis=2)
    best = np.argsort(-depths(pair, window or 6, 0.9))[:4]
    given = dynamics("answer_losses", np.logaddexp(0, -margins))
    np.testing.assert_array_equal(select(given, 4, "tdds", window=window).indices, np.sort(best))
