"""Which runs are compared with which: methods within blocks.

Method    what chooses the rows: the selector, what it sees (features, encoder, score, proxy), and what the
          task sets for it. Its name is the selector's, with the settings that tell it from others of that
          selector.
Block     all else that differs: data set, split, backbone, training, budget. Methods are compared within one.
Versions  a setting that only some results tell and these tell alike is taken to have been so in all, and
          said; classes below a choice may have been renamed, and tell nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from goracs.report.answers import Answers, read_answers
from goracs.report.comparison import Comparison, Measured, compare
from goracs.report.results import Result
from goracs.report.table import TITLES, budget_of, grouped, leading_number
from goracs.report.varying import DASH, label_of, shown_config, varying
from goracs.types import GoracsError

OF_METHOD = ("selector", "features", "encoder", "score", "surrogate", "proxy")
OF_METHOD_TOO = ("task.lam", "task.published_lam", "task.max_exchanges", "task.candidates", "task.by_class")
LESS_IS_BETTER = ("log_loss", "ece", "poo")
NEITHER = ("coverage@10", "popular@10")  # no better and no worse
CLASS = "_target_"


@dataclass(frozen=True)
class Entry:
    """One method in one block: its runs by seed, and what each answered (None where nobody kept it)."""

    method: str
    runs: Mapping[int, Result]
    answers: Mapping[int, Answers | None]

    def measured(self, metric: str) -> Measured | None:
        """A figure over its seeds; None where no seed has it."""
        told = {seed: run["metrics"]["tuned"].get(metric) for seed, run in self.runs.items()}
        values = {seed: one["value"] for seed, one in told.items() if one and one["value"] is not None}
        kept = {seed: one.resampled for seed, one in self.answers.items() if one is not None}
        resampled = {seed: kept[seed][metric] for seed in values if metric in kept.get(seed, {})}
        return Measured(values, resampled) if values else None


@dataclass(frozen=True)
class Block:
    """Methods that answered for the same test rows under the same settings.

    `settings` are the dotted names and shown values that tell it from other blocks, `budget` is that of the
    coresets, as shown.
    """

    settings: Mapping[str, str]
    budget: str
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """What tells it from others, in words."""
        return ", ".join([f"budget {self.budget}", *(short(k, v) for k, v in self.settings.items())])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures that any entry has and of which more or less is better."""
        have = {
            name for entry in self.entries for run in entry.runs.values() for name in run["metrics"]["tuned"]
        }
        return tuple(name for name in TITLES if name in have and name not in NEITHER)

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Metric -> the comparison of all entries that have it, where there are two."""
        found = {}
        for metric in self.metrics:
            measured = {entry.method: entry.measured(metric) for entry in self.entries}
            known = {name: one for name, one in measured.items() if one is not None}
            if len(known) > 1:
                found[metric] = compare(known, more_is_better=metric not in LESS_IS_BETTER)
        return found


def blocks(results: Sequence[Result]) -> list[Block]:
    """The blocks of all runs that were evaluated, by their settings; nothing where there are none.

    Raises:
        GoracsError: runs of one block and seed that answer for different test rows, or as `grouped`.
    """
    groups = [group for group in grouped(results) if _evaluated(group[0])]
    differing = varying(groups)
    settings = [name for name in differing if not _of_method(name)]
    names = _method_names(groups, [name for name in differing if _of_method(name)])
    found: dict[str, list[Entry]] = {}
    keys: dict[str, tuple[dict[str, str], str]] = {}
    for group, name in zip(groups, names, strict=True):
        config = shown_config(group[0])
        told = {key: config[key] for key in settings if key in config}
        key = json.dumps([told, budget_of(group[0])], sort_keys=True)
        keys[key] = told, budget_of(group[0])
        found.setdefault(key, []).append(_entry(name, group))
    made = [Block(*keys[key], tuple(sorted(entries, key=_order))) for key, entries in found.items()]
    for block in made:
        _refuse_other_rows(block)
    return sorted(made, key=lambda block: (sorted(block.settings.items()), _number(block.budget)))


def settled(results: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """The results as if one version had left them all, and what was taken to be so, in dotted names."""
    told: dict[tuple[str, ...], set[str]] = {}
    for result in results:
        for name, value in _leaves("", result["config"]):
            told.setdefault((name, *_choice(result, name)), set()).add(json.dumps(value))
    filled: set[str] = set()
    found = []
    for result in results:
        config = json.loads(json.dumps(result["config"]))
        have = dict(_leaves("", config))
        for (name, *choice), values in told.items():
            if name.endswith(f".{CLASS}") and name.count(".") > 1 and name in have:
                _set(config, name, None)
            elif _lacks(have, name) and len(values) == 1 and choice and choice == _choice(result, name):
                _set(config, name, json.loads(next(iter(values))))
                filled.add(name)
        found.append({**result, "config": config})
    return found, sorted(filled)


def short(name: str, value: str) -> str:
    """A setting as words: the last part of its name, or the choice where it is one."""
    parts = name.split(".")
    title = parts[0] if parts[-1] in (CLASS, "name") else parts[-1]
    return f"{title}={value.rpartition('.')[2] if parts[-1] == CLASS else value}"


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value


def _choice(result: Result, name: str) -> list[str]:
    """What a setting is a setting of: its part of the configuration, as chosen; empty where it has none."""
    part = name.partition(".")[0]
    inner = result["config"].get(part)
    if not isinstance(inner, dict):
        return []
    return [part, str(label_of(result) if part == "selector" else inner.get("name", inner.get(CLASS)))]


def _lacks(have: Mapping[str, Any], name: str) -> bool:
    """Whether neither a setting is there nor a value where its group would be."""
    parts = name.split(".")
    return not any(".".join(parts[:count]) in have for count in range(1, len(parts) + 1))


def _set(config: dict[str, Any], name: str, value: Any) -> None:
    *parts, last = name.split(".")
    for part in parts:
        config = config.setdefault(part, {})
    config[last] = value


def _evaluated(result: Result) -> bool:
    return result["coreset"] is not None and bool((result["metrics"] or {}).get("tuned"))


def _of_method(name: str) -> bool:
    return name.partition(".")[0] in OF_METHOD or name in OF_METHOD_TOO


def _method_names(groups: Sequence[Sequence[Result]], settings: Sequence[str]) -> list[str]:
    """For each group its selector, with what tells it from other groups of that selector."""
    labels = [label_of(group[0]) for group in groups]
    told = [{name: shown_config(group[0]).get(name, DASH) for name in settings} for group in groups]
    names = []
    for label, mine in zip(labels, told, strict=True):
        alike = [other for other, theirs in zip(told, labels, strict=True) if theirs == label]
        apart = [name for name in settings if len({other[name] for other in alike}) > 1]
        names.append(" ".join([label, *(short(name, mine[name]) for name in apart if mine[name] != DASH)]))
    return names


def _entry(name: str, group: Sequence[Result]) -> Entry:
    runs = {run["seed"]: run for run in group}
    return Entry(name, runs, {seed: read_answers(run) for seed, run in runs.items()})


def _refuse_other_rows(block: Block) -> None:
    first: dict[int, tuple[Result, Answers]] = {}
    for entry in block.entries:
        for seed, answers in entry.answers.items():
            if answers is None:
                continue
            run, theirs = first.setdefault(seed, (entry.runs[seed], answers))
            if not answers.asked.equals(theirs.asked):
                raise GoracsError(
                    f"{run['file']} and {entry.runs[seed]['file']} have one set-up and seed {seed} but "
                    f"answered for different test rows ({theirs.users} and {answers.users} users): they are "
                    "not comparable, the data changed in between. Run one of them again, or leave it out."
                )


def _order(entry: Entry) -> tuple[bool, str]:
    return (not entry.method.startswith("random"), entry.method)


def _number(shown: str) -> tuple[float, str]:
    found = leading_number(shown)
    return (float("inf") if found is None else found, shown)
