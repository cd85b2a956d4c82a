"""A study by docs/study/protocol.md: its results kept in a folder, and compared.

`python -m experiments.study keep SWEEP FOLDER` copies result.json and the answers of every finished job of a
sweep over `experiment=study/METHOD`: heads (finetune=head) below FOLDER/head, fine-tunes below FOLDER/lora.
`python -m experiments.study table FOLDER` writes FOLDER/table.md: the methods, each against random, paired
over seeds, and how heads rank the same coresets.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import polars as pl

from goracs.evaluation.ctr import resampled
from goracs.report.lab import rank_correlation
from goracs.report.results import Result, read_results
from goracs.report.statistics import Difference, difference, holm
from goracs.types import FloatArray, GoracsError

METHOD = re.compile(r"experiment=study/(\w+)")
BASE = "random"
FIRST = "log_loss"
METRICS = {"log_loss": "test log-loss", "auc": "AUC", "auc_per_user": "AUC per user"}
KINDS = {"lora": "LoRA", "head": "heads"}
DRAWS = 2000  # resamples of users and seeds
ANSWERS = "predictions.parquet"


@dataclass(frozen=True)
class Run:
    """One job of a study."""

    method: str
    budget: int
    seed: int
    result: Result

    @property
    def figures(self) -> dict[str, float]:
        """Metric -> value on the test rows."""
        return {name: self.result["metrics"]["tuned"][name]["value"] for name in METRICS}

    @cached_property
    def resampled(self) -> dict[str, FloatArray]:
        """Metric -> [DRAWS] under resampled users, the same users for every run of a study."""
        answers = pl.read_parquet(Path(self.result["file"]).with_name(ANSWERS))
        margins, labels = answers["margin"].to_numpy().astype(np.float64), answers["label"].to_numpy()
        return resampled(margins, labels, answers["user"].to_list(), draws=DRAWS, seed=0)


def keep(sweep: Path, folder: Path) -> int:
    """Copy the finished jobs of a sweep; how many."""
    runs = list(_runs(read_results([sweep])))
    for run in runs:
        kind = "head" if "head" in run.result else "lora"
        place = folder / kind / f"{run.method}-{run.budget}-seed{run.seed}"
        place.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", ANSWERS):
            shutil.copy(Path(run.result["file"]).with_name(name), place)
    return len(runs)


def table(folder: Path) -> str:
    """The study as Markdown.

    Raises:
        GoracsError: no results.
    """
    parts = []
    for kind, title in KINDS.items():
        runs = list(_runs(read_results([folder / kind]))) if (folder / kind).is_dir() else []
        for budget in sorted({run.budget for run in runs}):
            mine = [run for run in runs if run.budget == budget]
            found = {name: _against_base(mine, name) for name in METRICS}
            parts += [f"## {title}, budget {budget}", _figures(mine, found[FIRST])]
            parts += [_differences(title, found[name]) for name, title in METRICS.items() if found[name]]
    return "\n\n".join([*parts, *_agreement(folder)]) + "\n"


def _runs(results: Sequence[Result]) -> Iterator[Run]:
    for result in results:
        found = METHOD.search(result["command"])
        if found is None or result["metrics"]["tuned"] is None:
            raise GoracsError(f"{result['file']} is no finished job of experiment=study/METHOD.")
        yield Run(found[1], result["coreset"]["budget"], result["seed"], result)


def _against_base(runs: Sequence[Run], name: str) -> dict[str, Difference]:
    """Each method's figure less random's, paired over the seeds that both have."""
    methods = _by_method(runs)
    base = {run.seed: run for run in methods.pop(BASE, [])}
    found = {}
    for method, mine in methods.items():
        pairs = [(run, base[run.seed]) for run in mine if run.seed in base]
        if pairs:
            values = np.array([run.figures[name] - other.figures[name] for run, other in pairs])
            each = [run.resampled[name] - other.resampled[name] for run, other in pairs]
            found[method] = difference(values, np.stack(each), seed=0)
    return found


def _figures(runs: Sequence[Run], against: Mapping[str, Difference]) -> str:
    """Mean and deviation over seeds of every method and of what all start from; the first against random."""
    title = METRICS[FIRST]
    lines = [["method", "seeds", *METRICS.values(), f"{title} less {BASE}'s", "p, Holm"]]
    for part in ("untuned", "start", "rule"):
        each = list({run.seed: run.result["metrics"][part] for run in runs}.values())
        shown = (_of([one[name]["value"] for one in each]) for name in METRICS)
        lines.append([part, str(len(each)), *shown, "-", "-"])
    corrected = _corrected(against)
    for method, mine in _by_method(runs).items():
        one, shown = against.get(method), (_of([run.figures[name] for run in mine]) for name in METRICS)
        told = "-" if one is None else f"{one.mean:+.3f}" + (f" {_ends(one.seeds)}" if one.seeds else "")
        lines.append([method, str(len(mine)), *shown, told, _number(corrected.get(method))])
    return _markdown(lines)


def _differences(title: str, found: Mapping[str, Difference]) -> str:
    """How sure each difference is."""
    heads = [f"{title} less {BASE}'s", "mean", "95%, seeds", "95%, users and seeds", "p", "p, Holm"]
    corrected = _corrected(found)
    lines = [
        [
            method,
            f"{one.mean:+.3f}",
            _ends(one.seeds),
            _ends(one.both),
            *map(_number, (one.p, corrected.get(method))),
        ]
        for method, one in found.items()
    ]
    return _markdown([heads, *lines])


def _corrected(found: Mapping[str, Difference]) -> dict[str, float]:
    """Method -> its p by Holm's correction, where there is one."""
    tested = {method: one.p for method, one in found.items() if one.p is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def _agreement(folder: Path) -> Iterator[str]:
    """Rank correlation of the test figures of heads and fine-tunes over the coresets that have both."""
    if not all((folder / kind).is_dir() for kind in KINDS):
        return
    both = [
        {(run.method, run.budget, run.seed): run for run in _runs(read_results([folder / kind]))}
        for kind in KINDS
    ]
    shared = [key for key in both[0] if key in both[1]]
    for key in shared:
        coresets = {runs[key].result["digests"]["select"] for runs in both}
        if len(coresets) > 1:
            raise GoracsError(f"{folder}: the head and the fine-tune of {key} have different coresets.")
    lines = [["figure", f"rank correlation over {len(shared)} coresets", "mean of those within a seed"]]
    seeds = sorted({seed for *_, seed in shared})
    for name, title in METRICS.items():
        of = {key: [runs[key].figures[name] for runs in both] for key in shared}
        within = [_correlated([of[key] for key in shared if key[2] == seed]) for seed in seeds]
        known = [value for value in within if value is not None]
        lines.append(
            [title, _number(_correlated(list(of.values()))), _number(mean(known) if known else None)]
        )
    yield "## Heads against LoRA, on the same coresets\n\n" + _markdown(lines)


def _correlated(pairs: Sequence[Sequence[float]]) -> float | None:
    first, second = np.array(pairs).T
    return rank_correlation(first, second)


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Random first, then by name; each by seed."""
    order = sorted(runs, key=lambda run: (run.method != BASE, run.method, run.seed))
    return {
        name: [run for run in order if run.method == name]
        for name in dict.fromkeys(run.method for run in order)
    }


def _of(values: Sequence[Any]) -> str:
    if any(value is None for value in values):
        return "-"
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _ends(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"[{interval[0]:+.3f}, {interval[1]:+.3f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, "| --- " * len(lines[0]) + "|", *rest])


def main(words: Sequence[str]) -> int:
    """Keep, or write the table; the exit code."""
    match words:
        case ["keep", sweep, folder]:
            print(f"{keep(Path(sweep), Path(folder))} results in {folder}")
        case ["table", folder]:
            text = table(Path(folder))
            (Path(folder) / "table.md").write_text(text)
            print(text, end="")
        case _:
            print(__doc__, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
