"""How well Yes/No answers are predicted: AUC, AUC per user, log-loss, calibration.

Symbols      t = samples, b = weightings.
AUC          the chance that a Yes scores above a No, ties counting half. It looks at the order alone.
Per user     the unweighted mean of the AUC within each user who has both classes: a model that only knows who
             says Yes often has .5 here. Its interval resamples those users.
Log-loss     -log P(answer), natural logarithm, mean over samples; P(Yes) = 1 / (1 + exp(-margin)), computed
             from the margin, so that it is finite for every finite margin.
ECE          the expected calibration error over BINS equal bins of P(Yes): the mean over samples of how far a
             bin's mean P(Yes) is from its share of Yes. It has no interval: the fewer samples a bin has, the
             more is it biased upwards, a resample's above all.
Conventions  label 1 is Yes, 0 is No. What one class alone does not define is None, never a made-up .5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from goracs.evaluation.bootstrap import (
    Estimate,
    Users,
    checked_draws,
    estimate,
    mean_estimate,
    owners,
    user_weights,
)
from goracs.types import FloatArray, IndexArray, InvalidInput, numbers

BINS = 15  # of the ECE


def ctr_metrics(
    scores: FloatArray,
    labels: IndexArray,
    users: Users,
    *,
    scores_are: Literal["logit_margin", "share"],
    draws: int,
    seed: int,
) -> dict[str, dict[str, float | int | None]]:
    """The metrics `auc`, `auc_per_user`, `log_loss` and `ece`, each as {value, low, high, n, users}.

    Args:
        scores: [t] float; higher means rather Yes; finite.
        labels: [t] int; 1 = Yes, 0 = No.
        users: [t] the user of each sample.
        scores_are: "logit_margin" (logit of Yes minus logit of No) or "share" (of likes, in [0, 1]: it orders
            the samples but is no probability, so its log_loss and ece are None).
        draws: resamples of users, >= 1.
        seed: of the resamples.

    Returns:
        n is the number of samples, for auc_per_user of users with both classes; users is the number of those
        that the interval resamples, for auc_per_user again those with both classes.

    Raises:
        InvalidInput: no samples, lengths that differ, scores that are not finite, shares outside [0, 1],
            labels that are not 0 or 1.
    """
    checked_draws(users, draws, seed)
    scores = _checked_scores(numbers("scores", scores).astype(np.float64), len(users), scores_are)
    labels = _checked_labels(numbers("labels", labels), len(users))

    def resampled_auc(weights: FloatArray) -> FloatArray:
        return weighted_auc(scores, labels, weights)

    auc = estimate(plain_auc(scores, labels), resampled_auc, users, n=len(users), draws=draws, seed=seed)
    loss = ece = Estimate(None, None, None, len(users), len(set(users)))
    if scores_are == "logit_margin":
        loss = mean_estimate(log_losses(scores, labels), users, draws=draws, seed=seed)
        ece = replace(ece, value=calibration_error(scores, labels))
    per_user = _auc_per_user(scores, labels, users, draws, seed)
    figures = {"auc": auc, "auc_per_user": per_user, "log_loss": loss, "ece": ece}
    return {name: figure.to_dict() for name, figure in figures.items()}


def resampled(
    margins: FloatArray, labels: IndexArray, users: Users, *, draws: int, seed: int
) -> dict[str, FloatArray]:
    """The three metrics under resampled users: [draws] float64 each, NaN where one is not defined.

    One seed and one set of users give the same resamples for whatever margins: differences may be paired.
    (`ctr_metrics` draws for an AUC per user from those with both classes alone; here all are drawn.)

    Args:
        margins: [t] float64, finite.
        labels: [t] of 0 and 1.
        users: [t] the user of each sample.
        draws: resamples, >= 1.
        seed: of the resamples.
    """
    losses, (values, firsts) = log_losses(margins, labels), _users_aucs(margins, labels, users)
    found: dict[str, list[FloatArray]] = {"log_loss": [], "auc": [], "auc_per_user": []}
    for weights in user_weights(users, draws, seed):
        of_user = weights[:, firsts]
        found["log_loss"].append(weights @ losses / weights.sum(axis=1))
        found["auc"].append(weighted_auc(margins, labels, weights))
        total = of_user.sum(axis=1)
        mean = np.divide(of_user @ values, total, out=np.full(len(total), np.nan), where=total > 0)
        found["auc_per_user"].append(mean)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def calibration_error(margins: FloatArray, labels: IndexArray) -> float:
    """The ECE by torchmetrics, of margins [t] float64 and labels [t] of 0 and 1."""
    import torch
    from scipy.special import expit
    from torchmetrics.functional.classification import binary_calibration_error

    chance, yes = torch.from_numpy(expit(margins)), torch.from_numpy(labels)
    return float(binary_calibration_error(chance, yes, n_bins=BINS, norm="l1"))


def plain_auc(scores: FloatArray, labels: IndexArray) -> float | None:
    """The AUC by torchmetrics (float32 arithmetic), or None where a class is absent.

    torchmetrics squashes scores outside [0, 1] by a sigmoid, which makes large margins equal; it is given the
    scores' ranks, mapped into [0, 1), instead.

    Args:
        scores: [t] float64, finite.
        labels: [t] of 0 and 1.
    """
    if labels.min() == labels.max():
        return None
    import torch
    from torchmetrics.functional.classification import binary_auroc

    order = np.unique(scores, return_inverse=True)[1] / len(scores)
    return float(binary_auroc(torch.from_numpy(order), torch.from_numpy(labels)))


def weighted_auc(scores: FloatArray, labels: IndexArray, weights: FloatArray) -> FloatArray:
    """The AUC under many weightings of the samples at once.

    Law: weights of 1 give the AUC; a weight k counts as k copies of the sample.

    Args:
        scores: [t] float64, finite.
        labels: [t] of 0 and 1.
        weights: [b, t] float64, >= 0; exact where they are whole numbers.

    Returns:
        [b] float64, NaN where a class has no weight.

    Cost: O(t log t + b t) time, O(b t) memory.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    is_yes = labels[order] == 1
    weights = weights[:, order]
    yes = np.add.reduceat(np.where(is_yes, weights, 0.0), starts, axis=1)
    no = np.add.reduceat(np.where(is_yes, 0.0, weights), starts, axis=1)
    won = (yes * (np.cumsum(no, axis=1) - no / 2)).sum(axis=1)
    pairs = yes.sum(axis=1) * no.sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def log_losses(margins: FloatArray, labels: IndexArray) -> FloatArray:
    """[t] float64: -log P(answer) of each sample, in nats; finite for finite margins [t]."""
    return np.asarray(np.logaddexp(0.0, np.where(labels == 1, -margins, margins)))


