"""The results of many runs as one table.

A group      is one row: the runs whose configurations are equal but for the seed and for what does not change
             a figure (`assess`, the runtime, the logger, hydra, the place of the store).
A cell       the values of its seeds and an interval over users. All seeds of a group answer for the same test
             users: their spread says nothing of those users, and more seeds make the mean no surer of them.
             So the interval is that of one run, of several seeds the average of theirs, end by end. (That of
             their mean takes every user's answers, which no job folder holds; it is hardly ever wider.)
Columns      what differs between groups. The settings of a choice (an adapter, a data set, a selector) are
             compared within that choice only: between two choices its name says it all.
Pools        where every run has dataset.seed equal to its seed, each seed drew a pool of its own: the two are
             one, and no column; starts that come of the pools are one row then, a start a seed.
References   `untuned`, `start` and the rules do not depend on the coreset: a row for each set of values.
Conventions  nothing is ranked or highlighted; what was not measured is a dash.
Not here     writing result.json (`goracs.stages`), the table as text (`goracs.report.markdown`) and as a
             picture (`goracs.report.plots`), the command (`goracs.commands.table`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import itemgetter
from statistics import mean
from string import ascii_lowercase
from typing import Any

from goracs.report.results import Result, setting_of
from goracs.report.varying import DASH, NOT_IN_GROUP, label_of, redrawn, shown_config
from goracs.report.varying import varying as differing
from goracs.types import GoracsError, InvalidInput

START = "start"
REFERENCES = ("untuned", START, "rule", "popular", "last_item")
TITLES = {
    "auc": "AUC",
    "auc_per_user": "AUC per user",
    "log_loss": "log-loss",
    "ece": "ECE",
    "ndcg@5": "NDCG@5",
    "ndcg@10": "NDCG@10",
    "hr@5": "HR@5",
    "hr@10": "HR@10",
    "mrr@10": "MRR@10",
    "coverage@10": "coverage@10",
    "popular@10": "popular@10",
    "poo": "POO",
}


@dataclass(frozen=True)
class Cell:
    """One figure of one row: a value for each seed that has one, the interval of a run, its number of users.

    `low` and `high` are None where a seed has no interval, `users` where a result does not say it.
    """

    values: tuple[float, ...]
    low: float | None
    high: float | None
    users: int | None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `label` is the selector or the reference, `values` those of `Table.varying`, all as shown; `seeds` are
    those of the runs (of a reference: where each has its own), `cells` the figures by name, absent where
    nobody has one.
    `setting` is how the backbone computed, in words; None where it did not, or runs of the row differ.
    `judged` is False where the coreset of a run lacks its figures (the whole pool is not asked for them).
    """

    label: str
    budget: str
    values: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: Mapping[str, Cell]
    setting: str | None = None
    judged: bool = True


@dataclass(frozen=True)
class Table:
    """Rows and what stands around them.

    `varying` are the dotted names of the configured values that differ between groups, `metrics` the names of
    the figures in the order of the columns, `seeds` and `commands` those of all runs; `redrawn` is whether
    each seed drew a pool of its own.
    """

    references: tuple[Row, ...]
    groups: tuple[Row, ...]
    varying: tuple[str, ...]
    metrics: tuple[str, ...]
    seeds: tuple[int, ...]
    commands: tuple[str, ...]
    redrawn: bool

    @property
    def rows(self) -> tuple[Row, ...]:
        """References and groups, in the order of the table."""
        return (*self.references, *self.groups)

    @property
    def marks(self) -> dict[str, str]:
        """A mark for each setting of the backbone where the rows have several; else none."""
        settings = list(dict.fromkeys(row.setting for row in self.rows if row.setting))
        marks = (f"({letter})" for letter in ascii_lowercase)
        return dict(zip(settings, marks, strict=False)) if len(settings) > 1 else {}

    def label(self, row: Row) -> str:
        """The row's label, with the mark of its setting where settings differ."""
        mark = self.marks.get(row.setting or "")
        return f"{row.label} {mark}" if mark else row.label

    def name(self, row: Row) -> str:
        """What tells a row from the others, in words."""
        budget = [] if row.budget == DASH else [f"budget {row.budget}"]
        values = [f"{k}={v}" for k, v in zip(self.varying, row.values, strict=True) if v != DASH]
        return ", ".join([self.label(row), *budget, *values])


