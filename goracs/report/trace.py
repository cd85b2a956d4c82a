"""The search of one run as a picture.

Left     objective and lower bound over the seconds of the search, a marker for each step by its phase (start,
         bound, alternate, exchange, chain, branch); below, the gap. By class: one line for each class, on its
         own clock.
Right    where the coreset lies: pool, validation set and coreset on the two principal axes of the pool's
         features. Only where the store still holds them.
Reads    result.json, trace.json and indices.json of a job folder, the features of its stage in the store.
"""

from __future__ import annotations

import tokenize
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from goracs.ot.cost import gap
from goracs.report.results import Result, read_left, read_results
from goracs.types import FloatArray, GoracsError, InvalidInput

MARKERS = {"start": "s", "bound": "^", "alternate": "D", "exchange": "o", "chain": "v", "branch": "*"}
LINE_STYLES = ("-", "--", ":", "-.")  # of the classes
SHOWN = 4000  # rows of a side that are drawn at most
FLAT = 1e-5  # below it the scale of the gap is linear, so that 0 has a place
BROKEN = (  # what numpy may raise of a file that is no array
    OSError, EOFError, ValueError, TypeError, SyntaxError, OverflowError, MemoryError, tokenize.TokenError
)  # fmt: skip
Step = Mapping[str, Any]


def read_job(folder: Path) -> Result:
    """The result of one job folder; InvalidInput if it is none, or has no coreset."""
    for result in read_results([folder]):
        if Path(result["file"]) == folder / "result.json":
            if result["coreset"] is None:
                raise InvalidInput(f"{result['file']} has no coreset: the run stopped before select.")
            return result
    raise InvalidInput(f"{folder} is not the folder of one job: give the one that holds its result.json.")


def read_trace(folder: Path) -> list[Step]:
    """The steps of a job's search, oldest first in each class.

    Raises:
        InvalidInput: no trace.json, or one without a step.
        GoracsError: as `read_left`.
    """
    file = folder / "trace.json"
    steps: list[Step] | None = read_left(file)
    if steps is None:
        raise InvalidInput(
            f"{file} is missing: run the job again (see command in {folder / 'result.json'}), which leaves "
            "a trace beside its result."
        )
    if not steps:
        raise InvalidInput(f"{file} has no step: this selector does not search, so there is nothing to draw.")
    return steps


def projected(result: Result, folder: Path, store: Path) -> dict[str, FloatArray] | None:
    """Pool, validation set and coreset on two axes: [k, 2] each, in the order of drawing; or None.

    The axes are the principal ones of the pool rows that are drawn.
    """
    stored = store / "features" / result["digests"].get("features", "none")[:24]
    files = [stored / f"{side}.npy" for side in ("pool", "target")]
    if not all(file.is_file() for file in files):
        return None
    pool, target = map(_features, files)
    if pool.shape[1] != target.shape[1]:
        raise InvalidInput(f"the features in {stored} are of different widths: delete the folder.")
    chosen = folder / (result["coreset"].get("indices_file") or "indices.json")
    rows = read_left(chosen)
    if rows is None:
        raise InvalidInput(f"{chosen} is missing: run the job again.")
    if max(rows, default=-1) >= len(pool) or min(rows, default=0) < 0:
        raise InvalidInput(f"{chosen} names rows beyond the pool's {len(pool)}: run the job again.")
    shown = _drawn(pool)
    centre = shown.mean(axis=0)
    axes = np.linalg.svd(shown - centre, full_matrices=False)[2][:2]
    sides = {"pool": shown, "validation": _drawn(target), "coreset": np.asarray(pool[rows])}
    return {name: (side - centre) @ axes.T for name, side in sides.items()}


