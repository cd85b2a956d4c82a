"""Does any odd value of the configuration end without words? Every key, in one process, nothing is run.

`python -m experiments.fuzz_words [kind=all] [inputs=1000] [first=0] [seed=0]` prints a table as
`experiments.fuzz` does.

values   a file of conf/ is chosen, one to three keys of the whole configuration get a value of
         `fuzz.ODD` or another key's, some are taken away; then the settings objects are made, and
         what may change a result gets a key, as stages do.
words    the same asked for by words of the command line, with texts of `fuzz.NASTY`: slower.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.fuzz import NASTY, ODD, Draw, Outcome, asked_for, outcome, table
from goracs import mistakes
from goracs.config import build, composed, conf_dir, hashed, store_root
from goracs.pipeline import Job, Line
from goracs.store import Store, digest
from goracs.types import GoracsError

TINY = ("backbone=tiny", "encoder=tiny")
CHANGES = 3
REFERENCES = ("${seed}", "${none.such}", "${oc.env:HOME}", "${oc.env:NONE_SUCH}", "${", "???", "${store}")
LEFT_OUT = ("hydra", "experiment", "logger")  # not made by goracs
FILES = [
    (file.parent.name, file.stem)
    for file in sorted(conf_dir().glob("*/*.yaml"))
    if file.parent.name not in LEFT_OUT
]


@cache
def chosen(group: str, name: str) -> dict[str, Any]:
    """The whole configuration with that file, its values not resolved."""
    words = [word for word in TINY if not word.startswith(f"{group}=")]
    found: Any = OmegaConf.to_container(composed([*words, f"{group}={name}"]), resolve=False)
    return found  # type: ignore[no-any-return]


def leaves(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all values."""
    found = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        found += leaves(value, f"{name}.") if isinstance(value, dict) and value else [name]
    return [name for name in found if not name.endswith("_target_")]


def changed(whole: dict[str, Any], draw: Draw) -> dict[str, Any]:
    """Another value at some of its names, or none."""
    whole, names = deepcopy(whole), leaves(whole)
    for _ in range(int(draw.integers(1, CHANGES + 1))):
        *path, last = names[int(draw.integers(len(names)))].split(".")
        node: Any = whole
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            continue
        if draw.random() < 0.1:
            node.pop(last, None)
        else:
            node[last] = odd_value(whole, names, draw)
    return whole


def odd_value(whole: Mapping[str, Any], names: list[str], draw: Draw) -> Any:
    """An odd value, or that of another name."""
    if draw.random() < 0.7:
        return deepcopy((*ODD, *REFERENCES)[int(draw.integers(len(ODD) + len(REFERENCES)))])
    value: Any = whole
    for part in names[int(draw.integers(len(names)))].split("."):
        value = value.get(part) if isinstance(value, dict) else value
    return deepcopy(value)


def looked_at(config: DictConfig) -> None:
    """What a run does with its configuration before anything is read."""
    made, settings = build(config), hashed(config)
    line = Line(Job(made, settings, "", ""), Store(store_root(config)))
    _ = line.last, config.logger.kind, config.sweep.stop_at_first_failure, digest(settings)


def asked(words: list[str]) -> None:
    """The same from words."""
    looked_at(composed(words))


def tried(ask: Callable[[], None]) -> Outcome:
    """What becomes of a configuration."""

    def told() -> None:
        try:
            ask()
        except (HydraException, OmegaConfBaseException) as error:
            raise GoracsError(mistakes.told(error)) from error

    return outcome(told)


def values(draw: Draw) -> tuple[Any, Outcome]:
    """One configuration of odd values."""
    whole = changed(chosen(*FILES[int(draw.integers(len(FILES)))]), draw)
    return whole, tried(lambda: looked_at(DictConfig(whole)))


def words(draw: Draw) -> tuple[Any, Outcome]:
    """One line of odd words."""
    group, name = FILES[int(draw.integers(len(FILES)))]
    names = [*leaves(chosen(group, name)), group, "hydra.run.dir", "experiment"]
    given = [word for word in TINY if not word.startswith(f"{group}=")] + [f"{group}={name}"]
    for _ in range(int(draw.integers(1, CHANGES + 1))):
        key, value = names[int(draw.integers(len(names)))], NASTY[int(draw.integers(len(NASTY)))]
        sign = ("", "", "", "+", "++", "~")[int(draw.integers(6))]
        given.append(f"{sign}{key}={value.decode('utf-8', 'surrogateescape')[:200]}")
    return given, tried(lambda: asked(given))


KINDS = {"values": values, "words": words}


def trial(kind: str, seed: int, number: int) -> tuple[Any, Outcome]:
    """An input by its number, and what became of it."""
    return KINDS[kind](np.random.default_rng([seed, number]))


def main(words: list[str]) -> int:
    """Try the inputs and print the table; 1 where one ended otherwise."""
    asked = asked_for(words, "kind")
    names = list(KINDS) if asked["kind"] == "all" else asked["kind"].split(",")
    return table(asked, names, lambda name, number: trial(name, int(asked["seed"]), number)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