def aggregate(results: Sequence[Result]) -> Table:
    """The results grouped by configuration, with mean and spread over seeds.

    A group and seed that come twice count once if they agree in their figures.

    Args:
        results: as `read_results` gives them; at least one.

    Raises:
        InvalidInput: no results at all.
        GoracsError: two results of one configuration and seed that differ (the files are named).
    """
    if not results:
        raise InvalidInput("a table needs at least one result, got none.")
    pools, groups = redrawn(results), grouped(results)
    varying = differing(groups)
    rows = [_group_row(group, varying) for group in groups]
    references = [row for part in REFERENCES for row in _reference_rows(part, groups, varying, pools)]
    present = {name for row in [*references, *rows] for name in row.cells}
    return Table(
        references=tuple(references),
        groups=tuple(
            sorted(rows, key=lambda row: [_natural(v) for v in (row.label, row.budget, *row.values)])
        ),
        varying=varying,
        metrics=(*(name for name in TITLES if name in present), *sorted(present - set(TITLES))),
        seeds=tuple(sorted({result["seed"] for result in results})),
        commands=tuple(dict.fromkeys(result["command"] for result in results)),
        redrawn=pools,
    )


def _without_pool_seeds(results: Sequence[Result]) -> list[Result]:
    """The results as if dataset.seed were none of their settings."""
    found = []
    for result in results:
        data = {name: value for name, value in result["config"]["dataset"].items() if name != "seed"}
        found.append({**result, "config": {**result["config"], "dataset": data}})
    return found


def grouped(results: Sequence[Result]) -> list[list[Result]]:
    """Results by configuration without NOT_IN_GROUP, each group sorted by seed; twins once.

    Raises:
        GoracsError: as `aggregate`.
    """
    groups: dict[str, dict[int, Result]] = {}
    for result in _without_pool_seeds(results) if redrawn(results) else results:
        config = {key: value for key, value in result["config"].items() if key not in NOT_IN_GROUP}
        group = groups.setdefault(json.dumps(config, sort_keys=True), {})
        twin = group.setdefault(result["seed"], result)
        group[result["seed"]] = twin if _poo(twin) else result
        if not _agree(twin, result):
            raise GoracsError(
                f"{twin['file']} and {result['file']} have one configuration and seed {result['seed']}, but "
                "their figures differ: they come from different versions or machines. Leave one out."
            )
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def _agree(one: Result, other: Result) -> bool:
    """Whether two results have the same figures; one of them may lack those of its coreset."""
    figures = [_poo(result) for result in (one, other) if _poo(result)]
    same = all(part(one) == part(other) for part in (itemgetter("metrics"), label_of, budget_of))
    return same and figures[1:] in ([], figures[:1])


def _group_row(group: Sequence[Result], varying: tuple[str, ...]) -> Row:
    cells = _cells([_part(result, "tuned") | _poo(result) for result in group])
    seeds = tuple(result["seed"] for result in group)
    judged = all(bool(_poo(result)) or not _is_coreset(result) for result in group)
    shown = _shared(group, varying)
    return Row(label_of(group[0]), budget_of(group[0]), shown, seeds, cells, _setting(group), judged)


def _reference_rows(
    part: str, groups: Sequence[Sequence[Result]], varying: tuple[str, ...], pools: bool
) -> list[Row]:
    """The rows of a reference, with the configured values that only it has."""
    variants: dict[str, list[Result]] = {}
    for result in (result for group in groups for result in group):
        if _part(result, part):
            variants.setdefault(json.dumps(_part(result, part), sort_keys=True), []).append(result)
    if part == START and pools and _one_a_seed(list(variants.values())):
        return [_seeds_row(part, [run for runs in variants.values() for run in runs], varying)]
    alike: dict[tuple[str, ...], list[list[Result]]] = {}
    for runs in variants.values():
        alike.setdefault(_shared(runs, varying), []).append(runs)
    rows = [row for values, each in alike.items() for row in _variant_rows(part, values, each)]
    return sorted(rows, key=lambda row: [_natural(v) for v in (*row.values, row.label)])


