"""A study by docs/study/protocol.md: its results kept in a folder, and compared.

`python -m experiments.study keep SWEEP FOLDER` copies result.json and the answers of every finished job of a
sweep over `experiment=study/METHOD`: heads (finetune=head) below FOLDER/head, fine-tunes below FOLDER/lora.
`python -m experiments.study table FOLDER` writes FOLDER/table.md: the methods, each against random, paired
over seeds, and how heads rank the same coresets. A folder is one study: one set-up but for method and seed.
"""

from __future__ import annotations

import json
import re
import shlex
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
from goracs.report.results import Result, read_result, read_results
from goracs.report.statistics import Difference, difference, holm, rank_correlation
from goracs.types import FloatArray, GoracsError

METHOD = re.compile(r"experiment=study/(\w+)")
BASE = "random"
FIRST = "log_loss"
METRICS = {"log_loss": "test log-loss", "auc": "AUC", "auc_per_user": "AUC per user"}
KINDS = {"lora": "LoRA", "head": "heads"}
DRAWS = 500  # resamples of users
ANSWERS, RESULT = "predictions.parquet", "result.json"
COMMON = ("split", "task", "backbone", "adapter", "score", "finetune", "evaluate")


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
        _refuse_another(place, run)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(run.result["file"]).with_name(ANSWERS), place)
        told = {name: value for name, value in run.result.items() if name != "file"}
        told["command"] = shlex.join(filter(_tells, shlex.split(told["command"])))
        (place / RESULT).write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return len(runs)


def _tells(word: str) -> bool:
    """Whether a word of a command changes a figure: not where things lie, nor how the machine is used."""
    return not word.startswith(("store.", "runtime.", "hydra."))


def _refuse_another(place: Path, run: Run) -> None:
    there = read_result(place / RESULT) if (place / RESULT).exists() else run.result
    if there["metrics"] != run.result["metrics"] or not _alike(_set_up(there), _set_up(run.result)):
        raise GoracsError(
            f"{place} holds another result than {run.result['file']}: give each study a folder of its own."
        )


def _set_up(result: Result) -> dict[str, Any]:
    """What all runs of a kind have in common in a study."""
    config = result["config"]
    data = {name: value for name, value in config["dataset"].items() if name != "seed"}
    return {"dataset": data, **{name: config[name] for name in COMMON}}


def _alike(one: Any, other: Any) -> bool:
    """Whether two set-ups agree in all that both of them say: a later version says more, by other classes."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_alike(one[name], other[name]) for name in one.keys() & other.keys() - {"_target_"})
    return bool(one == other)


def table(folder: Path) -> str:
    """The study as Markdown.

    Raises:
        GoracsError: no results, or results of several set-ups.
    """
    parts = []
    kinds = [kind for kind in KINDS if (folder / kind).is_dir()]
    if not kinds:
        raise GoracsError(f"{folder} holds no study: put results there with `keep` first.")
    for kind in kinds:
        runs, title = _of_one_set_up(read_results([folder / kind])), KINDS[kind]
        for budget in sorted({run.budget for run in runs}):
            mine = [run for run in runs if run.budget == budget]
            found = {name: _against_base(mine, name) for name in METRICS}
            parts += [f"## {title}, budget {budget}", _figures(mine, found[FIRST])]
            parts += [_differences(title, found[name]) for name, title in METRICS.items() if found[name]]
    return "\n\n".join([*parts, *_agreement(folder)]) + "\n"


def _of_one_set_up(results: Sequence[Result]) -> list[Run]:
    for result in results:
        if not _alike(_set_up(result), _set_up(results[0])):
            two = f"{results[0]['file']} and {result['file']}"
            raise GoracsError(f"{two} are of two set-ups, so of two studies.")
    return list(_runs(results))


def _runs(results: Sequence[Result]) -> Iterator[Run]:
    for result in results:
        found = METHOD.search(result["command"])
        answered = Path(result["file"]).with_name(ANSWERS).exists()
        if found is None or not result["metrics"] or not result["metrics"]["tuned"] or not answered:
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
            found[method] = difference(values, np.stack(each))
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
        lines.append([method, str(len(mine)), *shown, told, _chance(corrected.get(method))])
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
            *map(_chance, (one.p, corrected.get(method))),
        ]
        for method, one in found.items()
    ]
    return _markdown([heads, *lines])


def _corrected(found: Mapping[str, Difference]) -> dict[str, float]:
    """Method -> its p by Holm's correction, where there is one."""
    tested = {method: one.p for method, one in found.items() if one.p is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def _agreement(folder: Path) -> Iterator[str]:
    """Rank correlation of the test figures of heads and fine-tunes over the coresets that have both.

    Methods that chose the same rows, so that all their figures are equal, are one coreset.
    """
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
    told = {key: [*(tuple(runs[key].figures.values()) for runs in both), *key[1:]] for key in shared}
    shared = [key for place, key in enumerate(shared) if told[key] not in [told[k] for k in shared[:place]]]
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
    if len(pairs) < 2:
        return None
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


def _chance(value: float | None) -> str:
    return "<0.001" if value is not None and value < 0.0005 else _number(value)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, "| --- " * len(lines[0]) + "|", *rest])


def main(words: Sequence[str]) -> int:
    """Keep, or write the table; the exit code."""
    try:
        return _done(words)
    except GoracsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _done(words: Sequence[str]) -> int:
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
