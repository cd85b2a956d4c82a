"""The colours of a report, light and dark, and the look of its figures.

Figures name colours as the page's CSS variables, so that they follow the reader's scheme; where there is no
page, `resolved` puts the light colours in their place. Text has a contrast of at least 4.5 to its ground,
marks of at least 3 (WCAG 2.2, 1.4.3 and 1.4.11; the tests compute them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "line": "#d8dde3",
    "faint": "#8b949e",
    "link": "#1f5fa8",
    "warn": "#7a4b00",
    "c0": "#1f5fa8",
    "c1": "#b35900",
    "c2": "#23794a",
    "c3": "#b3261e",
    "c4": "#6f4aa8",
    "c5": "#0f7583",
    "c6": "#a8336f",
    "c7": "#7a5230",
    "c8": "#666a00",
    "c9": "#4b5563",
}
DARK = {
    "paper": "#14171b",
    "panel": "#1c2025",
    "ink": "#e6e9ed",
    "muted": "#a3abb5",
    "line": "#343a42",
    "faint": "#7d8590",
    "link": "#8ab8f0",
    "warn": "#f0c070",
    "c0": "#7db3f0",
    "c1": "#f0a35e",
    "c2": "#6fca98",
    "c3": "#f28b82",
    "c4": "#bba0f0",
    "c5": "#62c7d4",
    "c6": "#ee9cc4",
    "c7": "#cfa67e",
    "c8": "#c9cc66",
    "c9": "#b4bac4",
}
COLOURS = [f"var(--c{number})" for number in range(10)]
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
CONFIG = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--ink)",
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "gridColor": "var(--line)",
        "domainColor": "var(--faint)",
        "tickColor": "var(--faint)",
        "tickCount": 5,
        "labelLimit": 230,
    },
    "legend": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "labelLimit": 280,
        "orient": "bottom",
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
        "layout": {"bottom": {"anchor": "start", "direction": "vertical", "offset": 6}},
    },
}


def variables(colours: Mapping[str, str]) -> str:
    """The colours as CSS variables."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def resolved(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification with the light colours, for paper."""
    text = re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], json.dumps(spec))
    plain: dict[str, Any] = json.loads(text)
    return {**plain, "background": LIGHT["paper"]}
