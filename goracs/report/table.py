"""The results of many runs as one table.

A group      is one row: the runs whose configurations are equal but for the seed and for what does not change
             a figure (the runtime, the logger, hydra, the place of the store).
A cell       of several seeds: mean, sample standard deviation, number of seeds. Of one: the run's own value
             and its interval over users.
References   `untuned`, `start` and `rule` do not depend on the coreset: one row per distinct set of values.
Conventions  nothing is ranked or highlighted; what was not measured is a dash; a seed that other groups have
             and this one lacks is named.
Not here     writing result.json (`goracs.stages`), the command (`goracs.commands.table`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import mean, stdev
from typing import Any

from goracs.report.results import Result
from goracs.types import GoracsError, InvalidInput

NOT_IN_GROUP = ("seed", "runtime", "logger", "hydra", "store")
REFERENCES = ("untuned", "start", "rule")
TITLES = {
    "auc": "AUC",
    "auc_per_user": "AUC per user",
    "log_loss": "log-loss",
    "ndcg@5": "NDCG@5",
    "ndcg@10": "NDCG@10",
    "hr@5": "HR@5",
    "hr@10": "HR@10",
    "poo": "POO",
}
DASH = "-"


@dataclass(frozen=True)
class Cell:
    """One figure of one row: a value for each seed that has one, and the interval of a lone seed."""

    values: tuple[float, ...]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `label` is the selector or the reference, `values` those of `Table.varying`, all as shown; `seeds` are
    those of the runs (none for a reference), `cells` the figures by name, absent where nobody has one.
    """

    label: str
    budget: str
    values: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """Rows and what stands around them.

    `varying` are the dotted names of the configured values that differ between groups, `metrics` the names of
    the figures in the order of the columns, `seeds` and `commands` those of all runs.
    """

    references: tuple[Row, ...]
    groups: tuple[Row, ...]
    varying: tuple[str, ...]
    metrics: tuple[str, ...]
    seeds: tuple[int, ...]
    commands: tuple[str, ...]

    def name(self, row: Row) -> str:
        """What tells a row from the others, in words."""
        budget = [] if row.budget == DASH else [f"budget {row.budget}"]
        values = [f"{k}={v}" for k, v in zip(self.varying, row.values, strict=True) if v != DASH]
        return ", ".join([row.label, *budget, *values])


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
    groups = _grouped(results)
    varying = _varying(groups)
    rows = [_group_row(group, varying) for group in groups]
    references = [row for part in REFERENCES for row in _reference_rows(part, groups, varying)]
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
    )


def render(table: Table) -> str:
    """The table as GitHub Markdown, with seeds, missing seeds and commands beneath; ends with a newline."""
    titles = ["selector", "budget", *table.varying, *(TITLES.get(name, name) for name in table.metrics)]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for row in (*table.references, *table.groups):
        figures = (_figure(row, name) for name in table.metrics)
        lines.append(_line([row.label, row.budget, *row.values, *figures]))
    note = "Mean ± sample standard deviation (number of seeds), or one run's value [95% interval over users]."
    lines += ["", note, "", f"Seeds: {_numbers(table.seeds)}."]
    for row in table.groups:
        missing = [seed for seed in table.seeds if seed not in row.seeds]
        if missing:
            lines += ["", f"Missing seeds of {table.name(row)}: {_numbers(missing)}."]
    if table.commands:
        lines += ["", "Commands:", "", "```", *table.commands, "```"]
    return "\n".join([*lines, ""])


def _grouped(results: Sequence[Result]) -> list[list[Result]]:
    """Results by configuration without NOT_IN_GROUP, each group sorted by seed."""
    groups: dict[str, dict[int, Result]] = {}
    for result in results:
        config = {key: value for key, value in result["config"].items() if key not in NOT_IN_GROUP}
        group = groups.setdefault(json.dumps(config, sort_keys=True), {})
        twin = group.setdefault(result["seed"], result)
        if any(part(twin) != part(result) for part in (itemgetter("metrics"), _label, _budget, _poo)):
            raise GoracsError(
                f"{twin['file']} and {result['file']} have one configuration and seed {result['seed']}, but "
                "their figures differ: they come from different versions or machines. Leave one out."
            )
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def _varying(groups: Sequence[Sequence[Result]]) -> tuple[str, ...]:
    """Dotted names whose value differs between groups; a selector's own are compared within that selector."""
    seen: dict[tuple[str, str], set[str]] = {}
    flats = [(_label(group[0]), _shown_config(group[0])) for group in groups]
    for key in sorted({key for _, flat in flats for key in flat}):
        for label, flat in flats:
            scope = label if key.startswith("selector.") else ""
            seen.setdefault((key, scope), set()).add(flat.get(key, DASH))
    return tuple(dict.fromkeys(key for (key, _), values in seen.items() if len(values) > 1))