def _features(file: Path) -> FloatArray:
    """A matrix of the store, whose manifest is not asked: a large one would be read for a few rows."""
    try:
        found: FloatArray = np.load(file, mmap_mode="r")
        whole = found.ndim == 2 and found.size > 0 and found.dtype.kind == "f"
        whole = whole and bool(np.isfinite(_drawn(found)).all())
    except BROKEN as error:
        raise GoracsError(f"{file} is damaged ({error}): delete its folder.") from error
    if not whole:
        raise GoracsError(f"{file} is damaged (no matrix of finite numbers): delete its folder.")
    return found


def draw(result: Result, steps: Sequence[Step], places: Mapping[str, FloatArray] | None, out: Path) -> None:
    """Writes the picture to `out`.

    Raises:
        GoracsError: matplotlib is not installed, or `out` cannot be written.
    """
    figure = _figure_class()(figsize=(8.0 if places is None else 14.0, 6.0), layout="constrained")
    grid = figure.add_gridspec(2, 1 if places is None else 2, height_ratios=[2, 1])
    values = figure.add_subplot(grid[0, 0])
    gaps = figure.add_subplot(grid[1, 0], sharex=values)
    draw_search(values, gaps, steps, result["coreset"]["report"])
    if places is not None:
        _draw_places(figure.add_subplot(grid[:, 1]), places)
    figure.suptitle(f"{result['coreset']['selector']}, budget {result['coreset']['budget']}")
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise GoracsError(f"the picture cannot be written to {out} ({error}): give another --out.") from error


def draw_search(values: Any, gaps: Any, steps: Sequence[Step], report: Mapping[str, Any]) -> None:
    """Draws the steps on two axes, the first for objective and bound, the second for the gap."""
    classes = [(label, list(part)) for label, part in groupby(steps, key=lambda step: step.get("class"))]
    for number, (label, part) in enumerate(classes):
        told = report if label is None else report["classes"][str(label)]
        name = "" if label is None else f", class {label}"
        style = LINE_STYLES[number % len(LINE_STYLES)]
        bounded = [step for step in part if step["bound"] is not None]
        _draw_line(values, part, "objective", "0.4", style, f"objective{name}")
        _draw_line(values, bounded, "bound", "C5", style, f"lower bound{name}")
        far = [
            {**step, "gap": gap(step["objective"], step["bound"], told["lowest_cost"])} for step in bounded
        ]
        _draw_line(gaps, far, "gap", "0.4", style, f"gap{name}")
    for number, (phase, marker) in enumerate(MARKERS.items()):
        at = [step for step in steps if step["phase"] == phase]
        points = [[step["seconds"] for step in at], [step["objective"] for step in at]]
        values.plot(*points, marker, color=f"C{number}", markersize=4, label=phase)
    values.set_ylabel("objective and lower bound")
    values.legend(fontsize="small")
    gaps.set_ylabel("gap")
    gaps.set_yscale("symlog", linthresh=FLAT)
    gaps.set_xlabel("seconds of the search")


def _draw_line(axes: Any, steps: Sequence[Step], field: str, color: str, style: str, label: str) -> None:
    seconds, heights = [step["seconds"] for step in steps], [step[field] for step in steps]
    axes.plot(
        seconds, heights, drawstyle="steps-post", color=color, linestyle=style, linewidth=1, label=label
    )


def _draw_places(axes: Any, places: Mapping[str, FloatArray]) -> None:
    looks = {"pool": (".", "0.8", 3), "validation": ("x", "C0", 4), "coreset": ("o", "C3", 5)}
    for name, (marker, color, size) in looks.items():
        axes.plot(*places[name].T, marker, color=color, markersize=size, label=name)
    axes.set_xlabel("first principal axis of the pool")
    axes.set_ylabel("second")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(fontsize="small")


def _drawn(features: FloatArray) -> FloatArray:
    """At most SHOWN of the rows, always the same, as float64."""
    count = len(features)
    rows = np.sort(np.random.default_rng(0).choice(count, min(count, SHOWN), replace=False))
    return np.asarray(features[rows], dtype=np.float64)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GoracsError(
            "trace needs matplotlib: pip install 'goracs[plots]', or pip install matplotlib."
        ) from error
    return Figure
