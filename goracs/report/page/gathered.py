"""What a report is made from: the runs below some folders, and what their store still holds of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from goracs.report.blocks import Block, Entry, blocks, settled
from goracs.report.results import Result, loaded, read_left
from goracs.report.table import REFERENCES, Table, aggregate
from goracs.types import GoracsError

MAIN = ("log_loss", "auc", "auc_per_user", "ndcg@10", "hr@10")
ENDED_WELL = ("done", "skipped")


@dataclass(frozen=True)
class Job:
    """One run of one method in one block."""

    block: Block
    method: str
    seed: int
    result: Result

    @property
    def folder(self) -> Path:
        """Where it left its files."""
        return Path(self.result["file"]).parent

    def left(self, name: str) -> Any:
        """What a JSON file of its folder says, None where it is not there.

        Raises:
            GoracsError: as `read_left`.
        """
        return read_left(self.folder / name)

    def rows(self) -> Any:
        """The rows of its coreset, likewise."""
        name = self.result["coreset"].get("indices_file")
        return self.left(name) if name else None


@dataclass(frozen=True)
class Gathered:
    """All runs, what an older version did not tell of them, and the blocks in which they are compared."""

    results: Sequence[Result]
    taken: Sequence[str]
    blocks: Sequence[Block]
    table: Table
    store: Path
    unfinished: Sequence[Mapping[str, str]]

    @cached_property
    def jobs(self) -> list[Job]:
        """Every evaluated run, in the order of blocks, methods and seeds."""
        return [
            Job(block, entry.method, seed, entry.runs[seed])
            for block in self.blocks
            for entry in block.entries
            for seed in sorted(entry.runs)
        ]

    @cached_property
    def methods(self) -> list[str]:
        """Each name once."""
        return list(dict.fromkeys(job.method for job in self.jobs))

    @cached_property
    def main(self) -> list[str]:
        """The figures that are drawn, the foremost first."""
        have = {name for block in self.blocks for name in block.metrics}
        return [name for name in MAIN if name in have][:3]

    def one_a_method(self) -> list[Job]:
        """Of each method in each block the run of its least seed."""
        least = {(job.block.name, job.method): job for job in reversed(self.jobs)}
        return [job for job in self.jobs if least[job.block.name, job.method] is job]

    def kept(self, job: Job, stage: str) -> Path | None:
        """The folder of a stage of a run, where the store still has it."""
        key = job.result["digests"].get(stage)
        folder = self.store / stage / str(key)[:24]
        return folder if key and (folder / "manifest.json").exists() else None


def gathered(results: Sequence[Result], folders: Sequence[Path], store: Path) -> Gathered:
    """What the sections of a report ask for.

    Raises:
        GoracsError: figures that are no numbers, runs that are not comparable, two runs of one configuration
            that differ.
    """
    for result in results:
        _refuse_nan(result)
    plain, taken = settled(results)
    unfinished = [found for folder in folders for found in _unfinished(folder)]
    return Gathered(plain, taken, blocks(plain), aggregate(_alike(plain)), store, unfinished)


def entries(found: Gathered) -> Iterator[tuple[Block, Entry]]:
    """Every method in every block."""
    return ((block, entry) for block in found.blocks for entry in block.entries)


def _refuse_nan(result: Result) -> None:
    for part, figures in (result["metrics"] or {}).items():
        for name, figure in (figures or {}).items():
            bad = [end for end in ("value", "low", "high") if not _sound(figure.get(end))]
            if bad:
                raise GoracsError(
                    f"{result['file']} has {part} {name} with a {bad[0]} of {figure[bad[0]]}: no run leaves "
                    "that. Run its job again, or leave it out."
                )


def _alike(results: Sequence[Result]) -> list[Result]:
    """The results with those figures of what all start from that every version told: one row for all."""
    told: dict[str, set[str]] = {}
    for result in results:
        for part in REFERENCES:
            if figures := (result["metrics"] or {}).get(part):
                told[part] = told.get(part, set(figures)) & set(figures)
    return [{**one, "metrics": one["metrics"] and _only(one["metrics"], told)} for one in results]


def _only(metrics: Mapping[str, Any], told: Mapping[str, set[str]]) -> dict[str, Any]:
    return {
        part: {name: figures[name] for name in figures if name in told[part]}
        if figures and part in told
        else figures
        for part, figures in metrics.items()
    }


def _sound(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _unfinished(folder: Path) -> Iterator[dict[str, str]]:
    for file in sorted(folder.rglob("outcome.json")):
        try:
            told = loaded(file)
        except (OSError, ValueError, RecursionError):
            told = {"status": "unknown", "message": "its outcome.json cannot be read"}
        if isinstance(told, dict) and told.get("status") not in ENDED_WELL:
            what = str(told.get("words", file.parent.name))
            yield {"job": what, "status": str(told.get("status")), "message": str(told.get("message", ""))}
