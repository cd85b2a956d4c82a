"""The weight of the gradient term, chosen on validation data: what `lam=auto` means.

Judge    validation is cut into folds, a user's rows together. For each lam a coreset is chosen against the
         other folds, a head (`goracs.evaluation.head`) is fitted on its rows from the start adapter's
         margins, and the fold's log-loss is taken. So no fold is judged by a coreset that was selected
         against it: rows that were chosen to fit the very validation rows look good there at any lam
         (docs/method.md). Each fold chooses from another half of the pool: what one lucky coreset teaches is
         no merit of its lam, and coresets of one pool are too much alike to show it.
Rule     the smallest lam whose mean loss is within one standard error of the smallest mean loss.
Error    sqrt(a + b): a = sum_u (sum_{i of u} (loss_i - mean))^2 / m^2, the chance of which users are asked;
         b = variance of the folds' means / folds, averaged over the grid, the chance of which coreset it is.
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
from goracs.evaluation.ctr import log_losses
from goracs.search.canonical import canonical_order
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
    problem: SelectionProblem,
    budget: int,
    choose: Choose,
    grid: Sequence[float],
    folds: int,
    penalty: float,
) -> Judged:
    """Choose lam.

    Args:
        problem: with what `lam=auto` needs.
        budget: n.
        choose: lam and a problem -> the rows [n] of a coreset.
        grid: the weights to choose from, >= 0, distinct.
        folds: of the validation set, >= 2.
        penalty: of the head, > 0.

    Raises:
        InvalidInput: a bad grid or number of folds, a problem without labels, users or the scores, fewer
            users than folds, or what `choose` refuses.
    """
    lams, users = _checked_grid(grid), _users(problem)
    losses = fold_losses(problem, budget, choose, lams, folds, penalty)
    curve = _curve(lams, losses, users, cut(users, folds))
    alike, answers = correlation(problem), _answers(problem)[1]
    vary = head.units(problem.score("hidden", READER)).vary
    return Judged(_smallest_good(curve), curve, alike, tuple(_warnings(answers, vary, alike)))


def fold_losses(
    problem: SelectionProblem,
    budget: int,
    choose: Choose,
    lams: Sequence[float],
    folds: int,
    penalty: float,
) -> FloatArray:
    """[lams, m] the loss of every validation row, judged by a coreset that was not chosen against its fold.

    Args and raises: as `judge`.
    """
    of, (labels, answers) = cut(_users(problem), folds), _answers(problem)
    states = problem.score("hidden", READER), problem.target_score("hidden", READER)
    pool, target = head.standardised(*states)
    begins, asked = problem.score("margin", READER), problem.target_score("margin", READER)
    losses = np.empty((len(lams), problem.target_size))
    for fold in range(folds):
        rows, out = half(problem, budget, fold), np.flatnonzero(of == fold)
        others = problem.among(rows).against(np.flatnonzero(of != fold))
        for place, lam in enumerate(lams):
            taken = rows[choose(lam, others)]
            weights = head.fit(pool[taken], labels[taken], begins[taken], penalty)
            losses[place, out] = log_losses(head.margins(weights, target[out], asked[out]), answers[out])
    return losses


def half(problem: SelectionProblem, budget: int, fold: int) -> IndexArray:
    """Pool rows that a fold chooses from: of each class the larger of a half and 2 n, or all; ascending.

    Drawn by the fold's number from the canonical order, so that the order of distinct rows plays no part.
    """
    assert problem.labels is not None
    order, draw = canonical_order(problem), np.random.default_rng([fold])
    labels, kept = problem.labels[order], []
    for label in np.unique(labels):
        rows = order[labels == label]
        kept.append(draw.permutation(rows)[: max(-(-len(rows) // 2), 2 * budget)])
    return np.sort(np.concatenate(kept))


def _curve(
    lams: Sequence[float], losses: FloatArray, users: IndexArray, of: IndexArray
) -> tuple[dict[str, float], ...]:
    """lam, loss and error for each row of losses [lams, m]."""
    folds = np.array([losses[:, of == fold].mean(axis=1) for fold in range(of.max() + 1)])
    between = float(folds.var(axis=0, ddof=1).mean() / len(folds))
    errors = [float(np.hypot(clustered_error(row, users), between**0.5)) for row in losses]
    return tuple(
        {"lam": lam, "loss": float(row.mean()), "error": error}
        for lam, row, error in zip(lams, losses, errors, strict=True)
    )


def _smallest_good(curve: Sequence[dict[str, float]]) -> float:
    best = min(curve, key=lambda point: point["loss"])
    return next(point["lam"] for point in curve if point["loss"] <= best["loss"] + best["error"])


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
            "of texts; what was tried in a head's place ranks their coresets too roughly, docs/study): set "
            "selector.lam to a number."
        )
    for labels in (problem.labels, problem.target_labels):
        if not np.isin(labels, (0, 1)).all():
            raise InvalidInput(f"lam=auto needs the labels 0 and 1, got {np.unique(labels)[:10].tolist()}.")
    return problem.labels, problem.target_labels


def _warnings(target_labels: IndexArray, vary: bool, alike: float | None) -> list[str]:
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
    if not vary:
        said.append("lam=auto: all hidden states are equal, so only the label rates told the coresets apart.")
    return said
