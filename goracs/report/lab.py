"""What the lab found: means with standard errors for each setting, and which figure foretells the test loss.

Error     of a mean over draws: sample deviation / sqrt(draws). The draws share validation and test rows, so
          it is the chance of the pool and of the method, not of the users.
Foretell  Spearman's rank correlation over all coresets between a figure and the test log-loss; near 1: the
          smaller the figure, the smaller the loss. POO = transport - lam * gradient, at each lam of the lab.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from goracs.types import GoracsError

SETTING = ("selector", "features", "lam", "budget")
SHOWN = {"log_loss": "test log-loss", "auc": "test AUC", "auc_per_user": "AUC per user"}
TRANSPORT = "transport "
Row = Mapping[str, Any]


def table(rows: Sequence[Row]) -> str:
    """The settings as Markdown, in the order they were tried."""
    lines = [
        "| selector | features | lam | budget | " + " | ".join(SHOWN.values()) + " | draws |",
        "| --- " * (len(SETTING) + len(SHOWN) + 1) + "|",
    ]
    for setting, group in grouped(rows):
        figures = [_mean(np.array([row[name] for row in group])) for name in SHOWN]
        names = ["-" if value is None else str(value) for value in setting]
        lines.append("| " + " | ".join([*names, *figures, str(len(group))]) + " |")
    return "\n".join(lines)


def grouped(rows: Sequence[Row]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """The rows of each setting, settings in the order in which they first come."""
    order = {setting: place for place, setting in enumerate(dict.fromkeys(map(_setting, rows)))}
    ranked = sorted(rows, key=lambda row: order[_setting(row)])
    return [(setting, list(group)) for setting, group in groupby(ranked, key=_setting)]


def foretelling(rows: Sequence[Row], lams: Sequence[float]) -> dict[str, dict[str, float | None]]:
    """representation -> figure -> rank correlation with the test log-loss over all coresets.

    Args:
        rows: of `goracs.lab.run`.
        lams: for which POO is worked out.
    """
    losses, gradients = (
        np.array([row["log_loss"] for row in rows]),
        np.array([row["gradient"] for row in rows]),
    )
    found = {}
    for name in (key for key in rows[0] if key.startswith(TRANSPORT)):
        transport = np.array([row[name] for row in rows])
        figures = {f"POO, lam {lam:g}": transport - lam * gradients for lam in lams if lam > 0}
        figures = {"transport": transport, "mean gradient": gradients, **figures}
        found[name.removeprefix(TRANSPORT)] = {key: rank_correlation(v, losses) for key, v in figures.items()}
    return found


def foretelling_table(found: Mapping[str, Mapping[str, float | None]]) -> str:
    """`foretelling` as Markdown."""
    titles = list(next(iter(found.values())))
    lines = [
        "| rank correlation with the test loss | " + " | ".join(titles) + " |",
        "| --- " * (len(titles) + 1) + "|",
    ]
    for name, figures in found.items():
        shown = ["-" if value is None else f"{value:.2f}" for value in figures.values()]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's, None where one side is constant."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def draw(rows: Sequence[Row], out: Path) -> None:
    """Scatter of transport (a column for each representation) and mean gradient against the test loss.

    Raises:
        GoracsError: matplotlib is not installed, or `out` cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GoracsError("pictures need matplotlib: pip install 'goracs[plots]', or matplotlib.") from error
    names = [*(key for key in rows[0] if key.startswith(TRANSPORT)), "gradient"]
    figure = Figure(figsize=(3.6 * len(names), 4.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    selectors = list(dict.fromkeys(row["selector"] for row in rows))
    losses = [row["log_loss"] for row in rows]
    for column, name in zip(axes, names, strict=True):
        for number, selector in enumerate(selectors):
            mine = [row for row in rows if row["selector"] == selector]
            column.plot(
                [row[name] for row in mine],
                [row["log_loss"] for row in mine],
                ".",
                color=f"C{number}",
                label=selector,
            )
        column.set_xlabel("mean gradient" if name == "gradient" else name)
        column.set_ylim(min(losses) * 0.98, np.quantile(losses, 0.98) * 1.02)
    axes[0].set_ylabel("test log-loss (2% largest not shown)")
    axes[0].legend(fontsize="small")
    try:
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise GoracsError(f"the picture cannot be written to {out} ({error}): give another file.") from error


def _setting(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in SETTING)


def _mean(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"
