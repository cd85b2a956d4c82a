"""How sure the differences are: each method against random choice, all pairs, and mean ranks over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from goracs.report.blocks import LESS_IS_BETTER, Block
from goracs.report.comparison import against, chance
from goracs.report.page.charts import named, quantity, spec, tip
from goracs.report.page.document import Chart, Grid, Part, Section, Text, ends, number, shown_p, signed
from goracs.report.page.gathered import Gathered
from goracs.report.page.overview import base_of
from goracs.report.ranks import ranking
from goracs.report.statistics import Difference, holm
from goracs.report.table import TITLES

HEADS = ["difference", "95%, seeds", "95%, users and seeds", "p", "p, Holm", "effect g"]
HOW = (
    "Paired by seed, on the same test users. The p is for other users and seeds where the answers are "
    "kept, else "
    "for other seeds. Effect: Hedges's g, the mean difference in deviations over seeds."
)


def section(found: Gathered) -> Section:
    """The tests."""
    parts = [*_against_base(found), *_all_pairs(found), *_ranks(found)]
    return Section("differences", "How sure the differences are", parts or [_nothing(found)])


def _nothing(found: Gathered) -> Text:
    names = "; ".join(f"{block.name}: {', '.join(e.method for e in block.entries)}" for block in found.blocks)
    return Text(
        f"No two methods share a set-up, so there is nothing to test ({names or 'no evaluated runs'}).",
        "missing",
    )


def _against_base(found: Gathered) -> Iterator[Part]:
    rows = []
    for block in found.blocks:
        base = base_of(block)
        others = [entry.method for entry in block.entries if entry.method != base]
        for metric in found.main:
            if base is not None and metric in block.comparisons:
                told = against(base, others, block.comparisons[metric].pairs)
                rows += [
                    [block.name, TITLES[metric], name, base, *_figures(*one)] for name, one in told.items()
                ]
    if rows:
        yield Grid(
            "against-base",
            f"Each method less random choice. {HOW} Holm's correction over the methods of a block.",
            ["block", "figure", "method", "less", *HEADS],
            rows,
        )


def _all_pairs(found: Gathered) -> Iterator[Part]:
    rows = []
    for block in found.blocks:
        for metric in found.main:
            if metric not in block.comparisons:
                continue
            pairs = block.comparisons[metric].pairs
            names = [pair for pair in combinations([e.method for e in block.entries], 2) if pair in pairs]
            tested = {pair: p for pair in names if (p := chance(pairs[pair])) is not None}
            corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
            rows += [
                [block.name, TITLES[metric], *pair, *_figures(pairs[pair], corrected.get(pair))]
                for pair in names
            ]
    if rows:
        yield Grid(
            "pairs",
            f"Every pair of methods, the one less the other. {HOW} Holm's correction over all pairs of "
            "a block.",
            ["block", "figure", "one", "other", *HEADS],
            rows,
            folded=True,
        )


def _figures(one: Difference, corrected: float | None) -> list[str]:
    return [
        signed(one.mean),
        ends(one.seeds),
        ends(one.both),
        shown_p(chance(one)),
        shown_p(corrected),
        number(one.effect, 2),
    ]


def _ranks(found: Gathered) -> Iterator[Part]:
    """Mean ranks of the methods that all blocks with a figure share, where there are two of both."""
    for metric in found.main[:2]:
        have = [means for block in found.blocks if (means := _means(block, metric))]
        shared = [name for name in found.methods if all(name in means for means in have)]
        if len(have) < 2 or len(shared) < 2:
            continue
        table = np.array([[means[name] for name in shared] for means in have])
        told = ranking(table, more_is_better=metric not in LESS_IS_BETTER)
        order = sorted(zip(told.ranks, shared, strict=True))
        rows: list[dict[str, Any]] = [
            {
                "method": name,
                "mean rank": float(rank),
                "low": float(rank) - told.critical / 2,
                "high": float(rank) + told.critical / 2,
            }
            for rank, name in order
        ]
        friedman = (
            "Friedman's test needs three methods" if told.p is None else f"Friedman's p {shown_p(told.p)}"
        )
        words = (
            f"{TITLES[metric]}: mean ranks over {told.blocks} blocks, 1 is best; {friedman}. Two "
            "methods differ "
            f"surely where their ranks are at least {told.critical:.2f} apart (Nemenyi, 5%), that is "
            "where their bars do not overlap. Both take blocks for independent, which blocks of the same "
            "users are not quite."
        )
        alt = f"{words} " + "; ".join(f"{name} {rank:.2f}" for rank, name in order)
        y, tips = named("method", [name for _, name in order]), tip(rows, "method", "mean rank")
        layers = [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": "var(--c0)"},
                "encoding": {"y": y, "x": quantity("low", "mean rank"), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "color": "var(--c0)", "opacity": 1},
                "encoding": {"y": y, "x": quantity("mean rank"), "tooltip": tips},
            },
        ]
        yield Text(words)
        yield Chart(
            f"ranks-{metric}".replace("@", ""),
            f"Mean ranks, {TITLES[metric]}",
            alt,
            spec(rows, layers, 30 + 24 * len(rows)),
        )


def _means(block: Block, metric: str) -> dict[str, float]:
    measured = {entry.method: entry.measured(metric) for entry in block.entries}
    return {name: one.mean for name, one in measured.items() if one is not None}