def _auc_per_user(scores: FloatArray, labels: IndexArray, users: Users, draws: int, seed: int) -> Estimate:
    values, firsts = _users_aucs(scores, labels, users)
    if not len(values):
        return Estimate(None, None, None, 0, 0)
    names = [str(name) for name in np.asarray(users)[firsts]]
    return mean_estimate(values, names, draws=draws, seed=seed)


def _users_aucs(scores: FloatArray, labels: IndexArray, users: Users) -> tuple[FloatArray, IndexArray]:
    """The AUC of each user who has both classes, and a row of theirs."""
    of = owners(users)
    order = np.argsort(of, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(of[order])) + 1)
    both = [rows for rows in parts if 0 < labels[rows].sum() < len(rows)]
    values = [weighted_auc(scores[rows], labels[rows], np.ones((1, len(rows))))[0] for rows in both]
    return np.array(values, np.float64), np.array([rows[0] for rows in both], np.int64)


def _checked_scores(scores: FloatArray, length: int, scores_are: str) -> FloatArray:
    if scores_are not in ("logit_margin", "share"):
        raise InvalidInput(f"scores_are must be logit_margin or share, got {scores_are!r}.")
    if scores.shape != (length,):
        raise InvalidInput(f"scores must be one per user entry ({length}), got shape {scores.shape}.")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InvalidInput(
            f"scores must be finite, got {scores[bad[0]]} in {len(bad)} rows, first row {bad[0]}."
        )
    if scores_are == "share" and (scores.min() < 0 or scores.max() > 1):
        raise InvalidInput(f"shares must lie in [0, 1], got {scores.min()}..{scores.max()}.")
    return scores


def _checked_labels(labels: IndexArray, length: int) -> IndexArray:
    if labels.shape != (length,):
        raise InvalidInput(f"labels must be one per user entry ({length}), got shape {labels.shape}.")
    bad = np.flatnonzero(~np.isin(labels, (0, 1)))
    if len(bad):
        raise InvalidInput(f"labels must be 0 or 1, got {labels[bad[0]]} in row {bad[0]}.")
    return labels.astype(np.int64)
