"""Every method on every representation of MovieLens, judged by GORACS' objective and by the lab's heads.

Lab        the set-up of `goracs lab` (conf/experiment/lab.yaml) with all methods at one budget: nothing is by
           class but GORACS and random choice, which are tried both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.compare_planted import FIXED_LAM
from goracs import api
from goracs.commands import lab
from goracs.data import popularity
from goracs.lab import judge, trials
from goracs.lab.settings import Lab
from goracs.lab.trials import Bench, Trial
from goracs.lab_line import Described
from goracs.selection.certificate import certify
from goracs.stages.score import KNOWN
from goracs.store import Store
from goracs.types import FloatArray, GoracsError, IndexArray

USUAL = ("random", "kcenter", "el2n", "goracs")  # what conf/lab tries
BOTH_WAYS = ("goracs", "random")  # by class and not
FIXED = ("lab.budgets=[64]", "lab.draws=3")
SETTING = ("selector", "by_class", "features", "lam", "budget", "draw")  # what tells one coreset from another
Row = dict[str, Any]


def key(row: Row) -> tuple[Any, ...]:
    """Which coreset a row is of."""
    return tuple(row[name] for name in SETTING)


def words(methods: Sequence[str]) -> list[str]:
    """What `goracs lab` is told: the methods, and one pass of the LLM for all the numbers that they read."""
    read = frozenset[str]().union(*(api.build(name, {}).needs for name in methods)) & KNOWN
    together = sorted(read | {"gradient_norm", "hidden", "margin", "sketch"})
    ways = {name: "[false,true]" if name in BOTH_WAYS else "[false]" for name in methods}
    return [
        *(f"++lab.selectors.{name}={way}" for name, way in ways.items()),
        *(f"~lab.selectors.{name}" for name in USUAL if name not in methods),
        f"score.together=[{','.join(together)}]",
        *FIXED,
    ]


@dataclass(frozen=True, eq=False)
class Bar:
    """What coresets are tried on, and what judges them.

    Args:
        settings: the lab's.
        bench: what selections see.
        judged: what judges.
        popularity: [N]; how many users of the pool have the item of each pool row.
    """

    settings: Lab
    bench: Bench
    judged: judge.Judge
    popularity: FloatArray

    @classmethod
    def brought(cls, told: Sequence[str]) -> Bar:
        """The stages that those words of a lab ask for, run where they are not in the store."""
        asked = lab.asked(told)
        settings: Lab = asked.made["lab"]
        store = Store(Path(asked.config["store"]["root"]))
        described = Described(asked.made, asked.features, trials.needs(settings), store)
        pool = popularity.read_pool(store.get(described.prepared).path)
        users = popularity.popularity(pool)
        had = np.array([users[item] for item in pool["item"]], dtype=np.float64)
        return cls(settings, described.bench(), described.judge(), had)

    def rows(self, wanted: Callable[[tuple[Any, ...]], bool]) -> Iterator[Row]:
        """A row for each wanted coreset: its setting, the figures of `goracs.lab`, and what is added here.

        Added are `seconds` of the CPU, the head's `penalty`, the share of `liked` rows, their mean
        `popularity`, and for GORACS on the whole pool `lower_bound` and `lowest_cost`. A trial that is
        refused has its setting and why.
        """
        heads = judge.Heads(self.bench.problem)
        penalty, _ = judge.penalty(self.settings, heads)
        for drawn in trials.trials(self.settings, self.bench.problem.pool_size):
            for trial in drawn:
                setting = {**trial.setting._asdict(), "draw": trial.draw}
                whole = setting["selector"] not in FIXED_LAM or not setting["lam"]
                if whole and wanted(key(setting)):
                    yield {**setting, **self._tried(trial, heads, penalty)}

    def _tried(self, trial: Trial, heads: judge.Heads, penalty: float) -> Row:
        began = time.process_time()
        try:
            found = trials.chosen(self.bench, trial)
        except GoracsError as error:
            return {"refused": str(error)}
        seconds = time.process_time() - began
        row = next(judge.run([(trial, found)], heads, self.judged, penalty))
        return {
            **row,
            "rows": found.rows.tolist(),
            "seconds": seconds,
            "penalty": penalty,
            "liked": float(heads.pool[1][found.rows].mean()),
            "popularity": float(self.popularity[found.rows].mean()),
            **self._bound(trial, np.searchsorted(trial.rows, found.rows)),
        }

    def _bound(self, trial: Trial, chosen: IndexArray) -> Row:
        """What no coreset of the drawn pool is below, and the smallest cost of a row."""
        setting = trial.setting
        if setting.selector != "goracs" or setting.by_class or setting.lam == "auto":
            return {}
        assert setting.features is not None
        posed, lam = trials.posed(self.bench, trial), float(setting.lam or 0.0)
        assert posed.scale is not None
        norms = self.bench.problem.scores["gradient_norm"][trial.rows].astype(np.float64)
        nearest = self.bench.distances[setting.features][trial.rows].min(axis=1) / posed.scale.distance
        lowest = float((nearest - lam * norms / posed.scale.gradient).min())
        return {"lower_bound": certify(posed, chosen, lam)["lower_bound"], "lowest_cost": lowest}
