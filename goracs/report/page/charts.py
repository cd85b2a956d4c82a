"""Figures as Vega-Lite specifications: what several sections draw alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from goracs.report.page.theme import COLOURS, CONFIG

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
WIDTH = 640  # of a figure outside the page, in pixels
LETTER, SYMBOL = 7, 30  # pixels that a legend's entry takes
Row = Mapping[str, Any]
Spec = dict[str, Any]


def spec(rows: Sequence[Row], layers: Sequence[Spec], height: int = 260, **more: Any) -> Spec:
    """Layers over some rows, as wide as the place they are put in."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": [dict(row) for row in rows]},
        "layer": list(layers),
        "config": CONFIG,
        **more,
    }


def known(rows: Sequence[Row], field: str) -> bool:
    """Whether any row has the field: a layer of none of them has no extent."""
    return any(row[field] is not None for row in rows)


def quantity(field: str, title: str | None = None, *, zero: bool = False, **scale: Any) -> Spec:
    """A numeric channel; its axis need not begin at 0."""
    return {"field": field, "type": "quantitative", "title": title or field, "scale": {"zero": zero, **scale}}


def named(field: str, names: Sequence[str]) -> Spec:
    """A channel of names in their own order."""
    return {"field": field, "type": "nominal", "sort": list(names), "title": None}


def coloured(field: str, names: Iterable[str], title: str | None = None) -> Spec:
    """A colour for each name, the same in every figure that has the same names."""
    domain = list(names)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(domain))]
    channel: Spec = {
        "field": field,
        "type": "nominal",
        "title": title,
        "scale": {"domain": domain, "range": colours},
    }
    return {**channel, "legend": {"columns": columns(domain, WIDTH)} if len(domain) > 1 else None}


def columns(names: Sequence[str], width: int) -> int:
    """How many names a legend can have side by side; the page reckons the same for its own width."""
    return max(1, width // (LETTER * max(map(len, names)) + SYMBOL))


def tip(rows: Sequence[Row], *fields: str) -> list[Spec]:
    """What is shown of a mark under the pointer; fields of numbers have four digits."""
    numeric = {name for name in fields if all(isinstance(row.get(name), int | float | None) for row in rows)}
    return [
        {"field": name, "type": "quantitative", "format": ".4~g"}
        if name in numeric
        else {"field": name, "type": "nominal"}
        for name in fields
    ]
