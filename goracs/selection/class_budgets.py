"""How many rows of a coreset each class gives, when a problem is split by label.

Rules      `by_class` of a selector: true = in proportion to the validation labels, pool = to the pool's,
           equal = the same for each class.
Shares     largest remainder, ties to the smaller label. A class gives at most its pool rows; what it falls
           short of goes to the others, in the same proportions.
Absent     a class that validation lacks: by the validation rates it gives none; by the others as many as the
           rule says, whichever method chooses (`goracs.selection.by_class` says against what). Which rows a
           method reads has no part in how many it may choose: methods are compared under the same budgets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from goracs.types import ByClass, IndexArray, InvalidInput, SelectionProblem

Counts = Mapping[int, int]  # label -> rows, or its weight


def counts(labels: IndexArray) -> dict[int, int]:
    """Label -> rows, ascending."""
    values, found = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), found.tolist(), strict=True))


def rates(by_class: ByClass, pool: Counts, target: Counts) -> Counts:
    """The weight of each class of either side.

    Args:
        by_class: the rule; not false.
        pool: label -> pool rows.
        target: label -> validation rows.
    """
    labels = sorted({*pool, *target})
    match by_class:
        case "pool":
            return {label: pool.get(label, 0) for label in labels}
        case "equal":
            return dict.fromkeys(labels, 1)
    return target


def budgets(pool: Counts, weights: Counts, budget: int) -> dict[int, int]:
    """How many rows each class gives.

    Args:
        pool: label -> pool rows.
        weights: label -> its weight, a whole number >= 0.
        budget: n >= 1.

    Returns:
        label -> rows, for every label of either, ascending; n in all.

    Raises:
        InvalidInput: the classes of any weight hold fewer than n pool rows.
    """
    open_ = {label: weight for label, weight in sorted(weights.items()) if weight > 0}
    reach = sum(pool.get(label, 0) for label in open_)
    if reach < budget:
        raise InvalidInput(
            f"budget {budget} by class needs as many pool rows in the classes of the validation set "
            f"({', '.join(map(str, open_))}), which together hold {reach}: lower the budget, or set "
            "by_class to pool, equal or false."
        )
    given = dict.fromkeys(sorted({*pool, *weights}), 0)
    while short := _shorter_than_share(pool, open_, budget - sum(given.values())):
        given |= {label: pool.get(label, 0) for label in short}
        open_ = {label: weight for label, weight in open_.items() if label not in short}
    return given | _largest_remainder(open_, budget - sum(given.values()))


def warnings(problem: SelectionProblem, by_class: ByClass, budget: int) -> list[str]:
    """What a reader should know of classes that are missing, short or left out; the problem has labels."""
    assert problem.labels is not None
    assert problem.target_labels is not None
    pool, target = counts(problem.labels), counts(problem.target_labels)
    weights, said = rates(by_class, pool, target), []
    short = _shorter_than_share(pool, weights, budget)
    for label, given in budgets(pool, weights, budget).items():
        if label not in target:
            what = (
                f"it gives {given} rows, chosen against the whole of it where the method reads it"
                if given
                else f"none of its {pool[label]} rows is chosen"
            )
            said.append(f"class {label} is absent from validation: {what}.")
        if label in short:
            said.append(f"class {label} has {pool.get(label, 0)} pool rows, less than its share: all taken.")
        elif given == 0 and label in target:
            why = "has so small a share that it gets" if label in pool else "is not in the pool: it gives"
            said.append(f"class {label} {why} no row.")
    return said


def _shorter_than_share(pool: Counts, weights: Counts, budget: int) -> list[int]:
    total = sum(weights.values())
    return [label for label, weight in weights.items() if budget * weight > pool.get(label, 0) * total]


def _largest_remainder(weights: Counts, budget: int) -> dict[int, int]:
    """Whole numbers in proportion to the weights, adding up to the budget; in whole-number arithmetic."""
    total = sum(weights.values())
    split = {label: divmod(budget * weight, total) for label, weight in weights.items()}
    left = budget - sum(whole for whole, _ in split.values())
    favoured = sorted(split, key=lambda label: (-split[label][1], label))[:left]
    return {label: whole + (label in favoured) for label, (whole, _) in split.items()}
