"""D2: hard rows in dense places, and not the same place twice.

Problem    a graph joins each row with its k nearest, both ways. Its value begins as
               score_i + sum over neighbours j of exp(-d_ij) max(score_j, 1e-7),
           the row of largest value is picked, and each neighbour loses exp(-gamma d) times that value.
Target     not read.
Cost       the nearest rows of every row, O(N^2 d) by blocks; a pick is O(N).
Golden     d2_moderate.npz.
Source     Maharana, Yadav & Bansal (ICLR 2024), and their released function: values summed, picks weighted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.ot.neighbours import nearest
from goracs.search.canonical import canonical_order
from goracs.selection.scores import numbers
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

LEAST = 1e-7  # of a score that is passed on
HARDLY = 1e-3  # of the mean score: smaller messages move next to no pick


@dataclass(frozen=True)
class D2:
    """The rows that message passing over the neighbour graph picks. Deterministic; ties by canonical order.

    Args:
        score: the number of each row that is passed on: a name such as el2n.
        neighbours: k >= 1; where the pool has fewer other rows, all of them.
        gamma: >= 0; how fast a pick's hold on its neighbours falls with distance, per feature unit.
        by_class: one graph for each label.
    """

    score: str
    neighbours: int
    gamma: float
    by_class: ByClass

    @property
    def needs(self) -> frozenset[str]:
        """Embeddings and the score."""
        return frozenset({"features", self.score})

    @property
    def seeded(self) -> bool:
        """Nothing is drawn."""
        return False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`.

        The report has the graph's `edges`, and `message`, the mean of what neighbours add to a row's score.

        Raises:
            InvalidInput: neighbours or gamma out of range; no such score, or more than one number for a row;
                embeddings without columns; a score too large for float64.
        """
        self._check()
        score = numbers(problem, self.score, "selector d2")
        if (score < 0).any():
            raise InvalidInput(
                f"selector d2 takes a pick's value from its neighbours, which a score '{self.score}' below 0 "
                "would raise: give one of numbers >= 0."
            )
        order = canonical_order(problem)
        graph = _Graph.of(problem.features[order], self.neighbours)
        with np.errstate(over="ignore"):  # said below, in words
            message = graph.summed(np.exp(-graph.away) * np.maximum(score[order], LEAST)[graph.there])
            value = score[order] + message
            total = value.sum()  # of numbers >= 0
        if not np.isfinite(total):
            raise InvalidInput(f"selector d2: sums of the score '{self.score}' overflow float64: rescale it.")
        rows = _picked(graph, value, self.gamma, budget)
        report = {
            "edges": len(graph.there) // 2,
            "message": float(message.mean()),
            "warnings": _warnings(score, message),
        }
        return Coreset(order[rows], budget, problem.pool_size, report)

    def _check(self) -> None:
        k, gamma = self.neighbours, self.gamma
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise InvalidInput(f"selector d2: neighbours must be a whole number >= 1, got {k!r}.")
        if not isinstance(gamma, (int, float)) or isinstance(gamma, bool) or not 0 <= gamma < np.inf:
            raise InvalidInput(f"selector d2: gamma must be a number >= 0, got {gamma!r}.")


@dataclass(frozen=True, eq=False)
class _Graph:
    """Edges both ways, those of row i at starts[i]..starts[i + 1].

    Args:
        there: [e] int64; the other ends.
        away: [e] float64; how long the edges are, in feature units.
        starts: [N + 1] int64.
    """

    there: IndexArray
    away: FloatArray
    starts: IndexArray

    @classmethod
    def of(cls, features: FloatArray, count: int) -> _Graph:
        """Each row with its `count` nearest others, and each of them with it."""
        size = len(features)
        rows, away = nearest(features, features, min(count, size - 1), others=True)
        one, other = np.repeat(np.arange(size), rows.shape[1]), rows.ravel()
        ends = np.concatenate([one * size + other, other * size + one])
        edges, first = np.unique(ends, return_index=True)
        starts = np.searchsorted(edges // size, np.arange(size + 1))
        return cls(edges % size, np.tile(away.ravel(), 2)[first], starts)

    def summed(self, values: FloatArray) -> FloatArray:
        """[N] the sum of a value [e] over each row's edges."""
        here = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return np.asarray(np.bincount(here, weights=values, minlength=len(self.starts) - 1), np.float64)


def _picked(graph: _Graph, value: FloatArray, gamma: float, budget: int) -> list[int]:
    """Rows in the order of picking; `value` [N] is used up."""
    rows: list[int] = []
    for _ in range(budget):
        row = int(value.argmax())
        edges = slice(graph.starts[row], graph.starts[row + 1])
        value[graph.there[edges]] -= np.exp(-gamma * graph.away[edges]) * value[row]
        value[row] = -np.inf
        rows.append(row)
    return rows


def _warnings(score: FloatArray, message: FloatArray) -> list[str]:
    passed, size = float(message.mean()), float(np.abs(score).mean())
    if len(score) == 1 or passed > HARDLY * size:
        return []
    return [
        f"neighbours lie so far apart that hardly a message passes (mean {passed:.1e}, of scores "
        f"{size:.1e}), so the rows are those of the score alone; features.scale=unit brings them nearer."
    ]