def _group_row(group: Sequence[Result], varying: tuple[str, ...]) -> Row:
    cells = _cells([_part(result, "tuned") | _poo(result) for result in group])
    seeds = tuple(result["seed"] for result in group)
    return Row(_label(group[0]), _budget(group[0]), _shared(group, varying), seeds, cells)


def _reference_rows(part: str, groups: Sequence[Sequence[Result]], varying: tuple[str, ...]) -> list[Row]:
    """One row per distinct set of the reference's values, with the configured values that only it has."""
    variants: dict[str, list[Result]] = {}
    for result in (result for group in groups for result in group):
        if _part(result, part):
            variants.setdefault(json.dumps(_part(result, part), sort_keys=True), []).append(result)
    rows = []
    shown = [_shared(runs, varying) for runs in variants.values()]
    for runs, values in zip(variants.values(), shown, strict=True):
        seeds = _numbers(sorted({run["seed"] for run in runs}))
        who = f" ({', '.join(sorted({_label(run) for run in runs}))}; seeds {seeds})"
        label = part + (who if Counter(shown)[values] > 1 else "")
        rows.append(Row(label, DASH, values, (), _cells([_part(runs[0], part)])))
    return sorted(rows, key=lambda row: [_natural(v) for v in (*row.values, row.label)])


def _shared(runs: Sequence[Result], varying: tuple[str, ...]) -> tuple[str, ...]:
    """For each varying name the value that all the runs have, or a dash."""
    configs = [_shown_config(run) for run in runs]
    found = [{config.get(key, DASH) for config in configs} for key in varying]
    return tuple(values.pop() if len(values) == 1 else DASH for values in found)


def _cells(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Cell]:
    cells = {}
    for name in sorted({name for part in parts for name in part}):
        have = [part[name] for part in parts if name in part and part[name]["value"] is not None]
        one = have[0] if len(parts) == 1 and have else {}
        if have:
            cells[name] = Cell(tuple(figure["value"] for figure in have), one.get("low"), one.get("high"))
    return cells


def _part(result: Result, part: str) -> dict[str, Any]:
    return (result["metrics"] or {}).get(part) or {}


def _poo(result: Result) -> dict[str, Any]:
    assessment = (result["coreset"] or {}).get("assessment") or {}
    return {"poo": {"value": assessment["poo"]}} if "poo" in assessment else {}


def _label(result: Result) -> str:
    return result["coreset"]["selector"] if result["coreset"] else DASH


def _budget(result: Result) -> str:
    if not result["coreset"]:
        return DASH
    asked, budget = result["coreset"]["budget_asked"], result["coreset"]["budget"]
    return str(budget) if asked == budget else f"{budget} ({asked})"


def _shown_config(result: Result) -> dict[str, str]:
    """The configuration as dotted names and shown values, without what has a column of its own."""
    left_out = {*NOT_IN_GROUP, *(("budget",) if result["coreset"] else ())}
    return _flat("", {key: value for key, value in result["config"].items() if key not in left_out})


def _flat(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        parts = (_flat(f"{prefix}.{key}" if prefix else str(key), inner) for key, inner in value.items())
        return {key: shown for part in parts for key, shown in part.items()}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def _natural(shown: str) -> tuple[bool, float, str]:
    """A sort key: numbers by value, before words by letter."""
    try:
        return (False, float(shown.split(" ")[0]), shown)
    except ValueError:
        return (True, 0.0, shown)


def _figure(row: Row, name: str) -> str:
    if name not in row.cells:
        return DASH
    cell = row.cells[name]
    shown = f"{mean(cell.values):.3f}"
    if len(cell.values) > 1:
        return f"{shown} ± {stdev(cell.values):.3f} ({len(cell.values)})"
    if cell.low is not None:
        return f"{shown} [{cell.low:.3f}, {cell.high:.3f}]"
    return f"{shown} (1)" if len(row.seeds) > 1 else shown


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
