"""The ideas every room shares: examples, selection problems, coresets, selectors, errors.

Symbols (everywhere)   N = pool, m = validation (the target), n = budget.
Conventions            arrays are validated once, here, and read-only from then on.
Not here               artifacts (`goracs.store`), how a coreset is chosen (`goracs.selection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from goracs.harmless import shown

FloatArray = npt.NDArray[np.floating[Any]]
IndexArray = npt.NDArray[np.int64]
ROWS = 1 << 16  # that are looked at together
ByClass = bool | Literal["pool", "equal"]  # whether a problem is split by label, and by what the budgets go


class GoracsError(Exception):
    """A run that cannot go on for a reason its user can mend; the message says how."""

    def __str__(self) -> str:
        return shown(super().__str__())


class InvalidInput(GoracsError, ValueError):
    """An argument or a configured value outside what its receiver accepts."""


@dataclass(frozen=True)
class Example:
    """One prompt with its parts and where it comes from.

    `history` are the item ids shown in the prompt, oldest first, `history_liked` whether the user liked
    each (None where there are no ratings). `label` is 1 (liked) or 0 for tasks with labels, None otherwise.
    `time` is in seconds. `system` is what the model is told before all else, `turns` the queries and
    responses before the instruction: ready prompts may have them.
    """

    user: str
    item: str
    time: int
    label: int | None
    history: tuple[str, ...]
    history_liked: tuple[bool | None, ...]
    instruction: str
    input: str
    output: str
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Scale:
    """The units of the ground cost: `distance` = max d over pool x target, `gradient` = max g over the pool.

    Both in the unit of what they measure, > 0: a maximum of 0 counts as 1, since its term is then 0.

    Raises:
        InvalidInput: one that is no finite number > 0.
    """

    distance: float
    gradient: float

    def __post_init__(self) -> None:
        for name, value in (("distance", self.distance), ("gradient", self.gradient)):
            number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
            if not number or not 0 < value < np.inf:
                raise InvalidInput(f"the {name} of a Scale must be a finite number > 0, got {value!r}.")


class Spread(Protocol):
    """Workers that make passes over a pool (`goracs.cluster`): they find what this process would."""

    def largest_distance(self, features: FloatArray, target: FloatArray) -> float: ...  # noqa: D102

    def pool(self, streamed: Any) -> Any: ...  # noqa: D102

    def passes(self, features: FloatArray, order: IndexArray) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class SelectionProblem:
    """What any selector may see. Validated once, never mutated.

    Args:
        features: [N, d] float; pool embeddings. d may be 0 where a method looks at no features.
        target_features: [m, d] float; validation embeddings, same space.
        scores: name -> [N] or [N, k] float; per-row numbers of the pool (gradient_norm, loss, el2n, sketch).
        target_scores: name -> [m] or [m, k] float, or None.
        labels: [N] integers, or None.
        target_labels: [m] integers; both or neither.
        target_users: [m] integers, whose validation rows they are, or None; what cuts validation into folds
            keeps a user's rows together.
        scale: units fixed from outside (the parts of a problem split by class share one), or None: measured
            on this problem.
        spread: who makes the passes over a large pool; None: this process.

    Raises:
        InvalidInput: an empty side, widths or lengths that differ, what is no real number or not finite (the
            rows are named), labels on one side only.
    """

    features: FloatArray
    target_features: FloatArray
    scores: Mapping[str, FloatArray] = field(default_factory=dict)
    target_scores: Mapping[str, FloatArray] | None = None
    labels: IndexArray | None = None
    target_labels: IndexArray | None = None
    target_users: IndexArray | None = None
    scale: Scale | None = None
    spread: Spread | None = None

    def __post_init__(self) -> None:
        pool = _checked_matrix("features", self.features)
        target = _checked_matrix("target_features", self.target_features)
        if pool.shape[1] != target.shape[1]:
            raise InvalidInput(
                f"features have {pool.shape[1]} columns, target_features {target.shape[1]}: "
                "both must come from one encoder."
            )
        if (self.labels is None) != (self.target_labels is None):
            raise InvalidInput("labels and target_labels go together: one of them is missing.")
        if not isinstance(self.scale, Scale | None):
            raise InvalidInput(f"scale must be a Scale or None, got {self.scale!r}.")
        _freeze(self, "features", pool)
        _freeze(self, "target_features", target)
        _freeze(self, "scores", _checked_scores("scores", self.scores, len(pool)))
        if self.target_scores is not None:
            _freeze(self, "target_scores", _checked_scores("target_scores", self.target_scores, len(target)))
        if self.labels is not None and self.target_labels is not None:
            _freeze(self, "labels", _checked_labels("labels", self.labels, len(pool)))
            _freeze(self, "target_labels", _checked_labels("target_labels", self.target_labels, len(target)))
        if self.target_users is not None:
            _freeze(self, "target_users", _checked_labels("target_users", self.target_users, len(target)))

    @property
    def pool_size(self) -> int:
        """N."""
        return len(self.features)

    @property
    def target_size(self) -> int:
        """m."""
        return len(self.target_features)

    def score(self, name: str, reader: str) -> FloatArray:
        """The pool's score `name`, or InvalidInput saying that `reader` needs it."""
        return _score(self.scores, name, reader, "")

    def target_score(self, name: str, reader: str) -> FloatArray:
        """The validation set's score `name`, or InvalidInput saying that `reader` needs it."""
        return _score(self.target_scores or {}, name, reader, " of the validation set")

    def among(self, rows: IndexArray) -> SelectionProblem:
        """Some of the pool's rows against the same validation rows."""
        return replace(
            self,
            features=self.features[rows],
            scores={name: score[rows] for name, score in self.scores.items()},
            labels=None if self.labels is None else self.labels[rows],
        )

    def against(self, columns: IndexArray) -> SelectionProblem:
        """The same pool against some of the validation rows."""
        scores = self.target_scores
        return replace(
            self,
            target_features=self.target_features[columns],
            target_scores=None if scores is None else {name: scores[name][columns] for name in scores},
            target_labels=None if self.target_labels is None else self.target_labels[columns],
            target_users=None if self.target_users is None else self.target_users[columns],
        )


