"""TAROT against values made by its authors' code."""

from pathlib import Path

import numpy as np

from goracs.features.representation import unit
from goracs.selection import tarot

golden = np.load(Path(__file__).parent / "tarot.npz")
POOL, TARGET = golden["cand"].astype(np.float64), golden["target"].astype(np.float64)
HALF = 2e-3  # their features are kept and multiplied in float16


def test_layers_and_potentials_equal_the_authors() -> None:
    """Of their features: one whole layer, and one of the seven new rows of the second."""
    features, targets = golden["cand_feat"].astype(np.float64), golden["target_feat"].astype(np.float64)
    rows, layers, by_potential = tarot.layered(features, targets, len(golden["sel_fixed_size"]))
    assert np.sort(rows).tolist() == golden["sel_fixed_size"].tolist()
    assert (layers, by_potential) == (1, 1)


def test_the_released_whitening_leaves_gradients_correlated_and_ours_does_not() -> None:
    """They multiply rows by L^-1, where X L^-T has covariance I: our features are not theirs, on purpose."""
    both = np.concatenate([POOL, TARGET])
    centred = both - both.mean(axis=0)
    covariance = centred.T @ centred / len(both) + float(golden["reg"]) * np.eye(6)
    theirs = centred @ np.linalg.inv(np.linalg.cholesky(covariance))
    np.testing.assert_allclose(unit(theirs)[:40], golden["cand_feat"], atol=HALF)
    assert abs(theirs.T @ theirs / len(both) - np.eye(6)).max() > 1
    ours = np.concatenate(tarot.whitened(POOL, TARGET, 1e-12))
    np.testing.assert_allclose(ours.T @ ours / len(both), np.eye(6), atol=1e-6)
    assert abs(unit(ours)[:40] - golden["cand_feat"]).max() > 0.1
