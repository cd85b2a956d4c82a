"""Whether a coreset is like its pool and like the validation set: labels, popularity of items, lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from goracs.data.popularity import popularity
from goracs.report.page.charts import named, quantity, spec, tip
from goracs.report.page.document import Chart, Grid, Part, Section, Text, number
from goracs.report.page.gathered import Gathered, Job
from goracs.types import GoracsError

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
DRAWN = 14  # lines of a figure
COLUMNS = ["user", "item", "label", "history", "input", "instruction"]
TITLES = {
    "likes": "share of likes",
    "popularity": "popularity of the item, users of the pool",
    "length": "length of the history, items",
    "prompt": "length of the prompt, characters",
}
HEADS = dict(zip(TITLES, ("likes", "users of the item", "history", "prompt"), strict=True))
Frames = dict[str, list[pl.DataFrame]]


def section(found: Gathered) -> Section:
    """Pool, validation set and the coresets of every method in every block, all seeds together."""
    frames, absent = _frames(found)
    if not frames:
        words = (
            "The prepared data are no longer in the store, or the job folders have no indices.json: labels, "
            "popularity and lengths cannot be compared. Running the commands again brings both back."
        )
        return Section("balance", "Balance", [Text(words, "missing")])
    whole = {name: pl.concat(parts) for name, parts in frames.items()}
    told = {name: _figures(frame) for name, frame in whole.items()}
    kinds = [kind for kind in TITLES if any(kind in figures for figures in told.values())]
    words = "A dot is the share of likes or the median, a bar the middle half, a line 10% to 90% of the rows."
    parts: list[Part] = [Text(words)]
    parts += [chart for kind in kinds if (chart := _chart(kind, told))]
    if len(told) > DRAWN and len(parts) > 1:
        parts.append(Text(f"Drawn are the first {DRAWN} of {len(told)} sets; the table has all."))
    if absent:
        parts.append(
            Text(
                f"{absent} of {len(found.jobs)} coresets are left out: their data or indices are gone.",
                "missing",
            )
        )
    return Section(
        "balance", "Balance of pool, validation set and coresets", [*parts, _grid(whole, told, kinds)]
    )


def _frames(found: Gathered) -> tuple[Frames, int]:
    """The rows of each set, by its name; how many coresets could not be had."""
    frames: Frames = {"pool": [], "validation": []}
    read: dict[Path, tuple[pl.DataFrame, pl.DataFrame]] = {}
    absent = 0
    for job in found.jobs:
        prepared, rows = found.kept(job, "prepare"), job.rows()
        if prepared is None or rows is None:
            absent += 1
            continue
        if prepared not in read:
            read[prepared] = _sides(prepared)
            frames["pool"].append(read[prepared][0])
            frames["validation"].append(read[prepared][1])
        pool = read[prepared][0]
        if max(rows, default=-1) >= len(pool) or min(rows, default=0) < 0:
            raise GoracsError(f"{job.folder} names rows beyond its pool of {len(pool)}: run its job again.")
        frames.setdefault(_name(found, job), []).append(pool[rows])
    return (frames if read else {}), absent


def _name(found: Gathered, job: Job) -> str:
    return job.method if len(found.blocks) == 1 else f"{job.method}, {job.block.name}"


def _sides(prepared: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    pool, valid = (
        pl.read_parquet(prepared / f"{part}.parquet", columns=COLUMNS, glob=False)
        for part in ("train", "valid")
    )
    counts = popularity(pool) if pool["item"].str.len_chars().sum() else {}
    return _measured(pool, counts), _measured(valid, counts)


def _measured(rows: pl.DataFrame, counts: Mapping[str, int]) -> pl.DataFrame:
    """likes, popularity, length and prompt of each row; null where the data do not know it."""
    users = [counts.get(item, 0) if counts else None for item in rows["item"]]
    return rows.select(
        likes=pl.col("label").cast(pl.Float64),
        popularity=pl.Series(users, dtype=pl.Float64),
        length=pl.col("history").list.len().cast(pl.Float64),
        prompt=(pl.col("input").str.len_chars() + pl.col("instruction").str.len_chars()).cast(pl.Float64),
    )


def _figures(frame: pl.DataFrame) -> dict[str, list[float]]:
    """Of each kind its quantiles, of likes their share; absent where unknown or always 0."""
    found = {}
    for kind in TITLES:
        values = frame[kind].drop_nulls().to_numpy()
        if len(values) and (kind == "likes" or values.any()):
            found[kind] = [float(values.mean())] if kind == "likes" else np.quantile(values, SHARES).tolist()
    return found


def _chart(kind: str, told: Mapping[str, Mapping[str, Sequence[float]]]) -> Chart | None:
    names = [name for name in told if kind in told[name]][:DRAWN]
    whole = ("pool", "validation")
    rows: list[dict[str, Any]] = []
    for name in names:
        figures = told[name][kind]
        low, q1, median, q3, high = figures if len(figures) > 1 else [figures[0]] * 5
        rows.append(
            {
                "set": name,
                "median": median,
                "q1": q1,
                "q3": q3,
                "low": low,
                "high": high,
                "what": "data" if name in whole else "coreset",
            }
        )
    if len({tuple(told[name][kind]) for name in names}) == 1:
        return None  # the table says it
    y, title = named("set", names), TITLES[kind]
    colour = {
        "field": "what",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["data", "coreset"], "range": ["var(--c9)", "var(--c0)"]},
    }
    share = kind == "likes"
    tips = [{"field": "set"}, {"field": "median", "title": title, "format": ".3~g"}]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": quantity("median", title), "tooltip": tips},
        }
    ]
    if not share:
        tips = tip(rows, "set", "low", "q1", "median", "q3", "high")
        layers[0]["encoding"]["tooltip"] = tips
        bar = {
            "mark": {"type": "rule", "strokeWidth": 6, "opacity": 0.55},
            "encoding": {"x": quantity("q1", title), "x2": {"field": "q3"}, "tooltip": tips},
        }
        line = {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"x": quantity("low", title), "x2": {"field": "high"}, "tooltip": tips},
        }
        layers = [line, bar, *layers]
    for layer in layers:
        layer["encoding"] |= {"y": y, "color": colour}
    what = "share" if share else "median"
    alt = f"{title}: {what} of " + "; ".join(f"{row['set']} {row['median']:.3g}" for row in rows)
    return Chart(f"balance-{kind}", title.capitalize(), alt, spec(rows, layers, 30 + 22 * len(rows)))


def _grid(
    whole: Mapping[str, pl.DataFrame], told: Mapping[str, Mapping[str, Sequence[float]]], kinds: Sequence[str]
) -> Grid:
    rows = []
    for name, figures in told.items():
        shown = [f"{len(whole[name]):,}"]
        for kind in kinds:
            values = figures.get(kind)
            shown.append(
                "-"
                if values is None
                else number(values[0])
                if kind == "likes"
                else f"{values[2]:.4g} ({values[1]:.4g} to {values[3]:.4g})"
            )
        rows.append([name, *shown])
    caption = (
        "All seeds together. Share of likes; of the users of the pool who have the item, the items of "
        "the history "
        "and the characters of the prompt the median (first to third quartile)."
    )
    return Grid("balance", caption, ["set", "rows", *(HEADS[kind] for kind in kinds)], rows)