@dataclass(frozen=True)
class Coreset:
    """Chosen pool rows with the method's own figures.

    Args:
        indices: [n] int64; distinct rows of the pool; kept sorted.
        budget: n; exactly as many indices.
        pool_size: N.
        report: the method's figures, plain JSON values.
        trace: the course of the search, oldest first, plain JSON values.

    Raises:
        InvalidInput: not exactly `budget` distinct rows within 0..N-1, sizes that are no whole numbers.
    """

    indices: IndexArray
    budget: int
    pool_size: int
    report: Mapping[str, Any] = field(default_factory=dict)
    trace: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name, size in (("budget", self.budget), ("pool_size", self.pool_size)):
            if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
                raise InvalidInput(f"{name} must be a whole number, got {size!r}.")
        rows = np.sort(whole_numbers("row numbers", self.indices))
        if len(rows) != self.budget or len(np.unique(rows)) != len(rows):
            raise InvalidInput(
                f"a coreset of budget {self.budget} needs as many distinct rows, "
                f"got {len(rows)} rows of which {len(np.unique(rows))} are distinct."
            )
        if len(rows) and (rows[0] < 0 or rows[-1] >= self.pool_size):
            raise InvalidInput(f"rows must lie in 0..{self.pool_size - 1}, got {rows[0]}..{rows[-1]}.")
        _freeze(self, "indices", _read_only(rows))
        _freeze(self, "report", MappingProxyType(dict(self.report)))


