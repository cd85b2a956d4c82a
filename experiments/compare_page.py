"""The page of `experiments.compare_selectors`: what came out first, then every figure.

Means are over problems (planted) or drawn pools (MovieLens), ± the standard error where there are several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from goracs.lab.trials import TRANSPORT
from goracs.ot.cost import gap
from goracs.report.lab import grouped
from goracs.report.methods import names

OURS = "goracs"
LAMS = (0.1, 0.5)
USUAL = "embedding"  # where a method looks at no features
LINE = ("selector", "by_class", "features", "lam")
EQUAL = 1e-12  # of a POO: rounding
Row = Mapping[str, Any]


def page(planted: Sequence[Row], lab: Sequence[Row], why: str) -> str:
    """The whole page, Markdown; `why` is what somebody wrote of it."""
    said, tables = list[str](), list[str]()
    if planted:
        said += planted_verdict(_judged(planted))
        tables += [planted_table(_judged(row for row in planted if row["lam"] == lam), lam) for lam in LAMS]
    if lab:
        said += lab_verdict(_judged(lab))
        tables.append(lab_table(_judged(lab)))
    refused = {(row["selector"], row["refused"]) for row in [*planted, *lab] if "refused" in row}
    said += [
        not_run(part, rows) for part, rows in (("Planted problems", planted), ("MovieLens", lab)) if rows
    ]
    said += [f"- {name} refused: {reason}" for name, reason in sorted(refused)]
    head = "# Every method compared\nMade by `python -m experiments.compare_selectors`, which says how."
    return "\n\n".join([head, "\n".join(said), *filter(None, [why.strip()]), *tables]) + "\n"


def not_run(part: str, rows: Sequence[Row]) -> str:
    """Which methods a part lacks, of all that there are but `full`."""
    run = {row["selector"] for row in rows}
    absent = [name for name in names() if name not in run and name != "full"]
    return f"- {part}, not run: {', '.join(absent) or 'none'}."


# Planted problems


def planted_verdict(rows: Sequence[Row]) -> list[str]:
    """Whether any method ends below goracs."""
    ours = {(row["seed"], row["lam"]): row for row in rows if row["selector"] == OURS}
    below = [
        f"{row['selector']} (seed {row['seed']}, lam {row['lam']:g}: {row['poo']:.6f}, goracs {best:.6f})"
        for row in rows
        if row["poo"] < (best := ours[row["seed"], row["lam"]]["poo"]) - EQUAL
    ]
    return [f"- Planted problems: {_told(below, len(ours), 'problems')}"]


def planted_table(rows: Sequence[Row], lam: float) -> str:
    """A line for each method, the smallest POO first."""
    ours = {row["seed"]: row for row in rows if row["selector"] == OURS}
    found = []
    for (method,), group in grouped(rows, ("selector",)):
        pairs = [(row, ours[row["seed"]]) for row in group]
        gaps = [gap(row["poo"], best["lower_bound"], best["lowest_cost"]) for row, best in pairs]
        cells = [
            method,
            _means(group, "poo", 4),
            f"{100 * np.mean(gaps):.1f}%",
            _means(group, "transport", 4),
        ]
        cells += [_means(group, "gradient", 3), f"{np.mean([row['seconds'] for row in group]):.2f}"]
        cells.append(f"{np.mean([overlap(row['rows'], best['rows']) for row, best in pairs]):.2f}")
        found.append((np.mean([row["poo"] for row in group]), cells))
    found.sort(key=lambda line: float(line[0]))
    head = ("method", "POO", "gap", "OT_d", "mean g", "CPU seconds", "overlap")
    return f"## Planted problems, lam {lam:g}\n\n{_table(head, [cells for _, cells in found])}"


# MovieLens


def lab_verdict(rows: Sequence[Row]) -> list[str]:
    """Whether any coreset has a smaller POO than goracs', and who has a smaller test loss."""
    below, searches = list[str](), [row for row in rows if _whole(row)]
    for ours in searches:
        name, lam, best = ours["features"], ours["lam"], poo(ours, ours["features"], ours["lam"])
        same = [row for row in rows if (row["draw"], row["budget"]) == (ours["draw"], ours["budget"])]
        better = [row for row in same if poo(row, name, lam) < best - EQUAL]
        below += [f"{_named(row)} (on {name}, lam {lam:g}, draw {row['draw']})" for row in better]
    return [f"- MovieLens: {_told(below, len(searches), 'searches')}", f"- In the lab {_better(rows)}"]


