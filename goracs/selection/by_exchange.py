"""The coreset that exchanges with cold solves find: what `goracs_paper` and `goracs_released` share.

Not here   the exchanges (`goracs.search.exchange`), which pairs are tried (the two methods).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from goracs.ot import cost, distance
from goracs.search.canonical import canonical_order
from goracs.search.exchange import Method, exchange
from goracs.selection.figures import gradient_norms, objective, scale_warnings
from goracs.types import Coreset, InvalidInput, Scale, SelectionProblem


def select(
    problem: SelectionProblem,
    budget: int,
    lam: float,
    max_exchanges: int,
    method: Method,
    rescale: Callable[[Scale], Scale],
) -> Coreset:
    """The coreset of a problem, the same for any order of distinct rows.

    Args:
        problem: pool and validation set; all costs are held at once, 8 N m bytes.
        budget: n.
        lam: weight of the gradient term.
        max_exchanges: at most so many.
        method: how to search.
        rescale: the scale to search in, of that of the problem, in which the report is.

    Returns: a coreset whose report has the figures of `goracs.assess`, `exchanges`, `solves`, and
        `lam_divided`, the weight that the search gave the gradients in the report's unit; its trace has the
        objective of the search.
    """
    from goracs.ot.compiled import announced

    norms = gradient_norms(problem, lam, f"selector {method.name}")
    order = canonical_order(problem)
    scale = problem.scale or cost.measure_scale(problem.features, problem.target_features, norms)
    found = distance.distances(problem.features[order], problem.target_features)
    costs = cost.ground_cost(found, None if norms is None else norms[order], lam, rescale(scale))
    with announced():
        end = exchange(costs, budget, max_exchanges, method)
    places = np.sort(end.rows)
    rows = order[places]
    report = {
        **objective(found[places], None if norms is None else norms[rows], lam, scale),
        "lam_divided": lam * rescale(scale).distance / scale.distance,
        "exchanges": end.exchanges,
        "solves": end.solves,
        "warnings": scale_warnings(problem, norms),
    }
    return Coreset(rows, budget, problem.pool_size, report, end.trace)


def undivided(scale: Scale) -> Scale:
    """The scale of the released label-enhanced form: distances as they are."""
    return replace(scale, distance=1.0)


def whole_number(method: str, name: str, value: Any, least: int) -> None:
    """Refuse a parameter that is no whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"selector {method}: {name} must be a whole number >= {least}, got {value!r}.")
