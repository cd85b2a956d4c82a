"""AUC, AUC per user and log-loss against scikit-learn, torchmetrics and fractions worked by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from goracs.evaluation.bootstrap import user_weights
from goracs.evaluation.ctr import BINS, ctr_metrics, log_losses, plain_auc, resampled, weighted_auc
from goracs.types import FloatArray, IndexArray, InvalidInput

ROUNDING = 1e-12  # float64 sums in another order
SINGLE = 1e-6  # torchmetrics divides in float32


def tied_samples(seed: int) -> tuple[FloatArray, IndexArray, list[str]]:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(scale=3.0, size=300), 0)
    labels = (rng.random(300) < 0.5 + 0.05 * scores).astype(np.int64)
    return scores, labels, [f"u{user}" for user in rng.integers(0, 40, 300)]


def measured(scores: Any, labels: Any, users: Any, **changes: Any) -> dict[str, dict[str, Any]]:
    settings: dict[str, Any] = {"scores_are": "logit_margin", "draws": 200, "seed": 0} | changes
    return ctr_metrics(np.array(scores), np.array(labels), users, **settings)


@pytest.mark.parametrize("seed", range(3))
def test_ctr_metrics_equals_scikit_learn(seed: int) -> None:
    scores, labels, users = tied_samples(seed)
    found = measured(scores, labels, users)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=SINGLE)
    chance = 1 / (1 + np.exp(-scores))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(labels, chance), abs=ROUNDING)
    owned = np.array(users)
    both = [u for u in sorted(set(users)) if len(set(labels[owned == u])) == 2]
    each = [roc_auc_score(labels[owned == u], scores[owned == u]) for u in both]
    assert found["auc_per_user"]["value"] == pytest.approx(np.mean(each), abs=ROUNDING)
    assert [found[name]["n"] for name in ("auc", "auc_per_user", "log_loss")] == [300, len(both), 300]
    counts = [found[name]["users"] for name in ("auc", "auc_per_user", "log_loss")]
    assert counts == [len(set(users)), len(both), len(set(users))]


def test_ece_is_the_mean_distance_of_chance_and_share_over_bins() -> None:
    scores, labels, users = tied_samples(3)
    chance = 1 / (1 + np.exp(-scores))
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    parts = [bins == one for one in np.unique(bins)]
    expected = sum(part.mean() * abs(chance[part].mean() - labels[part].mean()) for part in parts)
    found = measured(scores, labels, users)["ece"]
    assert found["value"] == pytest.approx(expected, abs=SINGLE)
    assert (found["low"], found["high"], found["n"]) == (None, None, 300)


def test_a_share_is_no_chance_that_could_be_calibrated() -> None:
    found = measured([0.2, 0.7], [0, 1], ["a", "b"], scores_are="share")
    assert found["ece"]["value"] is None


def test_weighted_auc_equals_scikit_learn_with_sample_weights() -> None:
    scores, labels, _ = tied_samples(7)
    weights = np.random.default_rng(1).integers(0, 4, (20, 300)).astype(np.float64)
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(weighted_auc(scores, labels, weights), expected, rtol=0, atol=ROUNDING)


def test_ctr_metrics_equals_fractions_worked_by_hand() -> None:
    """Pairs (Yes, No): 2 over 1, 2 over 2 (half), 3 over 1, 3 over 2 = 3.5 of 4.

    User a has Yes 2 against No 1 (1) and user b Yes 3 against No 2 (1), user c one class only.
    """
    found = measured([2.0, 1.0, 3.0, 2.0], [1, 0, 1, 0], ["a", "a", "b", "b"])
    assert found["auc"]["value"] == 3.5 / 4
    assert found["auc_per_user"]["value"] == 1.0
    found = measured([2.0, 1.0, 3.0, 4.0, 9.0], [1, 0, 1, 0, 1], ["a", "a", "b", "b", "c"])
    assert found["auc_per_user"] == {"value": 0.5, "low": 0.0, "high": 1.0, "n": 2, "users": 2}


def test_ctr_metrics_keeps_the_auc_inside_its_interval() -> None:
    scores, labels, users = tied_samples(2)
    found = measured(scores, labels, users)
    for figure in (found[name] for name in found.keys() - {"ece"}):
        assert figure["low"] < figure["value"] < figure["high"]


def test_ctr_metrics_equals_itself_for_one_seed_and_differs_for_another() -> None:
    scores, labels, users = tied_samples(2)
    assert measured(scores, labels, users) == measured(scores, labels, users)
    assert measured(scores, labels, users) != measured(scores, labels, users, seed=1)


def test_ctr_metrics_never_invents_an_auc_for_one_class() -> None:
    found = measured([0.0, 1.0, -1.0], [1, 1, 1], ["a", "b", "b"])
    assert found["auc"] == {"value": None, "low": None, "high": None, "n": 3, "users": 2}
    assert found["auc_per_user"] == {"value": None, "low": None, "high": None, "n": 0, "users": 0}
    assert found["log_loss"]["value"] is not None


def test_ctr_metrics_never_gives_an_interval_for_one_user() -> None:
    for figure in measured([0.0, 1.0, -1.0], [1, 1, 0], ["a", "a", "a"]).values():
        assert figure["value"] is not None
        assert (figure["low"], figure["high"]) == (None, None)


def test_ctr_metrics_never_gives_a_log_loss_for_a_share() -> None:
    found = measured([0.0, 1.0, 0.5], [0, 1, 0], ["a", "a", "b"], scores_are="share")
    assert found["auc"]["value"] == 1.0
    assert found["log_loss"] == {"value": None, "low": None, "high": None, "n": 3, "users": 2}


def test_log_losses_equals_the_margin_where_the_model_is_sure_and_wrong() -> None:
    losses = log_losses(np.array([1000.0, 1000.0, -1000.0, 0.0]), np.array([0, 1, 1, 1]))
    np.testing.assert_allclose(losses, [1000.0, 0.0, 1000.0, np.log(2)], rtol=0, atol=ROUNDING)


def test_plain_auc_is_unchanged_by_margins_that_a_sigmoid_makes_equal() -> None:
    """1 / (1 + exp(-x)) is 1 in float64 for 40, 50 and 60; their order must still count."""
    assert plain_auc(np.array([40.0, 50.0, 60.0]), np.array([1, 0, 1])) == 0.5
    assert plain_auc(np.array([40.0, 50.0, 60.0]), np.array([0, 1, 1])) == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [], "labels": [], "users": []}, r"at least one test sample"),
        ({"scores": [1.0]}, r"scores must be one per user entry \(2\), got shape \(1,\)"),
        ({"labels": [1]}, r"labels must be one per user entry \(2\), got shape \(1,\)"),
        ({"scores": [1.0, np.nan]}, r"must be finite, got nan in 1 rows, first row 1"),
        ({"labels": [1, 2]}, r"labels must be 0 or 1, got 2 in row 1"),
        ({"labels": [0.5, 1]}, r"labels must be 0 or 1, got 0.5 in row 0"),
        ({"scores": [0.5, 1.5], "scores_are": "share"}, r"shares must lie in \[0, 1\], got 0.5..1.5"),
        ({"scores_are": "logit"}, r"logit_margin or share, got 'logit'"),
        ({"draws": 0}, r"at least 1 draw, got 0"),
    ],
)
def test_ctr_metrics_refuses_bad_input(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"scores": [0.0, 1.0], "labels": [0, 1], "users": ["a", "b"]}
    with pytest.raises(InvalidInput, match=message):
        measured(**(good | changes))


def test_evaluation_never_imports_a_framework_before_it_is_needed() -> None:
    code = (
        "import sys, goracs.report.table;"
        "from goracs.evaluation import bootstrap, ctr, grounding, ranking;"
        "print(sorted({'torch', 'torchmetrics', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_resampled_equals_the_metrics_of_the_rows_drawn_again() -> None:
    """A user drawn twice is two users; one who is not drawn is none."""
    scores, labels, users = tied_samples(4)
    found = resampled(scores, labels, users, draws=6, seed=3)
    (weights,) = user_weights(users, draws=6, seed=3)
    for draw, weight in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(scores)), weight)
        copy = np.concatenate([np.arange(count) for count in weight])
        names = [f"{users[row]}-{twin}" for row, twin in zip(rows, copy, strict=True)]
        expected = measured(scores[rows], labels[rows], names, draws=1)
        assert found.keys() == expected.keys() - {"ece"}
        for name, drawn in found.items():
            assert drawn[draw] == pytest.approx(expected[name]["value"], abs=SINGLE)


def test_resampled_has_no_auc_where_a_class_is_not_drawn() -> None:
    found = resampled(np.array([1.0, -1.0]), np.array([1, 0]), ["a", "b"], draws=40, seed=0)
    assert np.isnan(found["auc"]).any()
    assert np.isnan(found["auc_per_user"]).all()
    assert np.isfinite(found["log_loss"]).all()
