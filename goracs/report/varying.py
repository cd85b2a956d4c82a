"""What tells configured runs apart: the dotted names whose values differ, as a table shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from goracs.report.results import UNASKED, Result

NOT_IN_GROUP = ("seed", "assess", "runtime", "cluster", "logger", "hydra", "store")
DASH = "-"
PRECISION = "backbone.precision"


def varying(groups: Sequence[Sequence[Result]]) -> tuple[str, ...]:
    """Dotted names whose value differs between groups; the settings of a choice are compared within it."""
    seen: dict[tuple[str, str], set[str]] = {}
    flats = [(label_of(group[0]), shown_config(group[0])) for group in groups]
    for key in sorted({key for _, flat in flats for key in flat}):
        for label, flat in flats:
            value = flat.get(key, DASH)
            if (key, value) != (PRECISION, DASH):  # a backbone that nobody asked differs from none
                seen.setdefault((key, _scope(key, label, flat)), set()).add(value)
    return tuple(dict.fromkeys(key for (key, _), values in seen.items() if len(values) > 1))


def _scope(key: str, label: str, flat: Mapping[str, str]) -> str:
    """The choice whose setting a dotted name is, by its configured name; "" where it is no such setting."""
    part = key.partition(".")[0]
    if part == "selector":
        return label
    named = f"{part}.name" if f"{part}.name" in flat else f"{part}._target_"
    return "" if key == named else flat.get(named, "")


def redrawn(results: Sequence[Result]) -> bool:
    """Whether each of several seeds drew a pool of its own: in every run dataset.seed is the seed."""
    drawn = [result["config"].get("dataset", {}) for result in results]
    seeds = [result["seed"] for result in results]
    own = [data.get("size") is not None and data.get("seed") for data in drawn]
    return len(set(seeds)) > 1 and own == seeds


def label_of(result: Result) -> str:
    """The selector's name, as chosen from conf/selector; a dash before the selection."""
    return result["coreset"]["selector"] if result["coreset"] else DASH


def shown_config(result: Result) -> dict[str, str]:
    """The configuration as dotted names and shown values, without what has a column of its own."""
    left_out = {*NOT_IN_GROUP, *(("budget",) if result["coreset"] else ())}
    config = {key: value for key, value in result["config"].items() if key not in left_out}
    if "finetune" in config:  # a head has a name; what trains the LLM has none
        config["finetune"] = {"name": "lora", **config["finetune"]}
    flat = _flat("", config)
    return {key: value for key, value in flat.items() if (key, value) != (PRECISION, UNASKED)}


def _flat(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        parts = (_flat(f"{prefix}.{key}" if prefix else str(key), inner) for key, inner in value.items())
        return {key: shown for part in parts for key, shown in part.items()}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}
