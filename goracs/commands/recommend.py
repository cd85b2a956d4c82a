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

from goracs.config import usual_store
from goracs.finished import TRUST, Finished, opened
from goracs.harmless import shown
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
    parser.add_argument(TRUST, action="store_true", help="run Python code that comes with its model")
    asked = parser.parse_args(words)
    try:
        history, top = _given(asked.given)
        titles = _recommended(
            opened(asked.folder, asked.store or usual_store(), trusted=asked.trust_remote_code), history, top
        )
    except (GoracsError, OSError) as error:  # OSError: a file of the job that cannot be read
        print(f"error: {error}", file=sys.stderr)
        return 1
    for place, title in enumerate(titles, 1):
        print(f"{place:>{len(str(len(titles)))}}. {shown(title)}")
    return 0


def _given(words: Sequence[str]) -> tuple[str, int]:
    """The history as it was written, and how many titles are asked for.

    Raises:
        InvalidInput: another word, no history, or a top that is no whole number >= 1.
    """
    given = dict(word.partition("=")[::2] for word in words)
    if len(given) < len(words):
        raise InvalidInput(
            'history= and top= are given once each: history="A; B; C" holds all titles, the oldest first; '
            f"got {' '.join(words)}."
        )
    if set(given) - {"history", "top"} or not given.get("history", "").strip(" ;"):
        raise InvalidInput(
            'goracs recommend takes history="A; B; C", titles of the catalogue, the oldest first, and '
            f"top={TOP}; got {' '.join(words)}."
        )
    top = given.get("top", str(TOP))
    if not top.isdecimal() or int(top) < 1:
        raise InvalidInput(f"top must be a whole number >= 1, got {top!r}.")
    return given["history"], int(top)


def _recommended(run: Finished, history: str, top: int) -> list[str]:
    from goracs.data.prepare import read_catalogue
    from goracs.llm.recommend import recommend

    items = {title: item for item, title in reversed(read_catalogue(run.artifact("prepare")).items())}
    if not items:
        raise GoracsError("this run was made of ready prompts, which name no items to recommend.")
    had, made = [items[title] for title in _titles(history, items)], run.settings(*NEEDED)
    longest, llm = run.result["config"]["dataset"]["history"], _recommender(run, made)
    return recommend(llm, llm.adapted(run.adapter), had, longest, made["evaluate"], top)


def _recommender(run: Finished, made: Mapping[str, Any]) -> Recommender:
    from goracs.llm.recommender import Recommender
    from goracs.stages.settled import Settled

    runtime, place = replace(made["runtime"], progress=False), run.weights
    settled = Settled(made, lambda: place)  # refused where this machine cannot compute as the run did
    return Recommender(place, settled.backbone, made["task"], runtime, run.artifact("prepare"))


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
