"""A card for each selection method, made of its configuration and its code.

Settings   conf/selector/NAME.yaml: its first comment says what the method is, the comment behind a field what
           that field means.
Code       what the selector needs and whether it draws, with the fields as they are there; and the sections
           of its module's docstring, as the one above, Source and Cost among them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from goracs import api
from goracs.cluster.settings import works
from goracs.config import conf_dir

SECTION = re.compile(r"^(\w[\w ]*?) {2,}(\S.*)$")
FIELD = re.compile(r"^(\w+):.*?(?:\s# (.*))?$")
UNREAD = "not read"  # how a docstring's section Target begins where validation has no part in the choice


@dataclass(frozen=True)
class Card:
    """What one should know of a method before it is chosen.

    `needs` are the features and scores it reads, `target` whether it looks at the validation set,
    `deterministic` whether it draws nothing, `cluster` whether it works on cluster=ray; `parameters` have a
    value and an explanation; `notes` are the sections of its docstring.
    """

    name: str
    about: str
    needs: tuple[str, ...]
    target: bool
    deterministic: bool
    cluster: bool
    parameters: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return asdict(self)


def names() -> list[str]:
    """All methods, by name."""
    return sorted(file.stem for file in (conf_dir() / "selector").glob("*.yaml"))


def card(name: str) -> Card:
    """The card of a method.

    Raises:
        InvalidInput: there is no such method.
    """
    selector = api.build(name, {})
    notes = sections(sys.modules[type(selector).__module__].__doc__ or "")
    file = conf_dir() / "selector" / f"{name}.yaml"
    values: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    about, meanings = commented(file)
    return Card(
        name=name,
        about=about,
        needs=tuple(sorted(selector.needs)),
        target=not notes.get("Target", "").startswith(UNREAD),
        deterministic=not selector.seeded,
        cluster=works(selector),
        parameters={field: {"value": values[field], "about": meaning} for field, meaning in meanings.items()},
        notes=notes,
    )


def sections(text: str) -> dict[str, str]:
    """Name -> text of the sections of a docstring, each begun by a name and two or more blanks."""
    found, name = dict[str, str](), ""
    for line in text.splitlines()[1:]:
        if begun := SECTION.match(line):
            name, found[begun[1]] = begun[1], begun[2]
        elif name and line.startswith(" "):
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found


def commented(file: Path) -> tuple[str, dict[str, str]]:
    """The comment at the head of a YAML file, and that behind each field ("" where there is none)."""
    lines = file.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    fields = [found for line in lines if (found := FIELD.match(line)) and not line.startswith("_target_")]
    return " ".join(head), {found[1]: found[2] or "" for found in fields}


def table(cards: list[Card]) -> str:
    """A line for each method: name, needs, whether it reads validation, draws, works on Ray, what it is."""
    rows = [("method", "needs", "validation", "draws", "cluster", "")]
    rows += [
        (
            one.name,
            ", ".join(one.needs) or "-",
            "read" if one.target else "-",
            "-" if one.deterministic else "yes",
            "ray" if one.cluster else "-",
            one.about,
        )
        for one in cards
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def page(one: Card) -> str:
    """A card as text."""
    told = {
        "Needs": ", ".join(one.needs) or "nothing",
        "Validation": "read" if one.target else "not read",
        "Draws": "no: deterministic" if one.deterministic else "yes, with the run's seed",
        "Cluster": "works on cluster=ray" if one.cluster else "not on cluster=ray: holds all features",
        **{name: text for name, text in one.notes.items() if name != "Target"},
    }
    width = max(map(len, told))
    lines = [f"{one.name}: {one.about}", "", *(f"{name.ljust(width)}  {text}" for name, text in told.items())]
    fields = [f"selector.{name}={json.dumps(field['value'])}" for name, field in one.parameters.items()]
    wide = max(map(len, fields), default=0)
    meanings = [field["about"] for field in one.parameters.values()]
    shown = [
        f"{field.ljust(wide)}  {meaning}".rstrip() for field, meaning in zip(fields, meanings, strict=True)
    ]
    return "\n".join([*lines, *([""] if shown else []), *shown])
