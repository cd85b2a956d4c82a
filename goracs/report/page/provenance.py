"""Where every figure comes from: commands, seeds, versions and digests."""

from __future__ import annotations

from pathlib import Path

from goracs.report.page.document import Grid, Part, Section, Text
from goracs.report.page.gathered import Gathered
from goracs.report.varying import label_of


def section(found: Gathered) -> Section:
    """A line for each job, for each version, for each digest."""
    parts: list[Part] = [_jobs(found), _versions(found), _digests(found)]
    warnings = dict.fromkeys(said for result in found.results for said in result.get("warnings", []))
    parts += [Text(said, "warning") for said in warnings]
    return Section("provenance", "Where it comes from", parts)


def _folder(found: Gathered, file: str) -> str:
    """The job folder, below what all have in common."""
    folders = [Path(result["file"]).parent for result in found.results]
    common = [set(parts) for parts in zip(*(folder.parts for folder in folders), strict=False)]
    depth = next((place for place, parts in enumerate(common) if len(parts) > 1), len(common) - 1)
    return "/".join(Path(file).parent.parts[depth:])


def _jobs(found: Gathered) -> Grid:
    methods = {job.result["file"]: job.method for job in found.jobs}
    rows = [
        [
            _folder(found, one["file"]),
            methods.get(one["file"], label_of(one)),
            str(one["seed"]),
            one["command"],
        ]
        for one in found.results
    ]
    return Grid(
        "jobs",
        "Every job and the command that brings it back.",
        ["folder", "method", "seed", "command"],
        rows,
    )


def _versions(found: Gathered) -> Grid:
    told: dict[tuple[str, str], int] = {}
    for result in found.results:
        for name, version in (result.get("versions") or {"goracs": "not told"}).items():
            told[name, str(version)] = told.get((name, str(version)), 0) + 1
    rows = [[name, version, str(count)] for (name, version), count in sorted(told.items())]
    return Grid("versions", "The packages that made the results.", ["package", "version", "jobs"], rows)


def _digests(found: Gathered) -> Grid:
    rows = [
        [_folder(found, result["file"]), name, key]
        for result in found.results
        for name, key in result["digests"].items()
    ]
    caption = "The key of every stage that a job used: stage, version, settings and inputs, as SHA-256."
    return Grid("digests", caption, ["folder", "stage", "digest"], rows, folded=True)
