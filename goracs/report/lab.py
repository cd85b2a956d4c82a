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

from goracs.report.statistics import rank_correlation
from goracs.types import FloatArray, GoracsError

SETTING = ("selector", "by_class", "features", "lam", "budget")
CEILING = ("ceiling", "budget")
SHOWN = {"log_loss": "test log-loss", "auc": "test AUC", "auc_per_user": "AUC per user"}
TRANSPORT = "transport "  # before the name of a representation
LABEL = "Head fits on hidden states, no fine-tune."
LARGEST = 0.05  # share of the losses that the picture leaves out
Row = Mapping[str, Any]


def table(rows: Sequence[Row], ceilings: Sequence[Row]) -> str:
    """The settings as Markdown, in the order they were tried; then what no coreset can be far above."""
    titles = ["selector", "by class", "features", "lam", "budget", *SHOWN.values(), "draws"]
    lines = [_line([*map(_shown, setting), *_means(group)]) for setting, group in grouped(rows, SETTING)]
    for (name, budget), group in grouped(ceilings, CEILING):
        lines.append(_line([name, "-", "-", "-", str(budget), *_means(group)]))
    return "\n".join([*_head(titles), *lines])


def grouped(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """The rows that have those values in common, groups in the order in which they first come."""

    def key(row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in names)

    order = {found: place for place, found in enumerate(dict.fromkeys(map(key, rows)))}
    ranked = sorted(rows, key=lambda row: order[key(row)])
    return [(found, list(group)) for found, group in groupby(ranked, key=key)]


def foretelling(rows: Sequence[Row], lams: Sequence[float | str]) -> dict[str, dict[str, float | None]]:
    """representation -> figure -> rank correlation with the test log-loss over all coresets.

    Args:
        rows: of `goracs.lab.judge.run`, at least one.
        lams: for which POO is worked out; auto is left out.
    """
    losses, gradients = _column(rows, "log_loss"), _column(rows, "gradient")
    weights = [float(lam) for lam in lams if lam != "auto" and lam != 0]
    found = {}
    for name in (key for key in rows[0] if key.startswith(TRANSPORT)):
        transport = _column(rows, name)
        figures = {"OT_d": transport, "mean g": gradients}
        figures |= {f"POO, lam {lam:g}": transport - lam * gradients for lam in weights}
        found[name.removeprefix(TRANSPORT)] = {
            title: rank_correlation(values, losses) for title, values in figures.items()
        }
    return found


def foretelling_table(found: Mapping[str, Mapping[str, float | None]]) -> str:
    """`foretelling` as Markdown."""
    lines = _head(["rank correlation with the test loss", *next(iter(found.values()))])
    for name, figures in found.items():
        lines.append(_line([name, *("-" if value is None else f"{value:.2f}" for value in figures.values())]))
    return "\n".join(lines)


def figure_class() -> Any:
    """matplotlib's; who draws at the end of long work asks at its beginning.

    Raises:
        GoracsError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GoracsError("pictures need matplotlib: pip install 'goracs[plots]', or matplotlib.") from error
    return Figure


def draw(rows: Sequence[Row], lams: Sequence[float | str], out: Path) -> None:
    """Scatter of OT_d and of POO at the largest lam for each representation, and of mean g, against the loss.

    Raises:
        GoracsError: matplotlib is not installed, or `out` cannot be written.
    """
    lam = max((float(lam) for lam in lams if lam != "auto"), default=0.0)
    names = [key for key in rows[0] if key.startswith(TRANSPORT)]
    gradients, losses = _column(rows, "gradient"), _column(rows, "log_loss")
    panels = [(f"OT_d, {name.removeprefix(TRANSPORT)}", _column(rows, name)) for name in names]
    panels.append(("mean g", gradients))
    for name in names if lam else ():
        values = _column(rows, name) - lam * gradients
        panels.append((f"POO, {name.removeprefix(TRANSPORT)}, lam {lam:g}", values))
    figure = figure_class()(figsize=(2.6 * (len(names) + 1), 5.6 if lam else 3.2), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2 if lam else 1, len(names) + 1, sharey=True))
    for spare in axes.flat[len(panels) :]:
        spare.set_axis_off()
    for column, (title, values) in zip(axes.flat, panels, strict=False):
        _scatter(column, rows, values, losses, title)
    for first in axes[:, 0]:
        first.set_ylabel("test log-loss", fontsize="small")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    figure.suptitle(f"{LABEL} {len(rows):,} coresets; the 5% largest losses are not shown.", fontsize="small")
    try:
        figure.savefig(out, dpi=80)
    except (OSError, ValueError) as error:
        raise GoracsError(f"the picture cannot be written to {out} ({error}): give another file.") from error


def _scatter(axes: Any, rows: Sequence[Row], values: FloatArray, losses: FloatArray, title: str) -> None:
    selectors, shown = np.array([row["selector"] for row in rows]), losses <= np.quantile(losses, 1 - LARGEST)
    for number, selector in enumerate(dict.fromkeys(selectors.tolist())):
        mine = (selectors == selector) & shown
        axes.plot(values[mine], losses[mine], ".", markersize=2.5, color=f"C{number}", label=selector)
    axes.set_xlabel(title, fontsize="small")
    axes.tick_params(labelsize="x-small")


def _column(rows: Sequence[Row], name: str) -> FloatArray:
    return np.array([row[name] for row in rows], dtype=np.float64)


def _means(group: Sequence[Row]) -> list[str]:
    return [*(_mean(_column(group, name)) for name in SHOWN), str(len(group))]


def _mean(values: FloatArray) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _head(titles: Sequence[str]) -> list[str]:
    return [_line(titles), "| --- " * len(titles) + "|"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
