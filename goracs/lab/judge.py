"""Coresets judged by heads.

Judge    the head (`goracs.evaluation.head`) is fitted on the coreset's rows from the start adapter's margins;
         its log-loss and AUC on the test rows are the coreset's. Nothing else reads a test row.
Penalty  of the head: one for everything, the best of a few by the validation loss of random coresets.
Not here the table and the pictures (`goracs.report.lab`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from goracs.evaluation import head
from goracs.evaluation.ctr import log_losses, weighted_auc
from goracs.lab.settings import Lab
from goracs.lab.trials import READER, Trial, Tried, redrawn
from goracs.types import FloatArray, IndexArray, InvalidInput, SelectionProblem, resolve_budget


@dataclass(frozen=True, eq=False)
class Judge:
    """Hidden states [t, d], margins [t], labels [t], users [t] of the test rows; for `run` and `ceilings`."""

    hidden: FloatArray
    margin: FloatArray
    labels: IndexArray
    users: IndexArray

    def figures(self, margins: FloatArray) -> dict[str, float]:
        """Log-loss, AUC and AUC per user of margins [t]; NaN where there are not two classes."""
        per_user = [_auc(margins[rows], self.labels[rows]) for rows in self._asked_of]
        return {
            "log_loss": float(log_losses(margins, self.labels).mean()),
            "auc": _auc(margins, self.labels),
            "auc_per_user": float(np.mean(per_user)) if per_user else float("nan"),
        }

    @cached_property
    def _asked_of(self) -> list[IndexArray]:
        """The rows of each user who has both classes."""
        parts = [np.flatnonzero(self.users == user) for user in np.unique(self.users)]
        return [rows for rows in parts if 0 < self.labels[rows].sum() < len(rows)]


Side = tuple[FloatArray, IndexArray, FloatArray]  # hidden states, labels, margins


class Heads:
    """Heads on the rows of pool and validation set, hidden states in the units of the whole pool.

    Raises:
        InvalidInput: a problem without labels, or without the scores `hidden` and `margin`.
    """

    def __init__(self, problem: SelectionProblem) -> None:
        if problem.labels is None or problem.target_labels is None:
            raise InvalidInput("heads are fitted on two answers, and these examples have no labels.")
        states = problem.score("hidden", READER), problem.target_score("hidden", READER)
        self._states = states[0]
        pool, target = head.standardised(*states)
        self.pool: Side = pool, problem.labels, problem.score("margin", READER)
        self.target: Side = target, problem.target_labels, problem.target_score("margin", READER)

    def fit(self, side: Side, rows: IndexArray, penalty: float) -> FloatArray:
        """The weights of a head fitted on some rows of `pool` or `target`."""
        states, labels, offsets = side
        return head.fit(states[rows], labels[rows], offsets[rows], penalty)

    def others(self, hidden: FloatArray) -> FloatArray:
        """Other hidden states in the same units."""
        return head.standardised(self._states, hidden)[1]


def penalty(lab: Lab, heads: Heads) -> tuple[float, list[dict[str, float]]]:
    """The penalty of least validation loss over random coresets, and the loss at each."""
    draws = redrawn(lab, len(heads.pool[1]))
    coresets = [
        np.random.default_rng([draw, place]).choice(rows, resolve_budget(budget, lab.pool), replace=False)
        for draw, rows in enumerate(draws)
        for place, budget in enumerate(lab.budgets)
    ]
    target, labels, offsets = heads.target
    curve = []
    for tried in lab.penalties:
        weights = [heads.fit(heads.pool, rows, tried) for rows in coresets]
        losses = [log_losses(head.margins(found, target, offsets), labels).mean() for found in weights]
        curve.append({"penalty": float(tried), "loss": float(np.mean(losses))})
    return min(curve, key=lambda point: point["loss"])["penalty"], curve


def run(
    tried: Iterable[tuple[Trial, Tried]], heads: Heads, judge: Judge, penalty: float
) -> Iterator[dict[str, Any]]:
    """A row for each coreset: its setting, draw, rows, figures and what the test rows say of it."""
    test = heads.others(judge.hidden)
    for trial, found in tried:
        weights = heads.fit(heads.pool, found.rows, penalty)
        told = judge.figures(head.margins(weights, test, judge.margin))
        plain = {**trial.setting._asdict(), "draw": trial.draw, "auto": found.auto}
        yield {**plain, **told, **found.figures, "rows": found.rows}


def ceilings(lab: Lab, heads: Heads, judge: Judge, penalty: float) -> Iterator[dict[str, Any]]:
    """What no coreset can be far above: every drawn pool, all validation rows, some of these by chance."""
    test = heads.others(judge.hidden)
    everything = np.arange(len(heads.target[1]))
    cases = [("whole pool", heads.pool, rows) for rows in redrawn(lab, len(heads.pool[1]))]
    cases.append(("validation rows, all", heads.target, everything))
    for budget in lab.budgets:
        count = min(resolve_budget(budget, lab.pool), len(everything))
        for draw in range(lab.draws):
            rows = np.random.default_rng([draw]).choice(len(everything), count, replace=False)
            cases.append(("validation rows", heads.target, rows))
    for name, side, rows in cases:
        margins = head.margins(heads.fit(side, rows, penalty), test, judge.margin)
        yield {"ceiling": name, "budget": len(rows), **judge.figures(margins)}


def _auc(margins: FloatArray, labels: IndexArray) -> float:
    return float(weighted_auc(margins, labels, np.ones((1, len(labels))))[0])
