"""The data card in three pictures: samples over time, how they are spread over users, history lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from goracs.data.prepare import PARTS
from goracs.types import GoracsError

FORMATS = (".png", ".pdf", ".svg")
BINS = 60


def draw(folder: Path, out: Path) -> None:
    """Draw the prepared set in `folder` to the file `out`.

    Raises:
        GoracsError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GoracsError("pictures need matplotlib: pip install 'goracs[plots]', or matplotlib.") from error
    figure = Figure(figsize=(12.0, 3.6), layout="constrained")
    over_time, over_users, histories = figure.subplots(1, 3)
    times = pl.concat(
        pl.scan_parquet(folder / f"{part}.parquet", glob=False).select("time") for part in PARTS
    )
    first, last = times.select(first=pl.col("time").min(), last=pl.col("time").max()).collect().row(0)
    bins = pl.from_epoch(pl.Series(np.linspace(first, last, BINS + 1).astype(np.int64))).to_numpy()
    for part in PARTS:
        columns = ("user", "time", pl.col("history").list.len().alias("shown"))
        rows = pl.scan_parquet(folder / f"{part}.parquet", glob=False).select(*columns).collect()
        over_time.hist(pl.from_epoch(rows["time"]).to_numpy(), bins=bins, histtype="step", label=part)
        _users(over_users, part, rows["user"])
        _histories(histories, part, rows["shown"])
    over_time.set(xlabel="time", ylabel="samples", yscale="log")
    over_users.set(xlabel="users, most active first", ylabel="share of the part's samples", xscale="log")
    histories.set(xlabel="items in a history", ylabel="share of the part's samples", ylim=(0, 1.05))
    over_time.legend()
    figure.savefig(out, dpi=150)


def _users(axes: Any, part: str, user: pl.Series) -> None:
    share = user.value_counts(sort=True)["count"].cum_sum() / len(user)
    axes.plot(range(1, len(share) + 1), share.to_numpy(), label=part)


def _histories(axes: Any, part: str, shown: pl.Series) -> None:
    counts = shown.value_counts().sort(shown.name)
    axes.plot(counts[shown.name].to_numpy(), (counts["count"] / len(shown)).to_numpy(), "o-", label=part)
