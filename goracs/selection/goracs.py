"""GORACS: the coreset of smallest POO that can be found, with a proof of how far from the best it is.

Problem    min over n rows S of POO(S) = OT_c(S, V), c_ij = d_ij / max d - lam * g_i / max g.
Method     `goracs.search.itra`; the paper's own search is `goracs.selection.goracs_paper`.
Cost       passes over N x m distances and exact transports of n x m, until no exchange helps.
Not here   the label-enhanced form (`goracs.selection.by_class`).
Source     GORACS (KDD 2025), Eq. 10 and Algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from goracs.ot import cost, distance
from goracs.search.canonical import canonical_order
from goracs.search.limits import ALONE, EFFORTS, STARTS, Limits
from goracs.search.watch import Watch
from goracs.selection import auto
from goracs.selection.figures import gradient_norms, objective, refuse_lam, scale_warnings
from goracs.types import ByClass, Coreset, InvalidInput, SelectionProblem

if TYPE_CHECKING:
    from goracs.search.itra import Search

SPARE = 0.1  # GB that exchanges may take whatever the limit


@dataclass(frozen=True)
class Goracs:
    """Deterministic, but for a random start and a limit in seconds.

    Args:
        lam: weight of the gradient term, finite, >= 0; above 0 the score `gradient_norm` is needed; or auto:
            chosen on validation data (`goracs.selection.auto`) before the search begins.
        grid: what auto chooses from.
        folds: into how many it cuts the validation set.
        penalty: of the head by which it judges.
        start: capacity, lagrangian, facility, random, or best: the better of the first two.
        effort: how far to go: start, alternate, exchange, certify (until no single exchange
            helps, nor one of the chains of exchanges that are tried among few rows), optimal
            (until no coreset is better: for pools of some hundred rows; give `seconds` for larger ones); or
            exchange_only: without alternation.
        max_exchanges: at most so many, >= 0; None: as many as help.
        seconds: stop after so many, >= 0 (0: the start): the result then depends on the machine; or None.
        memory: GB, > 0; the costs of all rows are held at once only if they fit (8 N m bytes), and exchanges
            need 8 n^2 bytes.
        by_class: one problem for each label.
    """

    lam: float | Literal["auto"]
    grid: tuple[float, ...]
    folds: int
    penalty: float
    start: str
    effort: str
    max_exchanges: int | None
    seconds: float | None
    memory: float
    by_class: ByClass

    spread: ClassVar[bool] = True  # `goracs.cluster`: its passes may be made by others

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", tuple(self.grid))
        self._check_settings()

    @property
    def needs(self) -> frozenset[str]:
        """Features, gradient norms where they count, and what lam=auto judges by."""
        if self.lam == "auto":
            return auto.NEEDS | {"features"}
        return frozenset({"features", "gradient_norm"} if self.lam > 0 else {"features"})

    @property
    def seeded(self) -> bool:
        """Only a random start draws."""
        return self.start == "random"

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:
        """See `goracs.types.Selector`; `search` with nobody watching.

        Raises:
            InvalidInput: a parameter out of its range, or a needed score missing.
        """
        return self.search(problem, budget, rng, Watch())

    def search(
        self, problem: SelectionProblem, budget: int, rng: np.random.Generator, watch: Watch
    ) -> Coreset:
        """Select, telling `watch` how far it is, and going on from its checkpoint.

        Returns: a coreset whose report has, beside the figures of `goracs.assess`, `gap_absolute`,
            `optimal` (whether no coreset is better by more than rounding, for certain),
            `certified_local` (among which rows no single exchange helps: pool, generated or None),
            `generated` (rows looked at closely), `exchanges`, `solves` (cold), `swaps` (warm), `given_up`,
            `bounded`, `nodes` (of branch and bound), `status` and `reproducible`. The trace has phase,
            seconds, objective and bound.

        Raises:
            KeyboardInterrupt: interrupted, with a checkpoint to go on from; without one the best coreset so
                far is returned, with status interrupted.
        """
        from goracs.ot.compiled import announced
        from goracs.ot.pool import Dense, fits, open_pool
        from goracs.search.itra import Search

        self._check(budget)
        lam = self._settled()
        norms = gradient_norms(problem, lam, "selector goracs")
        order = canonical_order(problem)
        spread = None if fits(problem, self.memory) else problem.spread
        scale = cost.scale_of(problem, norms, spread)
        with announced():
            held = open_pool(problem, order, norms, lam, scale, self.memory)
            pool = held if spread is None or isinstance(held, Dense) else spread.pool(held)
            limits = Limits(self.start, self.effort, self.max_exchanges, self.seconds)
            search = Search(pool, budget, limits, rng, watch)
            search.run()
        assert search.rows is not None
        rows = order[search.rows]
        rows.sort()
        found = distance.distances(problem.features[rows], problem.target_features)
        figures = objective(found, None if norms is None else norms[rows], lam, scale)
        report = {**figures, **self._report(search), "warnings": scale_warnings(problem, norms)}
        return Coreset(rows, budget, problem.pool_size, report, tuple(search.trace))

    def _settled(self) -> float:
        if isinstance(self.lam, str):
            raise InvalidInput(
                "selector goracs: lam=auto is settled by goracs.select or a run, not by the selector itself."
            )
        return self.lam

    def _report(self, search: Search) -> dict[str, Any]:
        bounded, given_up, swaps = search.sweeps.counts if search.sweeps else (0, 0, 0)
        known = bool(np.isfinite(search.bound))  # not if interrupted before the first pass
        return {
            "lower_bound": search.bound if known else None,
            "lowest_cost": search.low,
            "gap": search.gap if known else None,
            "gap_absolute": search.value - search.bound if known else None,
            "optimal": known and search.optimal,
            "certified_local": search.certified,
            "generated": search.generated,
            "exchanges": sum(step["phase"] == "exchange" for step in search.trace),
            "solves": search.solves,
            "swaps": swaps,
            "given_up": given_up,
            "bounded": bounded,
            "nodes": search.nodes,
            "status": search.status,
            "reproducible": self.seconds is None and search.status != "interrupted",
        }

    def _check_settings(self) -> None:
        if self.lam != "auto":
            refuse_lam(self.lam)
        _one_of("start", self.start, STARTS)
        _one_of("effort", self.effort, (*EFFORTS, ALONE))
        if self.max_exchanges is not None:
            whole = isinstance(self.max_exchanges, int) and not isinstance(self.max_exchanges, bool)
            _refuse(
                "max_exchanges",
                self.max_exchanges,
                "null or a whole number >= 0",
                whole and self.max_exchanges >= 0,
            )
        if self.seconds is not None:
            _refuse(
                "seconds", self.seconds, "null or a number >= 0", _number(self.seconds) and self.seconds >= 0
            )
        _refuse("memory", self.memory, "a number of GB > 0", _number(self.memory) and self.memory > 0)

    def _check(self, budget: int) -> None:
        needed = 8 * budget**2 / 2**30
        if self.effort not in ("start", "alternate") and needed > max(self.memory, SPARE):
            raise InvalidInput(
                f"selector goracs: exchanges at budget {budget} need {needed:.1f} GB beside the costs, and "
                f"memory is {self.memory}: raise selector.memory, or set selector.effort=alternate."
            )


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    _refuse(name, value, f"one of {', '.join(known)}", value in known)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _refuse(name: str, value: Any, expected: str, holds: bool) -> None:
    if not holds:
        raise InvalidInput(f"selector goracs: {name} must be {expected}, got {value!r}.")
