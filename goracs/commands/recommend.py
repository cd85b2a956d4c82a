"""The word `recommend`: what a finished run recommends to somebody with a given history.

goracs recommend JOB_FOLDER history="Heat (1995); Alien (1979)" [top=10] [--store FOLDER]

Titles of the run's catalogue, the oldest first; what it recommends is printed in order, the best first. A run
of task=ctr asks for every other title of the catalogue, each a prompt: a large one takes a while.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goracs.config import build, composed, usual_store
from goracs.report.results import Result, read_result
from goracs.types import GoracsError, InvalidInput

if TYPE_CHECKING:
    from goracs.llm.recommender import Recommender

NEEDED = ("task", "backbone", "evaluate")  # of a run's configuration
CLOSE = 0.3  # the least similarity of a title that may be meant, of 1
TOP = 10


def run(words: Sequence[str]) -> int:
    """Print what the run recommends; the exit code."""
    parser = argparse.ArgumentParser(
        prog="goracs recommend", description="What a finished run recommends to somebody with a history."
    )
    parser.add_argument(
        "folder", type=Path, metavar="JOB_FOLDER", help="of a run that fine-tuned its backbone"
    )
    parser.add_argument("given", nargs="+", metavar="history=", help='"A; B; C", oldest first; top=10')
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root of the run, if it was given")
    asked = parser.parse_args(words)
    try:
        history, top = _given(asked.given)
        titles = _recommended(asked.folder, history, top, asked.store or usual_store())
    except (GoracsError, OSError) as error:  # OSError: a file of the job that cannot be read
        print(f"error: {error}", file=sys.stderr)
        return 1
    for place, title in enumerate(titles, 1):
        print(f"{place:>{len(str(len(titles)))}}. {title}")
    return 0


def _given(words: Sequence[str]) -> tuple[str, int]:
    """The history as it was written, and how many titles are asked for.

    Raises:
        InvalidInput: another word, no history, or a top that is no whole number >= 1.
    """
    given = dict(word.partition("=")[::2] for word in words)
    if set(given) - {"history", "top"} or not given.get("history", "").strip(" ;"):
        raise InvalidInput(
            'goracs recommend takes history="A; B; C", titles of the catalogue, the oldest first, and '
            f"top={TOP}; got {' '.join(words)}."
        )
    top = given.get("top", str(TOP))
    if not top.isdecimal() or int(top) < 1:
        raise InvalidInput(f"top must be a whole number >= 1, got {top!r}.")
    return given["history"], int(top)


def _recommended(folder: Path, history: str, top: int, root: Path) -> list[str]:
    from goracs.data.prepare import read_catalogue
    from goracs.llm.recommend import recommend

    result = read_result(folder / "result.json")
    _refuse_untuned(result, folder)
    llm = _opened(result, root)
    assert llm.prepared is not None
    items = {title: item for item, title in reversed(read_catalogue(llm.prepared).items())}
    if not items:
        raise GoracsError("this run was made of ready prompts, which name no items to recommend.")
    had, longest = [items[title] for title in _titles(history, items)], result["config"]["dataset"]["history"]
    made = _settings(result)
    return recommend(llm, llm.adapted(folder / "adapter"), had, longest, made["evaluate"], top)


def _refuse_untuned(result: Result, folder: Path) -> None:
    if not (folder / "adapter").is_dir():
        raise GoracsError(
            f"{folder} has no adapter to recommend with: a run leaves one that goes on to its fine-tune "
            "(until=finetune, or no until), unless it fits a head in its place (finetune=head). Its command: "
            f"{result['command']}"
        )


def _opened(result: Result, root: Path) -> Recommender:
    """The run's recommender, its examples and models from where the run had them.

    Raises:
        GoracsError: they are not there, or no longer the same.
    """
    from goracs.llm.recommender import Recommender
    from goracs.stages import weights
    from goracs.stages.settled import Settled
    from goracs.store import Store

    made, keys, store = _settings(result), result["digests"], Store(root)
    prepared = store.kept("prepare", keys["prepare"])
    if prepared is None:
        raise GoracsError(
            f"the store {root} does not have the data of this run: name its store by --store FOLDER, or run "
            f"its command again: {result['command']}"
        )
    files = weights.stage(made["backbone"].model)
    if files.key != keys["weights"]:
        raise GoracsError(
            f"the backbone {made['backbone'].model} is another one than when this run fine-tuned it: its "
            f"adapter fits no other. Run its command again: {result['command']}"
        )
    runtime, place = replace(made["runtime"], progress=False), store.folder(files)
    settled = Settled(made, lambda: place)  # refused where this machine cannot compute as the run did
    return Recommender(place, settled.backbone, made["task"], runtime, prepared.path)


def _settings(result: Result) -> dict[str, Any]:
    """The run's settings; how the machine runs is as it is configured today."""
    from omegaconf import OmegaConf

    config = {name: result["config"][name] for name in NEEDED} | {"runtime": composed([]).runtime}
    try:
        return build(OmegaConf.create(config))
    except InvalidInput as error:
        raise GoracsError(
            f"{result['file']} was left by another version of goracs ({error}) Run its command again: "
            f"{result['command']}"
        ) from error


def _titles(history: str, items: Mapping[str, str]) -> list[str]:
    """The titles of a history, separated by semicolons, which a title may hold itself.

    Raises:
        InvalidInput: a title that is not in the catalogue, with those that may be meant.
    """
    parts, found = [part for part in history.split(";") if part.strip()], list[str]()
    while parts:
        runs = (";".join(parts[:size]).strip() for size in range(len(parts), 0, -1))
        title = next((run for run in runs if run in items), None)
        if title is None:
            raise InvalidInput(_unknown(parts[0].strip(), items))
        found.append(title)
        parts = parts[title.count(";") + 1 :]
    return found


def _unknown(title: str, known: Collection[str]) -> str:
    folded = {name.casefold(): name for name in known}
    near = [folded[name] for name in get_close_matches(title.casefold(), folded, n=3, cutoff=CLOSE)]
    meant = f" Did you mean {', '.join(repr(name) for name in near)}?" if near else ""
    return f"{title!r} is no title of this run's catalogue of {len(known):,}.{meant}"