class Selector(Protocol):
    """A selection method; its fields are its hashed parameters.

    Laws: exactly `budget` distinct rows; the same result for the same problem, budget and generator state;
    the problem is left as it was. `needs` names what it reads ("features" and score names), so that nothing
    else is computed. `seeded` says whether it draws from `rng`; if not, a seed does not enter its key.
    `by_class` asks the caller to split the problem by label first (`goracs.selection.by_class`): true, with
    class budgets by the validation rates, or a word of `goracs.selection.class_budgets`.
    """

    @property
    def by_class(self) -> ByClass: ...  # noqa: D102

    @property
    def needs(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def seeded(self) -> bool: ...  # noqa: D102

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset: ...  # noqa: D102


def refuse_budget(asked: object) -> None:
    """Raise InvalidInput for what is no budget of any pool."""
    rows = isinstance(asked, (int, np.integer)) and not isinstance(asked, bool) and asked >= 1
    share = isinstance(asked, (float, np.floating)) and 0 < asked < 1
    if not rows and not share and not (isinstance(asked, str) and asked == "all"):
        raise InvalidInput(
            f"budget must be a whole number >= 1, a share in (0, 1), or all; got {asked!r}.{_meant(asked)}"
        )


def resolve_budget(asked: float | str, pool_size: int) -> int:
    """The number of rows that a budget means for a pool of N rows.

    An integer >= 1 is itself; a share 0 < b < 1 is max(1, floor(b N + .5)); "all" is N. The type tells them
    apart: 1.0 could be one row or the whole pool, so a decimal >= 1 is neither.

    Raises:
        InvalidInput: anything else, or more than N.
    """
    refuse_budget(asked)
    if isinstance(asked, str):
        return pool_size
    rows = isinstance(asked, (int, np.integer))
    budget = int(asked) if rows else max(1, int(np.floor(float(asked) * pool_size + 0.5)))
    if budget > pool_size:
        raise InvalidInput(f"budget {budget} is larger than the pool, which has {pool_size} rows.")
    return budget


def numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Values as an array of real numbers of whatever type; no copy of an array.

    Raises:
        InvalidInput: rows of unequal length, or what is no real number: text, objects, dates, complex or
            masked values.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # the last of torch
        raise InvalidInput(f"{name} must be an array of numbers: {error}.") from error
    if array.dtype.kind not in "biuf" or isinstance(values, np.ma.MaskedArray):
        what = "masked values" if isinstance(values, np.ma.MaskedArray) else f"values of type {array.dtype}"
        raise InvalidInput(f"{name} must be an array of real numbers, got {what}.")
    return array


def whole_numbers(name: str, values: npt.ArrayLike) -> IndexArray:
    """Values as int64 [k].

    Raises:
        InvalidInput: as `numbers`, or no list of integers.
    """
    whole = numbers(name, values)
    if whole.ndim != 1 or (len(whole) and not np.issubdtype(whole.dtype, np.integer)):
        raise InvalidInput(f"{name} must be a list of integers, got {whole.dtype} of shape {whole.shape}.")
    return whole.astype(np.int64)


def _score(scores: Mapping[str, FloatArray], name: str, reader: str, side: str) -> FloatArray:
    if name not in scores:
        have = ", ".join(sorted(scores)) or "none"
        raise InvalidInput(f"{reader} needs the score '{name}'{side}; the problem has: {have}.")
    return scores[name]


def _meant(asked: object) -> str:
    """What to write for a whole number with a decimal point."""
    if not isinstance(asked, (float, np.floating)) or asked < 1 or not float(asked).is_integer():
        return ""
    if asked == 1:
        return " For one row: budget=1; for the whole pool: budget=all."
    return f" For {int(asked)} rows: budget={int(asked)}."


def _checked_matrix(name: str, values: FloatArray) -> FloatArray:
    matrix = numbers(name, values)
    if matrix.ndim != 2 or len(matrix) == 0:
        raise InvalidInput(f"{name} must be a matrix with at least one row, got shape {matrix.shape}.")
    return _finite(name, matrix)


def _checked_scores(name: str, scores: Mapping[str, FloatArray], length: int) -> Mapping[str, FloatArray]:
    if not isinstance(scores, Mapping) or not all(isinstance(key, str) for key in scores):
        raise InvalidInput(f"{name} must be arrays by name, as in {{'gradient_norm': g}}.")
    checked = {key: _checked_score(f"{name}['{key}']", scores[key], length) for key in sorted(scores)}
    return MappingProxyType(checked)


def _checked_score(name: str, values: FloatArray, length: int) -> FloatArray:
    score = numbers(name, values)
    if score.ndim not in (1, 2) or len(score) != length:
        raise InvalidInput(f"{name} must have one entry for each of {length} rows, got shape {score.shape}.")
    return _finite(name, score)


def _checked_labels(name: str, values: IndexArray, length: int) -> IndexArray:
    labels = numbers(name, values)
    if labels.shape != (length,) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(f"{name} must be {length} integers, got {labels.dtype} of shape {labels.shape}.")
    return _read_only(labels.astype(np.int64))


def _finite(name: str, values: FloatArray) -> FloatArray:
    if not np.issubdtype(values.dtype, np.floating) or values.dtype.itemsize > 8:
        values = values.astype(np.float64)  # of longer ones too, which kernels do not know
    parts = (values[start : start + ROWS] for start in range(0, len(values), ROWS))
    inner = tuple(range(1, values.ndim))
    bad = np.flatnonzero(~np.concatenate([np.isfinite(part).all(axis=inner) for part in parts]))
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        raise InvalidInput(f"{name} is not finite in {len(bad)} of {len(values)} rows: {shown}.")
    return _read_only(values)


def _read_only(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def _freeze(owner: object, name: str, value: object) -> None:
    object.__setattr__(owner, name, value)
