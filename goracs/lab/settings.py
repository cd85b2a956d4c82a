"""What a lab tries, as conf/lab has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.types import ByClass, InvalidInput, resolve_budget


@dataclass(frozen=True)
class Lab:
    """What is tried.

    Args:
        selectors: name of a file of conf/selector -> by class or not, each as often as it is to be tried.
        features: names of files of conf/features; a selector that looks at no features is tried once.
        lams: for selectors that have a lam; numbers >= 0, or auto.
        budgets: as `goracs.types.resolve_budget` takes them; of `pool` rows.
        draws: redrawn pools, >= 1.
        pool: rows of each, >= 1; at most those of the whole pool.
        penalties: of the head, > 0, to choose from.
        workers: processes that select; None: as many as there are CPUs.

    Raises:
        InvalidInput: nothing to try, or a value out of range.
    """

    selectors: Mapping[str, Sequence[ByClass]]
    features: Sequence[str]
    lams: Sequence[float | str]
    budgets: Sequence[float]
    draws: int
    pool: int
    penalties: Sequence[float]
    workers: int | None

    def __post_init__(self) -> None:
        for name in ("features", "lams", "budgets", "penalties"):
            object.__setattr__(self, name, _distinct(f"lab.{name}", getattr(self, name)))
        object.__setattr__(self, "selectors", _checked_selectors(self.selectors))
        if not all(lam == "auto" or _at_least_0(lam) for lam in self.lams):
            raise InvalidInput(f"lab.lams must be numbers >= 0, or auto; got {list(self.lams)!r}.")
        if not all(_at_least_0(penalty) and penalty > 0 for penalty in self.penalties):
            raise InvalidInput(f"lab.penalties must be numbers > 0, got {list(self.penalties)!r}.")
        for name in ("draws", "pool", "workers"):
            value = getattr(self, name)
            if not _is_whole(value) and not (name == "workers" and value is None):
                raise InvalidInput(f"lab.{name} must be a whole number >= 1, got {value!r}.")
        for budget in self.budgets:
            resolve_budget(budget, self.pool)


def _distinct(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InvalidInput(f"{name} must be a list of at least one, got {values!r}.")
    if len(set(values)) < len(values):
        raise InvalidInput(f"{name} names one twice: {list(values)!r}.")
    return tuple(values)


def _checked_selectors(asked: Mapping[str, Sequence[ByClass]]) -> dict[str, tuple[ByClass, ...]]:
    if not isinstance(asked, Mapping) or not asked:
        raise InvalidInput(
            "lab.selectors must map at least one name to a list of true, pool, equal and false (by class or "
            f"not), got {asked!r}."
        )
    return {name: _distinct(f"lab.selectors.{name}", splits) for name, splits in asked.items()}


def _at_least_0(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < np.inf


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
