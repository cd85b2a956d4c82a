"""The weight of the gradient term, chosen on validation data: what `lam=auto` means.

Judge    validation is cut into folds, a user's rows together. For each lam a coreset is chosen against the
         other folds, a head (`goracs.evaluation.head`) is fitted on its rows from the start adapter's
         margins, and the fold's log-loss is taken. So no fold is judged by a coreset that was selected against it: rows
         that were chosen to fit the very validation rows look good there at any lam (docs/method.md).
Rule     the smallest lam whose mean loss is within one standard error of the smallest mean loss.
Error    of a mean over rows whose users are independent: sqrt(sum_u (sum_{i of u} (loss_i - mean))^2) / m.
Needs    the scores `hidden` and `margin` of pool and validation set, labels 0 and 1, the users; `loss` of the
         pool for the correlation that is told.
Cost     one selection for each fold and lam; no LLM is trained, no test row is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.evaluation import head
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem

READER = "lam=auto"
NEEDS = frozenset({"gradient_norm", "loss", "hidden", "margin"})
ALIKE = 0.95  # a correlation above it: the gradient term asks for what the model fits worst
Choose = Callable[[float, SelectionProblem], IndexArray]


@dataclass(frozen=True)
class Judged:
    """What validation says of each lam.

    Args:
        lam: the chosen one.
        curve: for each of the grid: lam, loss (mean log-loss, nats) and error (its standard error).
        correlation: of gradient norm and loss over the pool; None where one of them is constant.
        warnings: what to know of the data it was chosen on.
    """

    lam: float
    curve: tuple[dict[str, float], ...]
    correlation: float | None
    warnings: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"lam": self.lam, "curve": list(self.curve), "gradient_loss_correlation": self.correlation}


def judge(
    problem: SelectionProblem, choose: Choose, grid: Sequence[float], folds: int, penalty: float
) -> Judged:
    """Choose lam.

    Args:
        problem: with what `lam=auto` needs.
        choose: lam and a problem -> the rows [n] of a coreset.
        grid: the weights to choose from, >= 0, distinct.
        folds: of the validation set, >= 2.
        penalty: of the head, > 0.

    Raises:
        InvalidInput: a bad grid or number of folds, a problem without labels, users or the scores, fewer
            users than folds, or what `choose` refuses.
    """
    lams, of = _checked_grid(grid), cut(_users(problem), folds)
    labels, target_labels = _answers(problem)
    states = problem.score("hidden", READER), problem.target_score("hidden", READER)
    pool, target = head.standardised(*states)
    offsets, begins = problem.score("margin", READER), problem.target_score("margin", READER)
    losses = np.empty((len(lams), problem.target_size))
    for fold in range(folds):
        out = np.flatnonzero(of == fold)
        others = problem.against(np.flatnonzero(of != fold))
        for place, lam in enumerate(lams):
            rows = choose(lam, others)
            weights = head.fit(pool[rows], labels[rows], offsets[rows], penalty)
            found = head.margins(weights, target[out], begins[out])
            losses[place, out] = np.logaddexp(0.0, np.where(target_labels[out] == 1, -found, found))
    errors = [clustered_error(row, _users(problem)) for row in losses]
    means = losses.mean(axis=1)
    best = int(means.argmin())
    chosen = next(lam for lam, mean in zip(lams, means, strict=True) if mean <= means[best] + errors[best])
    curve = tuple(
        {"lam": lam, "loss": float(mean), "error": error}
        for lam, mean, error in zip(lams, means, errors, strict=True)
    )
    alike = correlation(problem)
    return Judged(chosen, curve, alike, tuple(_warnings(target_labels, pool, alike)))


def correlation(problem: SelectionProblem) -> float | None:
    """Of gradient norm and loss over the pool; None where one of them is constant."""
    norms, losses = problem.score("gradient_norm", READER), problem.score("loss", READER)
    if np.ptp(norms) == 0 or np.ptp(losses) == 0:
        return None
    return float(np.corrcoef(norms.astype(np.float64), losses.astype(np.float64))[0, 1])


def cut(users: IndexArray, folds: int) -> IndexArray:
    """[m] the fold 0..folds-1 of each row: users by falling number of rows, each to the smallest fold so far.

    Raises:
        InvalidInput: fewer than two folds, or fewer users than folds.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise InvalidInput(f"selector.folds must be a whole number >= 2, got {folds!r}.")
    names, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InvalidInput(
            f"lam=auto cuts validation into {folds} folds by user, and it has {len(names)} users: lower "
            "selector.folds, take a larger validation set, or set selector.lam to a number."
        )
    sizes, fold = np.zeros(folds, np.int64), np.empty(len(names), np.int64)
    for user in np.argsort(-counts, kind="stable"):
        fold[user] = int(sizes.argmin())
        sizes[fold[user]] += counts[user]
    return np.asarray(fold[place])


def clustered_error(values: FloatArray, users: IndexArray) -> float:
    """The standard error of the mean of values [m] whose users [m] are independent, their rows not."""
    off = np.bincount(np.unique(users, return_inverse=True)[1], weights=values - values.mean())
    return float(np.sqrt((off**2).sum()) / len(values))


def _checked_grid(grid: Sequence[float]) -> list[float]:
    numbers = [value for value in grid if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if not numbers or len(numbers) < len(grid) or not all(0 <= value < np.inf for value in numbers):
        raise InvalidInput(f"selector.grid must be a list of numbers >= 0, got {list(grid)!r}.")
    if len(set(numbers)) < len(numbers):
        raise InvalidInput(f"selector.grid names a weight twice: {list(grid)!r}.")
    return sorted(map(float, numbers))


def _users(problem: SelectionProblem) -> IndexArray:
    if problem.target_users is None:
        raise InvalidInput("lam=auto cuts validation into folds by user: the problem needs target_users.")
    return problem.target_users


def _answers(problem: SelectionProblem) -> tuple[IndexArray, IndexArray]:
    if problem.labels is None or problem.target_labels is None:
        raise InvalidInput(
            "lam=auto judges a coreset by a head over two answers, and these examples have no labels (a task "
            "of texts): set selector.lam to a number."
        )
    for labels in (problem.labels, problem.target_labels):
        if not np.isin(labels, (0, 1)).all():
            raise InvalidInput(f"lam=auto needs the labels 0 and 1, got {np.unique(labels)[:10].tolist()}.")
    return problem.labels, problem.target_labels


def _warnings(target_labels: IndexArray, pool: FloatArray, alike: float | None) -> list[str]:
    said = []
    if alike is not None and alike > ALIKE:
        said.append(
            f"gradient norm and loss have a correlation of {alike:.3f}: a large lam asks for the rows that "
            "the model fits worst."
        )
    if target_labels.min() == target_labels.max():
        said.append(
            "lam=auto: all validation rows have one label, so their loss says little about the order."
        )
    if not pool.any():
        said.append("lam=auto: all hidden states are equal, so only the label rates told the coresets apart.")
    return said
