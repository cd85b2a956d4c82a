"""What result.json and the files beside it look like inside, as far as tables and reports rely on it.

Numbers are finite; those of metrics are not asked here, since a report says of them whose they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 30  # lists and objects within each other
NUMBER = int | float
ASKED = int | float | str
PLAIN = int | float | str | bool
FIGURE = {"value?": NUMBER, "low?": NUMBER, "high?": NUMBER, "n": int, "users?": int}
TOLD = ("value", "low", "high")  # of a figure: null where unknown, but there
FIGURES = {"*": FIGURE}
JUDGED = {
    **{f"{name}?": NUMBER for name in ("poo", "transport", "mean_gradient", "max_distance", "max_gradient")},
    **{f"{name}?": NUMBER for name in ("lam", "lower_bound", "lowest_cost", "gap", "gap_absolute")},
    "warnings?": [str],
}
CONFIG = {  # of every version
    "budget": ASKED,
    **{name: {} for name in ("split", "encoder", "features", "selector", "finetune", "evaluate")},
    "dataset": {"name": str},
    "task": {"name": str, "template": str, "lam": ASKED},
    "backbone": {"name": str, "model": str, "precision": str, "max_length": int, "batch_tokens": int},
}
SHAPE = {  # a name with ? may be missing or null, * stands for every other name
    "config": CONFIG,
    "command": str,
    "seed": int,
    "status?": str,
    "versions?": {"*?": str},
    "warnings?": [str],
    "digests": {"*": str},
    "precision?": {"backbone?": str, "*?": PLAIN},
    "coreset?": {
        "selector": str,
        "budget_asked": ASKED,
        "budget": int,
        "indices_file?": str,
        "report?": {**JUDGED, "status?": str, "classes?": {"*": {**JUDGED, "budget": int}}, "auto?": {}},
        "assessment?": JUDGED,
    },
    "metrics?": {"*?": FIGURES},
    "steps?": int,
    "tokens_trained?": int,
    "kept_step?": int,
    "prompts?": {"*?": {"*?": int}},
    "stages?": {"*?": {"seconds?": NUMBER, "peak_mb?": NUMBER, "cached?": bool}},
}
HEAD = "goracs.llm.settings.Head"
RATES = dict.fromkeys(("lr", "warmup_share", "weight_decay", "max_grad_norm"), NUMBER)
LORA = {"epochs?": NUMBER, "batch_size": int, **RATES}
PROMPTS = "goracs.data.readers.alpaca.Prompts"
SAMPLED = {"config": {"dataset": {"history": int}}}  # any data set but ready prompts
FITTED: dict[str, Any] = {"coreset": {}}  # a head
TRAINED = {"config": {"finetune": LORA}, "coreset": {}, "steps": int, "digests": {"weights": str}}
STEP = {"phase": str, "seconds": NUMBER, "objective": NUMBER, "bound?": NUMBER, "class?": ASKED}
POINT = {"step": int, "loss?": NUMBER, "valid_loss?": NUMBER, "lr?": NUMBER, "tokens?": int}
ROW = {"instruction": str, "input": str, "output": str, "system?": str, "history?": [[str, str]]}
NOTE = {  # of a job among those of its sweep
    "job": int,
    **dict.fromkeys(("folder", "words", "status", "message"), str),
    "key?": str,
    "since": NUMBER,
    "seconds?": NUMBER,
}
LEFT: dict[str, Any] = {  # others that are read are lists of rows
    "trace.json": [STEP],
    "curve.json": [POINT],
    "coreset.json": [ROW],
    "dataset_info.json": {},
    "job*.json": NOTE,
}


def odd_left(name: str, found: Any) -> list[str]:
    """The names of what is in a file of a job folder and not as a report needs it."""
    return list(_odd(found, LEFT.get(name, [int]), name))


def odd(result: Mapping[str, Any]) -> Iterator[str]:
    """The names of what is not as `SHAPE` has it."""
    if _too_deep(result, DEEPEST):
        yield "depth: lists and objects lie too deep within each other"
        return
    yield from _odd(result, SHAPE, "")
    if _has(result, "config", "dataset", "_target_") != PROMPTS:
        yield from _odd(result, SAMPLED, "")
    if _has(result, "digests", "finetune"):
        yield from _odd(result, FITTED if has_head(result) else TRAINED, "")
    parts = result.get("metrics")
    for part, figures in parts.items() if isinstance(parts, dict) else ():
        for name, figure in figures.items() if isinstance(figures, dict) else ():
            if isinstance(figure, dict) and (set(TOLD) - figure.keys() or not _both_ends(figure)):
                yield f"metrics.{part}.{name}"


def has_head(result: Mapping[str, Any]) -> bool:
    """Whether its fine-tune is a head over hidden states."""
    return bool(_has(result, "config", "finetune", "_target_") == HEAD)


def _has(value: Any, *names: str) -> Any:
    """What lies there, name within name; None where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _odd(value: Any, shape: Any, place: str) -> Iterator[str]:
    if isinstance(shape, list | dict) and not isinstance(value, type(shape)):
        yield place
    elif isinstance(shape, list):
        if len(shape) > 1 and len(value) != len(shape):
            yield place
        for number, one in enumerate(value):
            yield from _odd(one, shape[0], f"{place}.{number}")
    elif isinstance(shape, dict):
        yield from _odd_inside(value, shape, f"{place}." if place else "")
    elif not _fits(value, shape, finite=not place.startswith("metrics.")):
        yield place


def _fits(value: Any, shape: Any, finite: bool) -> bool:
    if isinstance(value, bool):
        return shape in (bool, PLAIN)
    known = not finite or not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, shape) and known


def _odd_inside(value: Mapping[str, Any], shape: Mapping[str, Any], prefix: str) -> Iterator[str]:
    names = {told.removesuffix("?"): told for told in shape}
    for name in [*names, *(value.keys() - names.keys() if "*" in names else ())]:
        told = names.get(name) or names["*"]
        if value.get(name) is not None:
            yield from _odd(value[name], shape[told], f"{prefix}{name}")
        elif not told.endswith("?") and name != "*":
            yield f"{prefix}{name}"


def _both_ends(figure: Mapping[str, Any]) -> bool:
    return (figure.get("low") is None) == (figure.get("high") is None)


def _too_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_too_deep(one, left - 1) for one in inner)