def _better(rows: Sequence[Row]) -> str:
    """Who has a smaller mean test loss than goracs at lam 0, by class, on the same representation."""
    ours = {(row["features"], row["budget"], row["draw"]): row["log_loss"] for row in rows if _usual(row)}
    found = []
    for (method, *_), group in grouped(rows, (*LINE, "budget")):
        less = [row["log_loss"] - ours[row["features"] or USUAL, row["budget"], row["draw"]] for row in group]
        if method != OURS and np.mean(less) < 0:
            found.append((float(np.mean(less)), f"{_named(group[0])} ({_mean(less, 3)})"))
    ending = "a smaller mean test loss than goracs (lam 0, by class) on the same representation"
    if not found:
        return f"no rival has {ending}."
    return f"**{len(found)} rivals have {ending}**: {'; '.join(text for _, text in sorted(found))}."


def lab_table(rows: Sequence[Row]) -> str:
    """A line for each method, representation and weight, the smallest test loss first."""
    ours = {(row["features"], row["lam"], row["draw"], row["budget"]): row for row in rows if _whole(row)}
    lines = [_lab_line(group, ours) for _, group in grouped(rows, (*LINE, "budget"))]
    lines.sort(key=lambda line: line[0])
    head = [
        *("method", "by class", "features", "lam", "budget", "test log-loss", "test AUC", "OT_d", "mean g")
    ]
    head += [title for lam in LAMS for title in (f"POO, lam {lam:g}", "gap")]
    head += ["liked", "popularity", "CPU seconds", "overlap"]
    draws = len({row["draw"] for row in rows})
    return f"## MovieLens, {draws} drawn pools\n\n{_table(head, [cells for _, cells in lines])}"


def _lab_line(group: Sequence[Row], ours: Mapping[tuple[Any, ...], Row]) -> tuple[float, list[str]]:
    """What a line is sorted by, and its cells."""
    first = group[0]
    name, own = first["features"] or USUAL, first["lam"] or 0
    cells = [_shown(first[field]) for field in (*LINE, "budget")]
    cells += [_means(group, field, 3) for field in ("log_loss", "auc", TRANSPORT + name, "gradient")]
    for lam in LAMS:
        gaps = [
            gap(poo(row, name, lam), best["lower_bound"], best["lowest_cost"])
            for row in group
            if (best := ours.get((name, lam, row["draw"], row["budget"])))
        ]
        cells.append(_mean([poo(row, name, lam) for row in group], 3))
        cells.append(f"{100 * np.mean(gaps):.1f}%" if gaps else "-")
    cells += [f"{np.mean([row[field] for row in group]):.2f}" for field in ("liked", "popularity", "seconds")]
    shares = [
        overlap(row["rows"], best["rows"])
        for row in group
        if (best := ours.get((name, own, row["draw"], row["budget"])))
    ]
    cells.append(f"{np.mean(shares):.2f}" if shares else "-")
    return float(np.mean([row["log_loss"] for row in group])), cells


def poo(row: Row, representation: str, lam: float) -> float:
    """Of a coreset that the lab tried, in one of the representations."""
    return float(row[TRANSPORT + representation] - lam * row["gradient"])


def _whole(row: Row) -> bool:
    """Whether it is GORACS over the whole pool, whose bound is known."""
    return "lower_bound" in row


def _usual(row: Row) -> bool:
    """Whether it is GORACS as the presets have it: by class, no gradient term."""
    return bool(row["selector"] == OURS and row["by_class"] and row["lam"] == 0)


def _named(row: Row) -> str:
    way = ", by class" if row["by_class"] else ""
    more = "".join(f", {row[name]}" for name in ("features", "lam") if row[name] is not None)
    return f"{row['selector']}{way}{more}"


# What both share


def overlap(one: Iterable[int], other: Iterable[int]) -> float:
    """Rows in common as a share of all (Jaccard)."""
    mine, theirs = set(one), set(other)
    return len(mine & theirs) / len(mine | theirs)


def _judged(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if "refused" not in row]


def _told(below: Sequence[str], cases: int, what: str) -> str:
    if not below:
        return f"no method ends below goracs in POO in any of {cases} {what}."
    return f"**below goracs in POO**, in {cases} {what}: {'; '.join(below)}."


def _means(rows: Sequence[Row], name: str, digits: int) -> str:
    return _mean([row[name] for row in rows], digits)


def _mean(values: Sequence[float], digits: int) -> str:
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
    return f"{np.mean(values):.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))
