"""The search for a coreset: a start, the bound, alternation, exchanges.

Problem    min over n rows S of OT(S), uniform 1/n on S and 1/m on the columns, costs of `goracs.ot.pool`.
Course     1 a start (`goracs.search.starts`);
           2 the bound on the global optimum (`goracs.ot.lagrangian`), which also generates the rows worth a
             close look and gives a second start;
           3 alternation (`goracs.search.alternate`), left out with effort=exchange_only;
           4 exchanges (`goracs.search.refine`) among the generated rows, with effort=certify among all rows:
             at once where their costs are at hand, and chains of them (`goracs.search.chains`), else part
             after part (`goracs.search.parts`);
           5 with effort=optimal there, branch and bound (`goracs.search.branch`) until nothing can be better.
Anytime    the best coreset so far is always valid; what limits the search is asked between steps.
Source     GORACS (KDD 2025), ITRA, with another start, exact re-optimisation and a certificate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from goracs.ot import exact, lagrangian
from goracs.ot.cost import gap
from goracs.ot.lagrangian import Ascent, Dual, Generated
from goracs.ot.pool import Dense, Streamed
from goracs.search import kept, lazily, starts
from goracs.search.alternate import alternate
from goracs.search.branch import branch
from goracs.search.chains import chain
from goracs.search.kept import Aims
from goracs.search.lazily import Apart
from goracs.search.limits import Limits
from goracs.search.parts import parts
from goracs.search.refine import Sweeps, refine
from goracs.search.watch import Watch
from goracs.types import GoracsError, IndexArray

ROUNDING = 1e-10  # of the size of the costs
TOLD = 0.01  # of the distance to the value: by so much a bound rises before branch and bound tells it
FIRST = 4096  # so many rows at least are looked at closely to begin with


@dataclass(eq=False)
class Search:
    """One search and how far it is.

    Args:
        pool: N rows in canonical order.
        budget: n.
        limits: what ends it.
        rng: for a random start.
        watch: told of progress; keeps the checkpoint.
    """

    pool: Dense | Streamed | Apart
    budget: int
    limits: Limits
    rng: np.random.Generator
    watch: Watch
    rows: IndexArray | None = None
    value: float = np.inf
    bound: float = -np.inf
    low: float = 0.0
    solves: int = 0
    sweeps: Sweeps | None = None
    generated: int = 0
    nodes: int = 0
    status: str = "finished"
    trace: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def run(self) -> None:
        """Search; a KeyboardInterrupt ends it with the best coreset so far, unless a checkpoint is kept."""
        self.low = self.pool.low
        try:
            state = kept.whole(self.watch.load(), self.watch.checkpoint)
            generated, sweeps = self._begin() if state is None else self._continued(state)
            if self.limits.reach("exchange") and self._go_on():
                self._exchange(generated, sweeps)
        except KeyboardInterrupt:
            if self.rows is None or self.watch.checkpoint is not None:
                raise
            self.status = "interrupted"
        self._check()

    @property
    def gap(self) -> float:
        """(value - bound) / (value - smallest cost); 0 where that is 0."""
        return gap(self.value, self.bound, self.low)

    @property
    def optimal(self) -> bool:
        """Whether no coreset is proven to be better by more than rounding."""
        return self.value - self.bound <= ROUNDING * max(1.0, abs(self.low))

    @property
    def certified(self) -> str | None:
        """Among which rows no single exchange helps: the pool's, the generated ones', or not known."""
        if self.sweeps is None or not self.sweeps.proven:
            return None
        return "pool" if self.generated == self.pool.size else "generated"

    def _begin(self) -> tuple[Generated, Sweeps]:
        generated = lagrangian.sample(self.pool, _closely(self.pool.size, self.budget))
        rows = self._first()
        held = self._solve(rows)
        if self.limits.start != "lagrangian":  # which only aims at these rows
            self._better("start", rows, held.value)
        generated = generated.with_rows(self.pool, rows)
        if self.limits.start in ("facility", "random") and self.limits.reach("alternate") and self._go_on():
            rows, held = self._alternate(generated, rows, held)  # such starts are far off: a better aim
        aim = replace(held, value=np.inf) if self.limits.start == "lagrangian" else held
        return self._bounded(Aims(rows, held, rows, aim), lagrangian.begin(held.v, generated))

    def _bounded(self, aims: Aims, at: Ascent) -> tuple[Generated, Sweeps]:
        """The bound, and alternation from what the ascents to it yield."""
        dual, aims = self._ascend(aims, at)
        rows, held = aims.rows, aims.held
        if self.limits.start in ("best", "lagrangian"):
            rows, held = aims.best, aims.best_held
        if self.limits.reach("alternate") and self._go_on():
            self._alternate(dual.generated, rows, held)
        assert self.rows is not None
        sweeps = Sweeps(np.searchsorted(dual.generated.rows, self.rows))  # the best so far: what is returned
        self._keep_sweeps(dual.generated, sweeps)
        return dual.generated, sweeps

    def _ascend(self, aims: Aims, at: Ascent) -> tuple[Dual, Aims]:
        """Raise the bound, aiming at the best coreset known, while that yields a better one to aim at.

        Returns: the last ascent, and the aims then; with start=lagrangian the best that the ascents yielded.
        """
        while True:
            dual = lagrangian.ascend(
                self.pool, self.budget, at, aims.known, self._raise_bound, partial(self._keep_ascent, aims)
            )
            found = self._solve(dual.favoured)
            better = found.value < aims.best_held.value
            if better:
                aims = replace(aims, best=dual.favoured, best_held=found)
                if self.limits.start in ("best", "lagrangian"):
                    self._better("start", aims.best, found.value)
            if not better or not self._go_on():
                return dual, aims
            at = lagrangian.begin(dual.prices, dual.generated)

    def _first(self) -> IndexArray:
        if self.limits.start == "random":
            return starts.random(self.pool.size, self.budget, self.rng)
        facility = self.limits.start == "facility"
        if isinstance(self.pool, Dense):
            return (starts.facility if facility else starts.capacity)(self.pool.costs, self.budget)
        return (lazily.facility if facility else lazily.capacity)(self.pool, self.budget)

    def _whole(self) -> Generated:
        assert isinstance(self.pool, Dense)
        return Generated(np.arange(self.pool.size), self.pool.costs)

    def _solve(self, rows: IndexArray) -> exact.Transport:
        self.solves += 1
        return exact.solve(self.pool.rows(rows))

    def _alternate(
        self, generated: Generated, rows: IndexArray, held: exact.Transport
    ) -> tuple[IndexArray, exact.Transport]:
        def go_on(places: IndexArray, found: exact.Transport) -> bool:
            self.solves += 1
            self._better("alternate", generated.rows[places], found.value)
            return self._go_on()

        places, held = alternate(generated.costs, np.searchsorted(generated.rows, rows), held, go_on)
        self.solves += 1  # the one that brought nothing
        return generated.rows[places], held

    def _exchange(self, generated: Generated, sweeps: Sweeps) -> None:
        """Among the generated rows, and then, to certify, among all."""
        self.generated = len(generated.rows)
        sweeps = self._refine(generated, sweeps)
        if not self.limits.reach("certify"):
            return
        if not isinstance(self.pool, Dense):
            if self.generated < self.pool.size:
                self._in_parts(generated, sweeps)
            return
        if sweeps.proven and self.generated < self.pool.size:
            rows, self.generated = generated.rows[sweeps.rows], self.pool.size
            sweeps = self._refine(self._whole(), replace(sweeps, rows=rows, proven=False))
        if not self.nodes:  # else it goes on from a coreset that branch and bound has found
            sweeps = self._chain(sweeps)
        if self.limits.reach("optimal"):
            self._branch(sweeps)

    def _in_parts(self, generated: Generated, sweeps: Sweeps) -> None:
        """Over all rows that could help, until once none does; before each time among the generated ones."""
        while sweeps.proven and self._go_on():
            place, before = generated.rows[sweeps.rows], sweeps.exchanges
            for part in parts(self.pool, place, self._solve(place)):
                part = part.with_rows(self.pool, place)  # those that came in since
                asked = replace(sweeps, rows=np.searchsorted(part.rows, place), proven=False)
                sweeps = self._refine(part, asked, keep=False)
                place = part.rows[sweeps.rows]
                if not sweeps.proven:
                    return
                self.sweeps = replace(sweeps, proven=False)  # it is for this part alone
            if sweeps.exchanges == before:
                self.generated, self.sweeps = self.pool.size, sweeps
                return
            generated = generated.with_rows(self.pool, place)
            self.generated = len(generated.rows)
            asked = replace(sweeps, rows=np.searchsorted(generated.rows, place), proven=False)
            sweeps = self._refine(generated, asked)

    def _chain(self, sweeps: Sweeps) -> Sweeps:
        """Chains of exchanges among all rows, and single ones again after each that helps."""
        whole, most = self._whole(), self.limits.max_exchanges
        while sweeps.proven:
            left = np.inf if most is None else most - sweeps.exchanges
            found = chain(whole.costs, sweeps, left, self._go_on)
            if found is None:
                break
            self.sweeps = found
            self._better("chain", found.rows, self._solve(found.rows).value)
            sweeps = self._refine(whole, found)
        return sweeps

    def _branch(self, sweeps: Sweeps) -> None:
        """Branch and bound, and exchanges again from each better coreset that it finds."""
        whole = self._whole()
        while sweeps.proven and self._go_on():
            assert self.rows is not None
            held = self._solve(self.rows)
            found = branch(whole.costs, self.rows, held, self.bound, self._rises)
            self.nodes += found.nodes
            self._raise_bound(found.bound)
            if np.array_equal(found.rows, self.rows):
                break
            self.sweeps = sweeps = replace(sweeps, rows=found.rows, proven=False)
            self._better("branch", found.rows, found.value)
            sweeps = self._refine(whole, sweeps)

    def _rises(self, bound: float) -> bool:
        if bound - self.bound > TOLD * (self.value - self.bound):
            self._raise_bound(bound)
        return self._go_on()

    def _refine(self, generated: Generated, sweeps: Sweeps, *, keep: bool = True) -> Sweeps:
        def go_on(places: IndexArray, value: float) -> bool:
            assert self.rows is not None
            rows = np.sort(generated.rows[places])
            if value < self.value and not np.array_equal(rows, self.rows):  # not by rounding alone
                self._better("exchange", rows, value)
            return self._go_on()

        def between(sweeps: Sweeps) -> None:
            self.sweeps = sweeps
            if keep:
                self._keep_sweeps(generated, sweeps)

        self.sweeps = sweeps
        self.sweeps = refine(generated.costs, sweeps, self.limits.max_exchanges, go_on, between)
        return self.sweeps

    def _better(self, phase: str, rows: IndexArray, value: float) -> None:
        if value < self.value:
            self.rows, self.value = np.sort(rows), value
        self._tell(phase)

    def _raise_bound(self, bound: float) -> bool:
        self.bound = max(self.bound, bound)
        self._tell("bound")
        return self._go_on()

    def _tell(self, phase: str) -> None:
        if self.rows is None:
            return
        bound = self.bound if np.isfinite(self.bound) else None
        seconds = round(time.perf_counter() - self.began, 4)
        self.trace.append({"phase": phase, "seconds": seconds, "objective": self.value, "bound": bound})
        self.watch.step(phase, self.value, None if bound is None else self.gap)

    def _go_on(self) -> bool:
        limit = self.limits.seconds
        if limit is None or time.perf_counter() - self.began < limit:
            return True
        self.status = "out of time"
        return False

    def _keep_sweeps(self, generated: Generated, sweeps: Sweeps) -> None:
        self._keep(kept.sweeps(generated, sweeps))

    def _keep_ascent(self, aims: Aims, at: Ascent) -> None:
        self._keep(kept.ascent(aims, at))

    def _keep(self, where: Mapping[str, Any]) -> None:
        """Leave a checkpoint from which the search goes on exactly as it would have."""
        self.watch.save(
            {
                **where,
                "best": np.empty(0, np.int64) if self.rows is None else self.rows,
                "found": np.array([self.value, self.bound, time.perf_counter() - self.began]),
                "counts": np.array([self.solves, self.nodes]),
                "trace": np.array(json.dumps(self.trace)),
            }
        )

    def _continued(self, state: Mapping[str, Any]) -> tuple[Generated, Sweeps]:
        if not kept.fits(state, self.pool, self.budget):
            raise self._of_another()
        self.value, self.bound, seconds = state["found"].tolist()
        self.solves, self.nodes = state["counts"].tolist()
        self.trace, self.began = json.loads(str(state["trace"])), self.began - seconds
        if len(rows := state["best"]):
            self.rows = rows
            self._refuse_other(rows, self.value)
        if "ascent" not in state:
            return kept.sweeps_of(state, self.pool)
        aims, at = kept.ascent_of(state, self.pool)
        self._refuse_other(aims.rows, float(state["begun"]))
        return self._bounded(aims, at)

    def _refuse_other(self, rows: IndexArray, value: float) -> None:
        if abs(exact.solve(self.pool.rows(rows)).value - value) > ROUNDING * max(1.0, abs(value)):
            raise self._of_another()

    def _of_another(self) -> GoracsError:
        return GoracsError(f"the checkpoint {self.watch.checkpoint} is of another problem: delete it.")

    def _check(self) -> None:
        """A bound above the value would be a defect of ours; by less than rounding it is the value."""
        size = max(1.0, abs(self.low))  # distances are at most 1
        if self.bound > self.value + ROUNDING * size:
            raise GoracsError(
                f"the lower bound {self.bound!r} is above the transport {self.value!r} of a coreset: a "
                "defect of goracs; please report it with the data."
            )
        self.bound = min(self.bound, self.value)


def _closely(pool: int, budget: int) -> int:
    return min(pool, max(FIRST, lagrangian.SPREAD * budget))