def _one_a_seed(variants: Sequence[Sequence[Result]]) -> bool:
    """Whether there are several sets of values, and no seed has two of them."""
    seeds = [{run["seed"] for run in runs} for runs in variants]
    return len(seeds) > 1 and sum(map(len, seeds)) == len(set().union(*seeds))


def _variant_rows(part: str, values: tuple[str, ...], variants: Sequence[Sequence[Result]]) -> list[Row]:
    """A row for each set of values; several that nothing configured tells apart are told by their runs."""
    rows = []
    for runs in variants:
        seeds = _numbers(sorted({run["seed"] for run in runs}))
        who = f" ({', '.join(sorted({label_of(run) for run in runs}))}; seeds {seeds})"
        name = part + (who if len(variants) > 1 else "")
        rows.append(Row(name, DASH, values, (), _cells([_part(runs[0], part)]), _setting(runs)))
    return rows


def _seeds_row(part: str, runs: Sequence[Result], varying: tuple[str, ...]) -> Row:
    """One row for what each seed has of its own."""
    of_seed = {run["seed"]: run for run in runs}
    seeds = tuple(sorted(of_seed))
    cells = _cells([_part(of_seed[seed], part) for seed in seeds])
    return Row(part, DASH, _shared(runs, varying), seeds, cells, _setting(runs))


def _shared(runs: Sequence[Result], varying: tuple[str, ...]) -> tuple[str, ...]:
    """For each varying name the value that all the runs have, or a dash."""
    configs = [shown_config(run) for run in runs]
    found = [{config.get(key, DASH) for config in configs} for key in varying]
    return tuple(values.pop() if len(values) == 1 else DASH for values in found)


def _cells(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Cell]:
    cells = {}
    for name in sorted({name for part in parts for name in part}):
        have = [part[name] for part in parts if name in part and part[name]["value"] is not None]
        if have:
            ends = [_all(figure.get(end) for figure in have) for end in ("low", "high")]
            low, high = (mean(end) if end else None for end in ends)
            users = _all(figure.get("users") for figure in have)
            values = tuple(figure["value"] for figure in have)
            cells[name] = Cell(values, low, high, min(users) if users else None)
    return cells


def _all(values: Iterable[Any]) -> list[Any] | None:
    """The values, or None if one is missing."""
    found = list(values)
    return None if None in found else found


def _part(result: Result, part: str) -> dict[str, Any]:
    return (result["metrics"] or {}).get(part) or {}


def _poo(result: Result) -> dict[str, Any]:
    assessment = (result["coreset"] or {}).get("assessment") or {}
    return {"poo": {"value": assessment["poo"]}} if "poo" in assessment else {}


def _is_coreset(result: Result) -> bool:
    """Whether the run chose some of the pool: the whole of it is not judged."""
    return result["coreset"] is not None and result["config"].get("budget") != "all"


def _setting(runs: Sequence[Result]) -> str | None:
    """How the backbone computed in all these runs, in words."""
    found = {setting_of(run) for run in runs}
    return found.pop() if len(found) == 1 else None


def budget_of(result: Result) -> str:
    """The rows of its coreset, and what was asked where that is a share; a dash before the selection."""
    if not result["coreset"]:
        return DASH
    asked, budget = result["coreset"]["budget_asked"], result["coreset"]["budget"]
    return str(budget) if asked == budget else f"{budget} ({asked})"


def leading_number(shown: str) -> float | None:
    """The finite number that a shown value is or begins with, as in "64 (0.1)"; None where there is none."""
    try:
        found = float(shown.split(" ")[0])
    except ValueError:
        return None
    return found if isfinite(found) else None


def _natural(shown: str) -> tuple[bool, float, str]:
    """A sort key: numbers by value, before words by letter."""
    found = leading_number(shown)
    return (found is None, found or 0.0, shown)


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
